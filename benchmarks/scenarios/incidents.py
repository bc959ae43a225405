"""S14: what is tampered with, down or suspended."""

from __future__ import annotations

import io
import json
import sqlite3
import zipfile
from typing import TYPE_CHECKING

from benchmarks.calls import Call
from benchmarks.governing import EFFECTIVE
from benchmarks.scenarios.rights import query
from benchmarks.scenarios.stage import PortCase, Stage, evidence_folder, pid_of
from certs.edges.configurationfiles import load_configuration_folder
from certs.verify.container import verify_container
from social_security.domain import eventchain
from social_security.wire.policydocument import build_suspension

if TYPE_CHECKING:
    from benchmarks.calls import Reply


def s14(stage: Stage) -> None:
    """Tampering, outages, suspension."""
    stage.at("2026-05-12T09:00:00-06:00")
    why = Call("PUR-IDENT", "CONS-30-2026-00000140", "ANALISTA_AFILIACION", "Alta")
    ask = {"pid": pid_of("ana", "30-IPE")}
    kept = stage.ask("30-IPE/AFIL", "00-RNSS", "buscarBeneficiario", ask, why)
    stage.done(kept, "an ordinary exchange")
    stage.prove([kept])
    _tamper(stage)
    _outage(stage, why, ask)
    _authorities_down(stage, why, ask)
    _day_without(stage)
    _suspend(stage, why, ask)
    _breach(stage)
    stage.prove([kept])


def _tamper(stage: Stage) -> None:
    folder = evidence_folder(stage)
    trusted = load_configuration_folder(folder / "verificationconf", strict=False)
    files = sorted(folder.glob("*/*.asice"))
    stage.need(files, "there are containers to tamper with")
    original = files[0].read_bytes()
    for name in _parts(original):
        verdict = verify_container(io.BytesIO(_flipped(original, name)), trusted, at=None)
        stage.expect(not verdict.is_valid, f"a flipped byte in {name} is found")
    for other in files[1:]:
        with other.open("rb") as source:
            stage.expect(verify_container(source, trusted, at=None).is_valid, f"{other.name} stays valid")


def _parts(container: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(container)) as archive:
        return [
            n
            for n in archive.namelist()
            if n.startswith(("message", "attachment"))
            or n.endswith(("signatures.xml", ".tst", "hashchain.xml"))
        ]


def _flipped(container: bytes, name: str) -> bytes:
    """The container with one bit of one part turned: in the middle of it, in a token at its end, where its signature is.

    (A token's middle is the copy of the authority's certificate, which no signature covers and no verifier reads.)
    """
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(container)) as source, zipfile.ZipFile(out, "w") as target:
        for info in source.infolist():
            data = bytearray(source.read(info))
            if info.filename == name and data:
                data[-10 if name.endswith(".tst") else len(data) // 2] ^= 1
            target.writestr(info, bytes(data))
    return out.getvalue()


def _outage(stage: Stage, why: Call, ask: dict[str, str]) -> None:
    country = stage.country
    country.federation.kill("00-RNSS-sistema")
    down = stage.ask("30-IPE/AFIL", "00-RNSS", "buscarBeneficiario", ask, why)
    stage.expect(down.error == "server.serverproxy.network_error", f"the registry is down: {down.error}")
    country.start_system("00-RNSS")
    country.federation.wait_for(f"http://{country.address('00-RNSS')}:9000/estado")
    stage.done(stage.ask("30-IPE/AFIL", "00-RNSS", "buscarBeneficiario", ask, why), "it is back")


def _authorities_down(stage: Stage, why: Call, ask: dict[str, str]) -> None:
    """With the timestamping authority down messages go on and queue for their timestamps; later they have them."""
    country = stage.country
    country.federation.kill("trust")
    reply = stage.ask("30-IPE/AFIL", "00-RNSS", "buscarBeneficiario", ask, why)
    stage.done(reply, "an exchange without timestamping authority")
    stage.expect(not _stamped(stage, "30-IPE", reply), "its record waits for a timestamp")
    country.federation.start_trust()
    stage.wait("it is timestamped once the authority is back", lambda: _stamped(stage, "30-IPE", reply), 120)
    stage.prove([reply])


def _stamped(stage: Stage, code: str, reply: Reply) -> bool:
    """Whether every record of a message has its timestamp in a gateway's log."""
    file = stage.country.folder / code / "log" / "messages.sqlite"
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5)
    try:
        rows = connection.execute(
            "SELECT stamped.record_id FROM record LEFT JOIN stamped ON stamped.record_id = record.id "
            "WHERE record.message_id = ?",
            (reply.message_id,),
        ).fetchall()
    finally:
        connection.close()
    return bool(rows) and all(r[0] is not None for r in rows)


