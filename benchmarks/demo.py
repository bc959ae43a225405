"""``make demo``: a federation of institutes on this machine, its messages shown step by step to a person.

Spanish unless ``--lang en`` or an English LANG says otherwise. ``--check`` does the same unattended and exits by its
result. Nothing is left behind but the folder (``.demo``), and no process survives this one.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shlex
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.calls import Call
from benchmarks.country import AddressTaken, Country
from benchmarks.demopages import Portals, look
from benchmarks.demorights import access_log, access_request
from benchmarks.demoshow import Show
from central_server.admin.roles import central_roles
from gateway.admin.roles import gateway_roles
from serving.login.users import Logins

if TYPE_CHECKING:
    from benchmarks.calls import Reply

CATALOGUE_PORT = 8081
CODES = ("00-RNSS", "00-ONIESS", "15-ISSEMYM", "26-ISSSTESON", "30-IPE", "15-GARANTE")
ANA = "EEPA780514MMCJRN95"
PIDS = {"15-ISSEMYM": "C77536HD0CYA1RRC9HFC4CF1SRC", "26-ISSSTESON": "SN16SJV765EFGNS0P72R8S9VS8G"}
PAIR = "5A2C74QTNVFGEC18CC61GDARCCD"
PAIR_BACK = "AJNFRDKTSHCHQJJSAS142ESQYGQ"


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog=None if "sacbe" in sys.argv[0] else "make demo")
    parser.add_argument(
        "--check", action="store_true", help="unattended; exit 0 if everything held, 1 if not"
    )
    parser.add_argument("--lang", choices=("es", "en"), default=_language())
    parser.add_argument("--dir", type=Path, default=Path(".demo"))
    parser.add_argument("--base", default="127.50.0", help="loopback network to use")
    options = parser.parse_args()
    show = Show(options.lang)
    country = Country(options.dir.absolute(), CODES, options.base)
    pids = options.dir / "running.json"
    country.federation.dies_with_us = True
    signal.signal(
        signal.SIGINT, signal.default_int_handler
    )  # a shell that starts it beside itself has it ignored
    for number in (signal.SIGTERM, signal.SIGHUP):  # HUP: its terminal was closed
        signal.signal(number, lambda which, _: sys.exit(128 + which))
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    try:
        country.check_addresses()
    except AddressTaken as err:
        _explain(show, err, pids)
        sys.exit(2)
    try:
        portals = _start(show, country, pids)
        run(show, country, portals)
        if not options.check:
            _stay(show, country, portals)
    except KeyboardInterrupt:
        show.write("\nSe detiene…", "\nStopping…")
    finally:
        # A second Ctrl-C must not leave half of it running.
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        country.stop()
        pids.unlink(missing_ok=True)
    if show.failed:
        show.write(f"\n{show.failed} comprobaciones fallaron.", f"\n{show.failed} checks failed.")
        sys.exit(1)
    if options.check:
        show.write("\nTodo se comprobó.", "\nEverything held.")


def _start(show: Show, country: Country, pids: Path) -> Portals:
    started = time.monotonic()
    show.write(
        "Sacbé: tres institutos, su registro, ONIESS y una autoridad garante en esta máquina. Se preparan llaves, certificados y registro…",
        "Sacbé: three institutes, their registry, ONIESS and a guarantor on this machine. Making keys, certificates and registry…",
    )
    country.federation.central_environment |= {
        "SACBE_CENTRAL_CATALOGUE_GATEWAY": f"http://{country.address('15-ISSEMYM')}:8080",
        "SACBE_CENTRAL_CATALOGUE_CLIENT": "MX/GOB/15-ISSEMYM/AFIL",
        "SACBE_CENTRAL_CATALOGUE_INTERVAL_S": "60",
        "SACBE_CENTRAL_CATALOGUE_PORT": str(CATALOGUE_PORT),
    }
    country.set_up()
    portals = Portals(country)
    try:
        country.start()
        portals.start()
    finally:
        running = {"demo": os.getpid()} | {name: p.pid for name, p in country.federation.processes.items()}
        pids.write_text(json.dumps(running), encoding="utf-8")
    took = time.monotonic() - started
    count = len(country.federation.processes)
    show.write(f"{count} procesos en marcha ({took:.1f} s).", f"{count} processes are up ({took:.1f} s).")
    return portals


def run(show: Show, country: Country, portals: Portals) -> None:
    """The scenarios, a step at a time."""
    found = find_person(show, country)
    show.write("   Qué puede ver cada quien:", "   What each may see:")
    for es, en in (
        (
            "el registro: la CURP, y quién pregunta a quién; ningún expediente",
            "the registry: the CURP, and who asks whom; no file",
        ),
        (
            "cada instituto: su seudónimo y su expediente; no el seudónimo de otro",
            "each institute: its pseudonym and its file; nobody else's pseudonym",
        ),
        (
            "quien mire la red o las bitácoras: seudónimos que no se pueden juntar",
            "who watches network or logs: pseudonyms that cannot be linked",
        ),
    ):
        show.write(f"     {es}", f"     {en}")
    access_request(show, country)
    looked = access_log(show, country)
    prove(show, country, found)
    look(show, country, portals, prove(show, country, looked))


def find_person(show: Show, country: Country) -> Reply:
    """S02: find a person and get pseudonyms. The message whose evidence is shown at the end."""
    show.write(
        "\n── S02 · Encontrar a una persona sin repartir su CURP ──",
        "\n── S02 · Find a person without spreading her CURP ──",
    )
    asking = Call("PUR-IDENT", "CONS-15-2026-00000001", "ANALISTA_AFILIACION", "Alta de trabajadora")
    show.step(
        "ISSEMYM pregunta al registro nacional por una CURP", "ISSEMYM asks the national registry for a CURP"
    )
    first = country.call("15-ISSEMYM/AFIL", "00-RNSS", "buscarBeneficiario", {"curp": ANA}, asking)
    show.reply(first)
    show.expect(
        first.body.get("pid") == PIDS["15-ISSEMYM"],
        "coincide; ISSEMYM recibe su propio seudónimo, sin nombre ni fecha",
        "it matches; ISSEMYM gets its own pseudonym, no name, no date",
    )
    show.step("ISSSTESON hace la misma pregunta", "ISSSTESON asks the same")
    other = Call("PUR-IDENT", "CONS-26-2026-00000001", "ANALISTA_AFILIACION", "Alta de trabajadora")
    second = country.call("26-ISSSTESON/AFIL", "00-RNSS", "buscarBeneficiario", {"curp": ANA}, other)
    show.reply(second)
    show.expect(
        second.body.get("pid") == PIDS["26-ISSSTESON"],
        "recibe otro seudónimo: sin la llave del registro nadie los puede juntar",
        "it gets another pseudonym: nobody links the two without the registry's key",
    )
    _refuse(show, country, asking)
    show.step(
        "ISSEMYM quiere preguntar por ella en Sonora: pide un testigo sellado",
        "ISSEMYM wants to ask Sonora about her: it requests a sealed token",
    )
    porting = Call("PUR-PORT", "PORT-15-2026-00000001", "ANALISTA_PORTABILIDAD", "Totalización de periodos")
    back = country.call(
        "26-ISSSTESON/PORT",
        "00-RNSS",
        "traducirPid",
        {"pid": PIDS["26-ISSSTESON"], "destino": "MX/GOB/15-ISSEMYM"},
        Call("PUR-PORT", "PORT-26-2026-00000001", "ANALISTA_PORTABILIDAD", "Totalización de periodos"),
    )
    ask_token = {"pid": PIDS["15-ISSEMYM"], "destino": "MX/GOB/26-ISSSTESON"}
    port = country.call("15-ISSEMYM/PORT", "00-RNSS", "traducirPid", ask_token, porting)
    show.expect(
        port.body.get("pidPar") == PAIR,
        f"seudónimo del par ISSEMYM→ISSSTESON para PUR-PORT: {port.body.get('pidPar')}",
        f"pseudonym of the pair ISSEMYM→ISSSTESON for PUR-PORT: {port.body.get('pidPar')}",
    )
    show.expect(
        back.body.get("pidPar") == PAIR_BACK,
        f"en el sentido contrario es otro: {back.body.get('pidPar')}",
        f"in the other direction it is another one: {back.body.get('pidPar')}",
    )
    affiliation = Call("PUR-AFIL", "CONS-15-2026-00000002", "ANALISTA_AFILIACION", "Verificar afiliación")
    token = country.call("15-ISSEMYM/AFIL", "00-RNSS", "traducirPid", ask_token, affiliation)
    sealed = {"testigo": token.body.get("testigo", "")}
    show.step(
        "Con el testigo, ISSEMYM pregunta a ISSSTESON si estuvo afiliada",
        "With the token ISSEMYM asks ISSSTESON whether she was affiliated",
    )
    answer = country.call("15-ISSEMYM/AFIL", "26-ISSSTESON", "consultarAfiliacion", sealed, affiliation)
    show.reply(answer)
    show.expect(
        answer.body.get("estado") == "BAJA" and answer.body.get("hasta") == "2015-02-15",
        "ISSSTESON abrió el testigo, halló su expediente y contestó estado y fechas, nada más",
        "ISSSTESON opened the token, found its file and answered state and dates, nothing more",
    )
    again = country.call("15-ISSEMYM/AFIL", "26-ISSSTESON", "consultarAfiliacion", sealed, affiliation)
    _expect_code(show, again, "SS-209", "el mismo testigo por segunda vez", "the same token a second time")
    wrong = country.call("15-ISSEMYM/AFIL", "30-IPE", "consultarAfiliacion", sealed, affiliation)
    _expect_code(
        show,
        wrong,
        "SS-209",
        "el testigo ante IPE, que no es su destinatario",
        "the token at IPE, not its audience",
    )
    return answer


def _refuse(show: Show, country: Country, asking: Call) -> None:
    show.step("Lo que está mal escrito se rechaza, con su código", "What is wrong is refused, with its code")
    for body, code, es, en in (
        ({"curp": "EEPA780514MMCJRN94"}, "SS-102", "dígito verificador", "check digit"),
        ({"curp": "EEPA780514MMCJRN9O"}, "SS-101", "letra en lugar de dígito", "a letter for a digit"),
        ({"pid": "C77536HD0CYA1RRC9HFC4CF1SRD"}, "SS-104", "seudónimo alterado", "an altered pseudonym"),
    ):
        reply = country.call("15-ISSEMYM/AFIL", "00-RNSS", "buscarBeneficiario", body, asking)
        _expect_code(show, reply, code, es, en)


def _expect_code(show: Show, reply: Reply, code: str, es: str, en: str) -> None:
    text = reply.body.get("message" if show.english else "mensaje") or reply.body.get("motivacion") or ""
    show.expect(
        reply.body.get("codigo") == code,
        f"{es}: {reply.body.get('codigo')}  {text}",
        f"{en}: {reply.body.get('codigo')}  {text}",
    )


def prove(show: Show, country: Country, reply: Reply) -> Path:
    """Both sides' containers of one exchange, verified offline; one of them."""
    show.step(
        "Las dos partes guardan la prueba: se descargan los contenedores firmados y se verifican sin red",
        "Both sides keep the proof: the signed containers are downloaded and verified offline",
    )
    into = country.folder / "evidence"
    evidence = country.evidence(reply, into)
    for found in evidence:
        verdict = found.verdict
        signer = "-" if verdict.signer is None else verdict.signer.path()
        show.expect(
            verdict.is_valid,
            f"{found.side:8} {found.file.name}  firmó {signer}, sellado {verdict.timestamp}",
            f"{found.side:8} {found.file.name}  signed by {signer}, stamped {verdict.timestamp}",
        )
    configuration = shlex.quote(str(into / "verificationconf"))
    show.write(
        f"     Usted mismo: .venv/bin/gateway container verify --configuration {configuration} FILE",
        f"     Yourself:    .venv/bin/gateway container verify --configuration {configuration} FILE",
    )
    return evidence[0].file


