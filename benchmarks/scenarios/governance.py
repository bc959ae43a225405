"""S01 and S10: a new institute joins, and purpose limits hold."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from benchmarks.calls import Call
from benchmarks.country import member_path
from benchmarks.federation import run_command
from benchmarks.scenarios.rights import query
from benchmarks.scenarios.stage import Stage, pid_of
from gateway.cli.main import main as gateway_command
from social_security.domain import pack
from social_security.oniess.enforcement import trace
from social_security.wire.policydocument import build_policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.calls import Reply

CASE = "ALTA-14-2026-00000001"
SHA = "d" * 64
SUBSYSTEMS = ["AFIL", "HIST", "PORT", "EXTERNOS", "ARCO", "BITACORA", "VITAL"]
ROLES = ["TITULAR", "UNIDAD_TRANSPARENCIA", "SEGURIDAD", "TECNICO", "JURIDICO", "INCIDENTES_24X7"]


def s01(stage: Stage) -> None:
    """A new institute joins."""
    stage.at("2026-03-02T10:00:00-06:00")
    contacts = [{"rol": r, "correo": f"{r.lower().replace('_', '.')}@ipejal.example"} for r in ROLES]
    body = {
        "nombre": "Instituto de Pensiones del Estado de Jalisco",
        "entidad": "14",
        "clasePropuesta": "GOB",
        "codigoPropuesto": "14-IPEJAL",
        "fundamentoCreacion": "Ley del Instituto de Pensiones del Estado de Jalisco",
        "subsistemas": SUBSYSTEMS,
        "contactos": contacts,
    }
    lacking = alta(stage, "solicitarAlta", body | {"contactos": contacts[:5] + contacts[:1]})
    stage.refused(lacking, "SS-600", "five roles of six")
    opened = stage.done(alta(stage, "solicitarAlta", body), "solicitarAlta")
    stage.expect(opened["estado"] == "SOLICITADA" and len(opened["compuertas"]) == 9, "nine gates")
    impact = stage.done(gate(stage, "impacto", presentadaEl="2026-03-02"), "impacto")
    stage.expect(impact["operacionDesde"] == "2026-04-13", f"from {impact['operacionDesde']}")
    stage.refused(activate(stage, "2026-04-01"), "SS-601", "before the term")
    for name in ("documentos", "contactos", "seguridad", "avisos", "convenio", "certificados"):
        stage.done(gate(stage, name), name)
    stage.at("2026-04-13T10:00:00-06:00")
    open_gate = activate(stage, "2026-04-13")
    stage.refused(open_gate, "SS-600", "gate conformidad is open")
    stage.expect("conformidad" in open_gate.body["mensaje"], "the open gate is named")
    _conform(stage)
    governing = stage.country.governing
    now = datetime(2026, 4, 13, 16, tzinfo=UTC)
    right = governing.policy_hash()
    stage.refused(
        gate(stage, "titular", adopcion=governing.adopt(SHA, now)), "SS-604", "a signature over another hash"
    )
    old = governing.adopt(right, now - timedelta(days=900))
    stage.refused(gate(stage, "titular", adopcion=old), "SS-604", "an expired certificate")
    forged = governing.adopt(right, now) | {"firma": base64.b64encode(b"0" * 70).decode()}
    stage.refused(gate(stage, "titular", adopcion=forged), "SS-604", "a forged signature")
    stage.done(gate(stage, "titular", adopcion=governing.adopt(right, now)), "titular")
    active = activate(stage, "2026-04-13")
    stage.expect(stage.done(active, "activarAlta")["estado"] == "ACTIVA", "ACTIVA")
    stage.prove([open_gate, active])
    stage.country.grant("14-IPEJAL")
    _first_answers(stage)


def _conform(stage: Stage) -> None:
    """The candidate's machine and services: registered and running, preflight and suite by their commands, signed."""
    country, code = stage.country, "14-IPEJAL"
    country.add(code)
    failed = {"suite": "OSS-CONF 1.0", "fecha": "2026-04-10", "pruebas": {"C-01": True, "C-02": False}}
    stage.refused(gate(stage, "conformidad", reporte=failed), "SS-602", "a failed conformance test")
    out, folder = country.folder / "conformidad.json", country.system_folder(code)
    ran = _run("social_security", "conformance", "--settings", folder / "settings.toml", "--out", out)
    stage.need(ran.returncode == 0, f"the conformance suite passes: {ran.stdout[-600:]} {ran.stderr[-300:]}")
    report = json.loads(out.read_text())
    stage.refused(gate(stage, "conformidad", reporte=report), "SS-602", "no preflight report")
    targets = country.folder / "objetivos.toml"
    targets.write_text("cores = 1\nmemory_mib = 500\ndisk_mib = 200\n", encoding="ascii")
    signed, data = country.folder / "preflight.json", country.folder / code
    ran = _run(
        "gateway", "preflight", "--data", data, "--pin-file", country.folder / "pin", "--settings",
        data / "settings.toml", "--url", f"http://{country.address(code)}:5588/", "--targets", targets, "--out", signed,
    )  # fmt: skip
    stage.need(ran.returncode == 0, f"preflight passes: {ran.stdout[-900:]} {ran.stderr[-300:]}")
    preflight = json.loads(signed.read_text())
    document = base64.b64decode(preflight["document"]).replace(b"14-IPEJAL", b"15-ISSEMYM")
    forged = preflight | {"document": base64.b64encode(document).decode()}
    stage.refused(
        gate(stage, "conformidad", reporte=report, preflight=forged), "SS-602", "a forged preflight report"
    )
    stage.done(gate(stage, "conformidad", reporte=report, preflight=preflight), "conformidad")


