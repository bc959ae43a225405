"""The demo's pages: a citizen's portal at ISSEMYM, the guarantor's and ONIESS's, over the real gateways, and who may see what there.

Accounts are made afresh at each run; their proofs are printed, because everything here is synthetic.
"""

from __future__ import annotations

import http.cookiejar
import re
import urllib.error
import urllib.parse
import urllib.request
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.country import PORTAL_PORT
from social_security.portal.accounts import Accounts, NewAccount

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.country import Country
    from benchmarks.demoshow import Show

PERSON, GUARANTOR, PUBLIC = "15-ISSEMYM", "15-GARANTE", "00-ONIESS"
ANA_AT_ISSEMYM = "C77536HD0CYA1RRC9HFC4CF1SRC"
NAMES = {PERSON: "ana", GUARANTOR: "garante"}
CSRF = re.compile(r'name="csrf" value="([0-9a-f]+)"')
PSEUDONYM = re.compile(r"\b[0-9A-HJKMNP-TV-Z]{25}[048CGMRW][0-9A-Z]\b")


@dataclass
class Portals:
    """The three portals, and the accounts to enter two of them."""

    country: Country
    issued: dict[str, NewAccount] = field(default_factory=dict)
    _used: dict[str, int] = field(default_factory=dict)

    def address(self, code: str) -> str:
        """Where a member's pages are."""
        return f"http://{self.country.address(code)}:{PORTAL_PORT}"

    def start(self) -> None:
        """Issue the accounts, start the processes, wait until they answer."""
        for code in (*NAMES, PUBLIC):
            folder = self.country.folder / "portals" / code
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "portal.toml").write_text(
                f'member = "{code}"\ngateway = "http://{self.country.address(code)}:8080"\n'
                f'public_url = "{self.address(code)}"\nhost = "{self.country.address(code)}"\nport = {PORTAL_PORT}\n'
                f'clock_file = "{self.country.clock_file or ""}"\n',
                encoding="utf-8",
            )
            if code in NAMES:
                accounts = Accounts(folder)
                pid = ANA_AT_ISSEMYM if code == PERSON else None
                self.issued[code] = accounts.issue(NAMES[code], pid, f"Sacbé {code}")
                accounts.close()
            self.country.federation.start(
                f"{code}-portal",
                "social_security",
                "portal",
                "serve",
                "--data",
                str(folder),
                "--settings",
                str(folder / "portal.toml"),
            )
        for code in (*NAMES, PUBLIC):
            self.country.federation.wait_for(f"{self.address(code)}/aviso")

    def enter(self, code: str) -> Visit:
        """Log in with the password and the next printed code."""
        number = self._used.get(code, 0)
        self._used[code] = number + 1
        visit = Visit(self.address(code))
        proofs = self.issued[code]
        visit.post(
            "/entrar",
            {"cuenta": NAMES[code], "clave": proofs.password, "codigo": proofs.codes[number]},
        )
        return visit

    def write(self, show: Show) -> None:
        """Addresses, accounts, and who may see what."""
        show.write("\nPáginas (en español o inglés):", "\nPages (in Spanish or English):")
        show.write(
            f"   {self.address(PUBLIC)}   ONIESS, para todos y sin cuenta; ningún dato de personas",
            f"   {self.address(PUBLIC)}   ONIESS, for everybody without an account; no person's data",
        )
        for code, es, en in (
            (
                PERSON,
                "portal ciudadano de ISSEMYM; ve sólo lo suyo",
                "ISSEMYM's citizens' portal; sees her own data only",
            ),
            (
                GUARANTOR,
                "autoridad garante; ve plazos, cuentas y evidencia, a ninguna persona",
                "the guarantor; sees terms, counts and evidence, no person",
            ),
        ):
            left = self.issued[code].codes[self._used.get(code, 0) :]
            show.write(f"   {self.address(code)}   {es}", f"   {self.address(code)}   {en}")
            show.write(
                f"      cuenta {NAMES[code]}   contraseña {self.issued[code].password}",
                f"      account {NAMES[code]}   password {self.issued[code].password}",
            )
            show.write(
                f"      códigos de un solo uso {'  '.join(left[:4])}",
                f"      codes, each good once {'  '.join(left[:4])}",
            )