def _stay(show: Show, country: Country, portals: Portals) -> None:
    show.write("\nSigue en marcha. Direcciones:", "\nIt stays up. Addresses:")
    print(f"   central   http://{country.federation.central_address}:8080")
    print(f"   catálogo  http://{country.federation.central_address}:{CATALOGUE_PORT}/catalogo")
    print(f"   TSA, OCSP http://{country.federation.trust_address}:8888")
    for code in country.codes:
        print(
            f"   {code:14} gateway http://{country.address(code)}:8080   health http://{country.address(code)}:5588"
        )
    portals.write(show)
    _write_consoles(show, country)
    show.write("\nPruebe:", "\nTry:")
    for line in curl_lines(country):
        print(f"\n  {line}")
    show.write("\nCtrl-C detiene todo.", "\nCtrl-C stops everything.")
    while True:
        time.sleep(3600)


def _write_consoles(show: Show, country: Country) -> None:
    """Addresses of the consoles, and an operator who may log in to all of them."""
    federation = country.federation
    password = secrets.token_urlsafe(9)
    places = {
        f"https://{federation.central_address}:4000/consola/": (
            federation.folder / "central",
            central_roles(),
        ),
        **{
            f"https://{spec.address}:4000/consola/": (federation.data(spec), gateway_roles())
            for spec in federation.gateways
        },
    }
    show.write(
        f"\nConsolas (usuario demo, contraseña {password}; el navegador avisará del certificado):",
        f"\nConsoles (user demo, password {password}; the browser will warn of the certificate):",
    )
    for url, (data, roles) in places.items():
        logins = Logins(data / "admin.sqlite")
        logins.save_user("demo", password, roles.of_people())
        logins.close()
        print(f"   {url}")