def _run(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """One of the project's commands, as a candidate's engineer runs it."""
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _first_answers(stage: Stage) -> None:
    """Each of the other three has granted a right; nothing else changed at them."""
    replies: list[Reply] = []
    for code in ("15-ISSEMYM", "26-ISSSTESON", "30-IPE"):
        started = time.monotonic()
        while True:
            reply = stage.country.send("14-IPEJAL/AFIL", f"{member_path(code)}/AFIL", "GET", "/estado")
            if reply.status == 200 or time.monotonic() - started > 30:
                break
            time.sleep(0.5)  # the gateways poll the configuration every few seconds
        stage.expect(
            reply.body.get("member") == member_path(code),
            f"signed answer of {code}: {reply.error} {reply.body}",
        )
        replies.append(reply)
    stage.prove(replies)
    console = stage.country.send("14-IPEJAL/AFIL", "MX/GOB/00-ONIESS/GOBIERNO", "GET", "/consola")
    shown = [a for a in console.body.get("altas", []) if a["codigo"] == "14-IPEJAL"]
    stage.expect(
        shown
        and set(shown[0]["compuertas"].values()) == {"APROBADA"}
        and shown[0]["camino"][-1] == "activarAlta",
        "the console shows nine green gates and the whole path",
    )


def alta(stage: Stage, operation: str, body: dict[str, Any], **path: str) -> Reply:
    """One operation of onboarding, by ONIESS's operator."""
    why = Call("PUR-ALTA", CASE, "OPERADOR_ALTA", "Incorporación de miembro")
    return stage.ask("00-ONIESS/ALTA", "00-ONIESS", operation, body, why, **path)


def gate(stage: Stage, name: str, **more: Any) -> Reply:
    """Approve a gate with its evidence."""
    body = {"resultado": "APROBADA", "evidenciaSha256": SHA, "resueltoPor": "oniess:op-1", **more}
    return alta(stage, "resolverCompuerta", body, caso=CASE, compuerta=name)


def activate(stage: Stage, day: str) -> Reply:
    """Ask for operation from a day on."""
    return alta(stage, "activarAlta", {"fecha": day}, caso=CASE)


def s10(stage: Stage) -> None:
    """Purpose limits and minimisation."""
    stage.at("2026-04-20T10:00:00-06:00")
    pair = {"pid": "VMP5P6A3TQ8FQZ4H1PX3GS1Q24R"}
    port = Call("PUR-PORT", "PORT-30-2026-00000099", "ANALISTA_PORTABILIDAD", "Totalización")
    benefit = Call("PUR-BENEF", "CONS-30-2026-00000099", "ANALISTA_PORTABILIDAD", "Requisitos")

    def history(call: Call) -> Reply:
        return stage.ask("30-IPE/PORT", "15-ISSEMYM", "consultarHistoria", pair, call)

    stage.refused(history(benefit), "SS-201", "PUR-BENEF asking for a history")
    stage.refused(history(port), "SS-205", "PUR-PORT without an open case")
    notice = f"https://ipe.example/aviso/v3;sha256={'e' * 64}"
    stage.refused(history(_with(port, "X-OSS-Aviso", notice)), "SS-204", "another notice")
    stage.refused(history(_with(port, "X-OSS-Fundamento", "mx:LGPDPPSO-16-II")), "SS-202", "one basis of two")
    stage.refused(history(_with(port, "X-OSS-Fundamento", "")), "SS-202", "no legal basis")
    stage.refused(history(_with(port, "X-OSS-Rol", "AUDITOR")), "SS-210", "another role")
    stage.refused(history(_with(port, "X-OSS-Politica", "0.9.0")), "SS-203", "another policy version")
    in_path = stage.country.send(
        "30-IPE/PORT", "MX/GOB/15-ISSEMYM/HIST", "POST", "/historias/consultar?quien=EEPA780514MMCJRN95", pair
    )
    stage.refused(in_path, "SS-105", "a CURP in the address")
    stage.expect(in_path.body.get("regla") == "oss:no-curp", f"the refusal names its rule: {in_path.body}")
    stage.prove([stage.replies[0], in_path])
    _quota(stage)
    _rogue(stage)
    _kept_at_home(stage, pair, port)
    stage.expect(len(trace()) == len(pack.operations()), "the matrix from law to evidence has no gap")
    _escalated(stage, pair)


def _with(call: Call, name: str, value: str) -> Call:
    return Call(call.purpose, call.case, call.role, call.reason, headers={name: value})


def _quota(stage: Stage) -> None:
    """All the look-ups of an analyst's day, and one more; the registry's gateway restarts on the way."""
    why = Call("PUR-IDENT", "CONS-15-2026-00000077", "ANALISTA_AFILIACION", "Alta", user="emp-2001")
    body = {"pid": pid_of("ana", "15-ISSEMYM")}
    country = stage.country

    def ask(_number: int) -> int:
        return country.call("15-ISSEMYM/AFIL", "00-RNSS", "buscarBeneficiario", body, why).status

    quota = country.quota
    with ThreadPoolExecutor(8) as pool:
        first = list(pool.map(ask, range(quota // 2)))
        country.restart_gateway("00-RNSS")
        second = list(pool.map(ask, range(quota // 2, quota)))
    done = (first + second).count(200)
    stage.expect(done == quota, f"{quota} look-ups are within the quota: {done} were answered")
    reply = stage.ask("15-ISSEMYM/AFIL", "00-RNSS", "buscarBeneficiario", body, why)
    stage.refused(reply, "SS-304", f"the {quota + 1:,}th look-up of the day")
    stage.prove()
    read = country.send(
        "30-IPE/PORT", "MX/GOB/00-ONIESS/GOBIERNO", "GET", "/indicadores?periodo=2026-04&formato=csv"
    )
    rows = {r["id"]: r for r in csv.DictReader(io.StringIO(read.text))}
    stage.expect(
        int(rows["IND-15"]["numerador"] or 0) >= quota,
        f"IND-15 shows look-ups without a case: {rows['IND-15']}",
    )


def _rogue(stage: Stage) -> None:
    """A system that answers more than it may; then a policy that grants one field more."""
    country = stage.country
    why = Call("PUR-AFIL", "CONS-30-2026-00000078", "ANALISTA_AFILIACION", "Verificar afiliación")
    body = {"pid": pid_of("saul", "30-IPE")}

    def ask(call: Call) -> Reply:
        return stage.ask("30-IPE/AFIL", "22-MQRO", "consultarAfiliacion", body, call)

    def serve(*arguments: str) -> None:
        country.federation.kill("22-MQRO-sistema")
        country.federation.start(
            "22-MQRO-sistema", "benchmarks.scenarios.rogue", country.address("22-MQRO"), "9000", *arguments
        )
        country.federation.wait_for(f"http://{country.address('22-MQRO')}:9000/estado")

    serve()
    named = ask(why)
    stage.refused(named, "SS-201", "an answer with a name")
    stage.expect(
        named.body.get("campo") == "nombre" and "Persona" not in str(named.body),
        f"nothing of it left: {named.body}",
    )
    stage.prove([named])
    serve("--office")
    stage.refused(ask(why), "SS-201", "a field that 1.0.0 does not grant")
    previous = country.governing.policy_hash()
    data, file = country.folder / "22-MQRO", country.folder / "politica-1.1.json"
    for number, seconds in enumerate(_LIVES):
        version, ends = f"1.1.{number}", datetime.now(UTC) + timedelta(seconds=seconds)
        wider = build_policy(
            version,
            datetime.now(UTC),
            effective_until=ends,
            previous=previous,
            more_answer_fields={"consultarAfiliacion": ("delegacion",)},
        )
        previous = hashlib.sha256(wider).hexdigest()
        if number == 0:
            file.write_bytes(country.governing.sign(wider, (0, 1)))
            try:
                run_command(gateway_command, "policy", "load", "--data", str(data), str(file))
                stage.expect(False, "2 of 3 signatures were taken")
            except SystemExit:
                stage.expect(True, "2 of 3 signatures are not loaded")
        file.write_bytes(country.governing.sign(wider))
        run_command(gateway_command, "policy", "load", "--data", str(data), str(file))
        newer = _with(why, "X-OSS-Politica", version)
        passed = _before(ends, lambda call=newer: ask(call).body.get("delegacion") == "Centro")  # type: ignore[misc]
        if passed:
            break
    stage.expect(passed, "a wider policy in force lets the field pass")
    country.federation.kill("22-MQRO-sistema")
    country.start_system("22-MQRO")
    country.federation.wait_for(f"http://{country.address('22-MQRO')}:9000/estado")
    time.sleep(max(0.0, (ends - datetime.now(UTC)).total_seconds() + 0.5))


# How long a passing policy or order holds, in seconds: long enough for a quiet machine, then for slower ones.
_LIVES = (12, 60, 240)


def _before(ends: datetime, ok: Callable[[], bool]) -> bool:
    """Whether something was seen to hold before a moment."""
    while datetime.now(UTC) < ends:
        if ok():
            return True
        time.sleep(0.2)
    return False


def _kept_at_home(stage: Stage, pair: dict[str, str], port: Call) -> None:
    """With a pre-check IPE's own gateway refuses early what the provider's would, and says the rule."""
    data = str(stage.country.folder / "30-IPE")
    before = stage.country.governing.policy_id()

    def error() -> str | None:
        call = _with(port, "X-OSS-Rol", "AUDITOR")
        return stage.ask("30-IPE/PORT", "15-ISSEMYM", "consultarHistoria", pair, call).error

    run_command(gateway_command, "policy", "precheck", "--data", data, "--policy", before)
    stage.wait("a pre-check holds the request at home", lambda: error() == "server.clientproxy.access_denied")
    run_command(gateway_command, "policy", "precheck", "--data", data, "--policy", before, "--off")
    stage.wait("without it the provider refuses, signed", lambda: error() is None)
    stage.prove()


def _escalated(stage: Stage, pair: dict[str, str]) -> None:
    """Warning, plan, and an order laid before the governing body; signed, it holds for as long as it says."""
    country, member = stage.country, "MX/GOB/30-IPE"
    stage.wait(
        "ONIESS takes the three measures and IPE acknowledges them",
        lambda: (
            [r[0] for r in query(stage, "30-IPE", "SELECT measure FROM measure ORDER BY measure_id")]
            == ["APERCIBIMIENTO", "PLAN", "SUSPENSION"]
        ),
        60,
    )
    read = country.send("30-IPE/PORT", "MX/GOB/00-ONIESS/GOBIERNO", "GET", "/violaciones").body
    report = [v for v in read["violaciones"] if v["miembro"] == member]
    stage.expect(
        sum(v["casos"] for v in report) >= 3 and all(v["regla"] for v in report),
        f"IPE's violations are public by rule: {report}",
    )
    laid = country.send("30-IPE/PORT", "MX/GOB/00-ONIESS/GOBIERNO", "GET", "/ordenes").body["propuestas"]
    order = next(p["documento"] for p in laid if p["miembro"] == member)
    port = Call("PUR-PORT", "PORT-30-2026-00000099", "ANALISTA_PORTABILIDAD", "Totalización")

    def code() -> object:
        return stage.ask("30-IPE/PORT", "15-ISSEMYM", "consultarHistoria", pair, port).body.get("codigo")

    for number, seconds in enumerate(_LIVES):
        ends = datetime.now(UTC) + timedelta(seconds=seconds)
        changed = {"id": f"{order['id']}-{number}", "effective_until": ends.isoformat()}
        signed = country.governing.sign(json.dumps(order | changed, ensure_ascii=False).encode())
        country.governing.load(country.gateways(), signed, "orden-s10.json")
        effective = _before(ends, lambda: code() == "SS-603")
        if effective:
            break
    stage.expect(effective, "the signed order is effective")
    stage.prove()
    time.sleep(max(0.0, (ends - datetime.now(UTC)).total_seconds()))
    stage.wait("it ends when it says", lambda: code() == "SS-205", 30)