class Visit:
    """A browser of a sort: keeps cookies, sends forms of the page it is on."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._opener = urllib.request.build_opener(
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        )
        self.status = 0
        self.page = ""

    def get(self, path: str) -> str:
        """A page."""
        return self._send(urllib.request.Request(f"{self._address}{path}"))

    def post(self, path: str, fields: dict[str, str]) -> str:
        """A form."""
        return self._send(
            urllib.request.Request(f"{self._address}{path}", urllib.parse.urlencode(fields).encode())
        )

    def upload(self, path: str, file: Path) -> str:
        """A form with one file."""
        mark = uuid.uuid4().hex
        csrf = CSRF.search(self.page)
        body = (
            f'--{mark}\r\nContent-Disposition: form-data; name="csrf"\r\n\r\n{csrf[1] if csrf else ""}\r\n'
            f'--{mark}\r\nContent-Disposition: form-data; name="archivo"; filename="x.asice"\r\n\r\n'
        ).encode()
        request = urllib.request.Request(
            f"{self._address}{path}", body + file.read_bytes() + f"\r\n--{mark}--\r\n".encode()
        )
        request.add_header("Content-Type", f"multipart/form-data; boundary={mark}")
        return self._send(request)

    def _send(self, request: urllib.request.Request) -> str:
        request.add_header("Accept-Language", "es")
        try:
            with self._opener.open(request, timeout=90) as answer:
                self.status, self.page = answer.status, answer.read().decode()
        except urllib.error.HTTPError as err:
            self.status, self.page = err.code, err.read().decode()
        return self.page


def look(show: Show, country: Country, portals: Portals, container: Path) -> None:
    """What a person and the guarantor see in a browser; what it says is checked against the pages."""
    show.write("\n── Lo mismo en el navegador ──", "\n── The same in a browser ──")
    show.step(
        f"Ana entra al portal de ISSEMYM, {portals.address(PERSON)}",
        f"Ana enters ISSEMYM's portal, {portals.address(PERSON)}",
    )
    ana = portals.enter(PERSON)
    show.expect(
        ana.status == 200 and "3837" in ana.page,
        "ve su expediente: 3,837 días certificados",
        "she sees her file: 3,837 certified days",
    )
    whole = ana.get("/historia")
    show.expect(
        ana.status == 200 and "Completa:" in whole and "9059" in whole,
        "y su historia en los tres institutos, completa: 9,059 días sin traslapes",
        "and her history at all three institutes, complete: 9,059 days without overlaps",
    )
    accesses = ana.get("/accesos")
    show.expect(
        ana.status == 200 and "Portal ciudadano" in accesses and "emp-0001" not in accesses,
        "y quién consultó sus datos, también esta visita; ningún nombre de personal",
        "and who looked at her data, this visit too; no staff's name",
    )
    ana.get("/derechos/ARCO-30-2026-00000001")
    show.expect(
        ana.status == 404,
        "una solicitud que no es suya no existe para ella",
        "a request that is not hers does not exist for her",
    )
    stranger = Visit(portals.address(PERSON))
    stranger.get("/accesos")
    show.expect(
        "Completa" not in stranger.page and "clave" in stranger.page,
        "sin cuenta sólo hay la puerta",
        "without an account there is only the door",
    )
    show.step(
        f"Cualquiera abre la plataforma de ONIESS, {portals.address(PUBLIC)}",
        f"Anybody opens ONIESS's platform, {portals.address(PUBLIC)}",
    )
    anybody = Visit(portals.address(PUBLIC))
    platform = anybody.get("/")
    show.expect(
        "CONV-DEMO-2025-01" in platform and "IND-13" in platform and not PSEUDONYM.search(platform),
        "ve política, altas, convenios, indicadores y negativas; a ninguna persona",
        "sees policy, applications, conventions, indicators and refusals; no person",
    )
    show.step(
        f"La autoridad garante entra a la suya, {portals.address(GUARANTOR)}",
        f"The guarantor enters hers, {portals.address(GUARANTOR)}",
    )
    garante = portals.enter(GUARANTOR)
    show.expect(
        garante.status == 200 and "Plazos" in garante.page and not PSEUDONYM.search(garante.page),
        "ve plazos, negativas y accesos contados; a ninguna persona",
        "sees terms, refusals and accesses counted; no person",
    )
    garante.get("/evidencia")
    verdict = garante.upload("/evidencia", container)
    show.expect(
        "Válido." in verdict,
        f"y verifica la evidencia que le llevan: {container.name}",
        f"and verifies evidence that is brought: {container.name}",
    )
    policies = garante.get("/politicas")
    show.expect(
        garante.status == 200 and "1.0.0" in policies,
        "y qué versión de la política aplica cada instituto",
        "and which version of the policy each institute works by",
    )