def curl_lines(country: Country) -> list[str]:
    """Three calls a person can paste."""
    from social_security.domain.edition import package_edition  # only here
    from social_security.domain.notices import notice_of

    issemym = f"http://{country.address('15-ISSEMYM')}:8080"
    uri, digest = notice_of(package_edition(), "15-ISSEMYM")
    context = (
        "-H 'X-Road-UserId: MX-15-ISSEMYM:emp-0001' -H 'X-Road-Issue: CONS-15-2026-00000001' "
        "-H 'X-OSS-Proposito: PUR-IDENT' -H 'X-OSS-Fundamento: mx:LGPDPPSO-16-I' -H 'X-OSS-Motivo: Alta' "
        "-H 'X-OSS-Sistema: curl' -H 'X-OSS-Rol: ANALISTA_AFILIACION' -H 'X-OSS-Politica: 1.0.0' "
        f"-H 'X-OSS-Aviso: {uri};sha256={digest}' -H 'Content-Type: application/json'"
    )
    client = "-H 'X-Road-Client: MX/GOB/15-ISSEMYM/AFIL'"
    return [
        f"curl {client} {issemym}/r1/MX/GOB/26-ISSSTESON/AFIL/oss-v1/estado",
        f'curl {client} {context} -d \'{{"curp":"{ANA}"}}\' {issemym}/r1/MX/GOB/00-RNSS/IDENT/oss-v1/beneficiarios/buscar',
        f"curl -o conf.zip {issemym}/verificationconf",
    ]