def _day_without(stage: Stage) -> None:
    """A day without ISSSTESON, system and gateway: the case finishes without loss, duplicates or broken chains.

    The day passes on the systems' clock; the gateways go by the machine's.
    """
    country, away = stage.country, "26-ISSSTESON"
    stage.at("2026-05-12T09:00:00-06:00")
    case = PortCase(stage, "PORT-15-2026-00000014", "15-ISSEMYM", [away], "CONV-DEMO-2025-01", "VEJEZ")
    pid = pid_of("ana", "15-ISSEMYM")
    case.present(pid)
    case.cause("15-ISSEMYM", "ADMITIR", "ADMITIDA")
    country.federation.kill(f"{away}-sistema")
    country.federation.kill(away)
    event = case.event("SOLICITAR_HISTORIA", "HISTORIA_SOLICITADA")
    here = stage.done(case.post("15-ISSEMYM", "15-ISSEMYM", event), "the responsible notes its event")
    lost = case.post("15-ISSEMYM", away, event)
    stage.expect(lost.error is not None, f"the other side is away: {lost.error} {lost.body}")
    stage.at("2026-05-13T09:00:00-06:00")
    country.start_system(away)
    country.start_gateway(away)
    country.federation.wait_for(f"http://{country.address(away)}:9000/estado")
    stage.wait(
        "a day later it takes the event", lambda: case.post("15-ISSEMYM", away, event).body == here, 60
    )
    stage.expect(case.post("15-ISSEMYM", away, event).body == here, "and taking it again changes nothing")
    case.take(event)
    why = case.why()
    testigo = stage.token("15-ISSEMYM/PORT", pid, away, why)
    history = stage.ask("15-ISSEMYM/PORT", away, "consultarHistoria", {"testigo": testigo}, why)
    case.deliver(away, stage.done(history, "its history"), "HISTORIA_RECIBIDA")
    stage.prove()
    last = eventchain.check_chain(case.chain)
    for code in ("15-ISSEMYM", away):
        sql = f"SELECT count(*), count(DISTINCT sequence) FROM port_event WHERE case_id = '{case.case}'"
        stage.expect(query(stage, code, sql) == [(4, 4)], f"{code} holds each event once")
        stage.expect(case.seen_by(code)["ultimoHash"] == last, f"{code} holds the whole chain")


def _breach(stage: Stage) -> None:
    """A lost key: the record with its notices, and the open cases with the suspended member."""
    file = stage.country.folder / "vulneracion.json"
    report = {
        "fecha": "2026-05-12",
        "motivo": "Pérdida de un equipo con la llave de firma de 30-IPE",
        "naturaleza": "Una llave de firma pudo quedar en manos de terceros.",
        "datos": "Ninguno consta; se revisan los accesos de la última semana.",
        "recomendaciones": "Revise quién consultó sus datos.",
        "medidas": "La llave fue revocada y el miembro, suspendido.",
        "contacto": "https://issemym.example/incidentes",
    }
    file.write_text(json.dumps(report | {"medidas": ""}), encoding="utf-8")
    arguments = ("breach", "--member", "26-ISSSTESON", "--about", "MX/GOB/30-IPE", str(file))
    lacking = stage.officer("26-ISSSTESON", *arguments)
    stage.expect(lacking.returncode != 0 and "medidas" in lacking.stderr, f"no measures: {lacking.stderr}")
    file.write_text(json.dumps(report), encoding="utf-8")
    done = stage.officer("26-ISSSTESON", *arguments)
    stage.expect(
        "breach 1: 4 notices" in done.stdout, f"authority and three persons: {done.stdout} {done.stderr}"
    )
    stage.expect(
        "PORT-26-2026-00000008" not in done.stdout, f"a case that lapsed is not open any more: {done.stdout}"
    )


def _suspend(stage: Stage, why: Call, ask: dict[str, str]) -> None:
    governing = stage.country.governing
    order = build_suspension("orden-2026-001", "MX/GOB/30-IPE", EFFECTIVE, "Tercera violación de la política")
    try:
        governing.load(stage.country.gateways(), governing.sign(order, (0, 1)), "orden.json")
        stage.expect(False, "an order with 2 of 3 signatures was taken")
    except SystemExit:
        stage.expect(True, "an order with 2 of 3 signatures is refused")
    governing.load(stage.country.gateways(), governing.sign(order), "orden.json")
    stage.wait(
        "within seconds the registry's gateway refuses the suspended member",
        lambda: (
            stage.ask("30-IPE/AFIL", "00-RNSS", "buscarBeneficiario", ask, why).body.get("codigo") == "SS-603"
        ),
    )
    stage.prove()
    other = Call("PUR-IDENT", "CONS-15-2026-00000140", "ANALISTA_AFILIACION", "Alta")
    fine = stage.ask(
        "15-ISSEMYM/AFIL", "00-RNSS", "buscarBeneficiario", {"pid": pid_of("ana", "15-ISSEMYM")}, other
    )
    stage.done(fine, "others are not touched")
