"""Registry, ONIESS and three institutes in one process without any HTTP: each request goes through the provider's whole wrapper.

Everything that a system does with a request is done (context, schema, levels, oppositions, records); the clock is one value, and
no loop runs by itself: outboxes and daily routines run when a test says so. For machines that take thousands of steps.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from social_security.commands import seed
from social_security.commands.moving import move_books
from social_security.domain import pack
from social_security.domain.edition import package_edition
from social_security.domain.notices import notice_of
from social_security.domain.published import build_payload, sign_payload
from social_security.institute.operations import OwnActs, acts_of, readings_of
from social_security.institute.overdue import expire_cases
from social_security.institute.services import InstituteServices
from social_security.institute.stores.steps import STEPS
from social_security.keys import load_institute_keys, load_registry_keys
from social_security.oniess.services import OniessServices, Trusted
from social_security.oniess.store import OniessStore
from social_security.oniess.tables import STEPS as ONIESS_STEPS
from social_security.registry.services import RegistryServices
from social_security.registry.store import RegistryStore
from social_security.registry.tables import STEPS as REGISTRY_STEPS
from social_security.wire.books import open_books
from social_security.wire.gatewayclient import GatewayAnswer, GatewayClient
from social_security.wire.platform import open_platform
from social_security.wire.publication import KEY_FILE, PublicationCopy
from social_security.wire.service import SystemOperations
from tests.social import SECRET, seeded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

INSTITUTES = ("15-ISSEMYM", "26-ISSSTESON", "30-IPE")
CODES = ("00-RNSS", "00-ONIESS", *INSTITUTES)
POLICY = "1.0.0"


class DirectGateway(GatewayClient):
    """Hands a request to the provider's operations in the same process."""

    def __init__(self, member: str, country: DirectCountry) -> None:
        super().__init__("direct", member, POLICY)
        self._country = country

    async def _send(
        self, method: str, place: str, headers: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> GatewayAnswer:
        if "getPolicyRefusals" in place:
            return GatewayAnswer(200, {"refusals": []})
        if "getEvidenceStatistics" in place:
            return GatewayAnswer(200, {"month": "2026-02", "messages": 40, "timestampedInTime": 38})
        parts = place.split("/", 5)
        if len(parts) < 6:
            return GatewayAnswer(404, {})
        if parts[2] not in self._country.systems:
            return GatewayAnswer(0, {})
        fates = self._country.fates
        fate = fates.pop(0) if fates and body is not None else "carried"
        if fate == "lost":
            return GatewayAnswer(0, {})
        if fate == "twice":
            await self._country.carry(parts[2], method, f"/{parts[5]}", headers, body)
        heard = await self._country.carry(parts[2], method, f"/{parts[5]}", headers, body)
        return GatewayAnswer(0, {}) if fate == "unheard" else heard


@dataclass(slots=True)
class DirectCountry:
    """The systems by code, on copies of the seeded databases; with ``database`` their books are moved to that PostgreSQL first."""

    folder: Path
    database: str = ""
    now: datetime = datetime(2026, 3, 2, 15, tzinfo=UTC)
    registry: RegistryServices = field(init=False)
    oniess: OniessServices = field(init=False)
    institutes: dict[str, InstituteServices] = field(default_factory=dict)
    systems: dict[str, SystemOperations] = field(default_factory=dict)
    number: int = 0
    # What becomes of the next messages: lost, unheard (the answer is lost), twice, or carried.
    fates: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        base = three_institutes()
        for code in CODES:
            (self.folder / code).mkdir()
            for file in (base / code).glob("*.sqlite"):
                shutil.copy(file, self.folder / code)
            if self.database:
                told = f'member = "{code}"\ndatabase = "{self.database}"\n'
                (self.folder / code / "settings.toml").write_text(told, encoding="utf-8")
                list(move_books(self.folder / code))
        keys = _keys(base)
        self.registry = RegistryServices(
            pack.members()["00-RNSS"].path, RegistryStore(open_books(self.folder / "00-RNSS", "registry", REGISTRY_STEPS), keys["00-RNSS"]),
            keys["00-RNSS"], self._now, self._lists("00-RNSS"), POLICY, self._gateway("00-RNSS"),
        )  # fmt: skip
        self.oniess = oniess = OniessServices(
            pack.members()["00-ONIESS"].path,
            OniessStore(open_books(self.folder / "00-ONIESS", "oniess", ONIESS_STEPS)),
            self._now, self._lists("00-ONIESS"), POLICY, Trusted(),
            self._gateway("00-ONIESS"),
        )  # fmt: skip
        self.systems["00-RNSS"] = SystemOperations(
            self.registry, self.registry.acts(), self.registry.readings()
        )
        self.systems["00-ONIESS"] = SystemOperations(oniess, oniess.acts(), oniess.readings())
        for code in INSTITUTES:
            self.start(code)

    def start(self, code: str, gateway: DirectGateway | None = None) -> None:
        """Start an institute's system over what is on its disk; after a crash, once more."""
        database = open_books(self.folder / code, "institute", STEPS)
        lists = PublicationCopy(self.folder / code, code, database, self._now)
        made = InstituteServices(
            pack.members()[code].path, database, _LOADED[code], self._now, lists, POLICY, gateway or self._gateway(code), OwnActs(open_platform("")),
        )  # fmt: skip
        self.institutes[code] = made
        self.systems[code] = SystemOperations(made, acts_of(made), readings_of(made))

    def publish_leaving(self, code: str, heir: str) -> None:
        """ONIESS publishes that a member has left to another, and every institute takes it."""
        payload = build_payload(1, self.now, self.now + timedelta(days=3650), {
            "members": {"members": [
                m | ({"successor": heir} if m["code"] == code else {}) for m in pack.document("members.json")["members"]
            ]},
            **{name: pack.document(f"{name}.json") for name in ("calendars", "benefits")},
            "conventions": {"conventions": self.oniess.store.conventions()},
            "notices": {"notices": []},
        })  # fmt: skip
        key = Ed25519PrivateKey.generate()
        envelope = json.loads(sign_payload(payload, key))
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        for each, made in self.institutes.items():
            (self.folder / each / KEY_FILE).write_bytes(pem)
            made.publication = made.conventions.publication = PublicationCopy(
                self.folder / each, each, made.database, self._now
            )
            assert made.publication.take(envelope)

    def close(self) -> None:
        """Close the databases."""
        self.registry.store.close()
        self.oniess.store.database.close()
        for made in self.institutes.values():
            made.database.close()

    def _now(self) -> datetime:
        return self.now

    def _lists(self, code: str) -> PublicationCopy:
        return PublicationCopy(self.folder / code, code, None, self._now)

    def _gateway(self, code: str) -> DirectGateway:
        return DirectGateway(pack.members()[code].path, self)

    async def carry(
        self, code: str, method: str, path: str, headers: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> GatewayAnswer:
        """One request at a system: an operation, or a public reading."""
        system = self.systems[code]
        for name in system.acts:
            operation = pack.operations()[name]
            found = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", operation.path), path)
            if operation.method == method and found is not None:
                outcome = await system.carry_out(
                    operation, headers, path, found.groupdict(), dict(body or {})
                )
                return GatewayAnswer(outcome.status, json.loads(json.dumps(dict(outcome.body))))
        place, _, query = path.partition("?")
        given = system.readings[place](dict(parse_qsl(query)))
        answer = await given if inspect.isawaitable(given) else given
        assert isinstance(answer, web.Response)
        value = json.loads(answer.text or "{}")
        return GatewayAnswer(answer.status, {"filas": value} if isinstance(value, list) else value)

    async def ask(
        self,
        client: str,
        provider: str,
        operation: str,
        body: Mapping[str, Any],
        purpose: str,
        case: str,
        role: str,
        gate: str = "",
    ) -> GatewayAnswer:
        """One request as a member's people make it: ``client`` is as 15-ISSEMYM/PORT; ``gate`` is one of an application's."""
        code, _, subsystem = client.partition("/")
        self.number += 1
        described = pack.operations()[operation]
        uri, digest = notice_of(package_edition(), code)
        known = pack.members().get(code)
        headers = {
            "X-Road-Client": f"{known.path if known else code}/{subsystem}",
            "X-Road-Id": f"m-{self.number}",
            "X-Road-UserId": f"MX-{code}:emp-1",
            "X-Road-Issue": case,
            "X-OSS-Proposito": purpose,
            "X-OSS-Fundamento": ",".join(sorted(pack.purposes()[purpose].legal_bases[0])),
            "X-OSS-Motivo": "Prueba",
            "X-OSS-Sistema": "Ventanilla 1.0",
            "X-OSS-Rol": role,
            "X-OSS-Aviso": f"{uri};sha256={digest}",
            "X-OSS-Politica": POLICY,
        }
        path = described.path.replace("{caso}", case).replace("{folio}", case)
        path = path.replace("{compuerta}", gate)
        return await self.carry(provider, described.method, path, headers, body)

    async def settle(self) -> None:
        """Daily routines, lapsing cases and outboxes, until nobody has anything to send that is taken."""
        for made in self.institutes.values():
            made.tick()
            expire_cases(made, self.now, made.today())
        before: list[int] = []
        for _ in range(12):
            for outbox in self.outboxes():
                await outbox.send()
            waiting = [len(o.waiting()) for o in self.outboxes()]
            if waiting == before or not any(waiting):
                return
            before = waiting

    def outboxes(self) -> Iterator[Any]:
        """Every system's outbox."""
        yield self.registry.outbox
        for made in self.institutes.values():
            yield made.outbox


_LOADED: dict[str, Any] = {}


def three_institutes() -> Path:
    """The seeded folder, with the third institute of these tests."""
    base = seeded()
    seed.seed_institute(base / "26-ISSSTESON", "26-ISSSTESON", base / "00-RNSS", SECRET)
    return base


def _keys(base: Path) -> dict[str, Any]:
    """Keys by code, unsealed once a run."""
    if not _LOADED:
        _LOADED["00-RNSS"] = load_registry_keys(base / "00-RNSS" / "keys.json", SECRET)
        for code in INSTITUTES:
            _LOADED[code] = load_institute_keys(base / code / "keys.json", SECRET)
    return _LOADED


def run(awaited: Any, loop: asyncio.AbstractEventLoop) -> Any:
    """What an awaitable gives, on a machine's own loop."""
    return loop.run_until_complete(awaited)