def _explain(show: Show, problem: AddressTaken, pids: Path) -> None:
    if problem.missing:
        show.write(
            "A esta máquina le faltan direcciones. En una Mac, agréguelas primero:",
            "This machine lacks addresses. On a Mac, add them first:",
        )
        for address in problem.missing:
            print(f"  sudo ifconfig lo0 alias {address}")
        return
    listed = ", ".join(problem.taken[:4]) + (" …" if len(problem.taken) > 4 else "")
    show.write(
        f"No se puede empezar: {listed} ya están en uso.", f"Cannot start: {listed} are in use already."
    )
    running: dict[str, int] = json.loads(pids.read_text()) if pids.exists() else {}
    alive = [str(pid) for pid in running.values() if _is_alive(pid)]
    if not alive:
        show.write(
            "Las usa otro programa: deténgalo, o elija otra red con --base 127.51.0.",
            "Another program has them: stop it, or choose another network with --base 127.51.0.",
        )
        return
    show.write(
        "Una corrida anterior sigue en marcha. Deténgala con Ctrl-C en su ventana, o con:",
        "An earlier run is still up. Stop it with Ctrl-C in its window, or with:",
    )
    print("  kill " + " ".join(alive))


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True


def _language() -> str:
    spoken = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or "es"
    return "en" if spoken.startswith("en") else "es"


if __name__ == "__main__":
    main()
