"""S02 to S04: find a person, totalise her history across three states, and the normal refusal without convention."""

from __future__ import annotations

import json
from datetime import date
from typing import TYPE_CHECKING, Any

from benchmarks.calls import Call
from benchmarks.scenarios.stage import PortCase, Stage, curp_of, pid_of
from benchmarks.soapcalls import soap_call
from social_security.domain import eventchain
from social_security.domain.edition import package_edition
from social_security.domain.history import Period, parse_rules, share, total
from social_security.domain.notices import notice_of
from social_security.wire.gatewayfile import DCI

if TYPE_CHECKING:
    from benchmarks.calls import Reply

CONVENTION_14_26 = {
    "id": "CONV-DEMO-2026-02",
    "members": ["MX/GOB/14-IPEJAL", "MX/GOB/26-ISSSTESON"],
    "effects": ["ADQUISICION"],
    "benefits": ["JUBILACION", "VEJEZ"],
    "rules": {
        "days_per_week": 7,
        "weeks_per_year": 52,
        "fraction_weeks": 26,
        "rounding": "AL_FINAL",
        "overlap": "EARLIER_INSTITUTE",
        "pro_rata": "DAYS",
    },
    "since": "2026-01-01",
    "until": None,
    "requirements": {
        "consejo": True,
        "opinion_hacienda": True,
        "reglas": True,
        "recursos": True,
        "actuario": True,
    },
}
RULES = parse_rules(CONVENTION_14_26["rules"])  # type: ignore[arg-type]


def s02(stage: Stage) -> None:
    """Find a person and get pseudonyms."""
    stage.at("2026-03-02T09:00:00-06:00")
    why = Call("PUR-IDENT", "CONS-15-2026-00000001", "ANALISTA_AFILIACION", "Alta de trabajadora")
    ana = curp_of("ana")
    first = stage.ask("15-ISSEMYM/AFIL", "00-RNSS", "buscarBeneficiario", {"curp": ana}, why)
    stage.expect(
        first.body == {"resultado": "COINCIDE", "pid": pid_of("ana", "15-ISSEMYM")},
        f"match only: {first.body}",
    )
    why26 = Call("PUR-IDENT", "CONS-26-2026-00000001", "ANALISTA_AFILIACION", "Alta de trabajadora")
    other = stage.ask("26-ISSSTESON/AFIL", "00-RNSS", "buscarBeneficiario", {"curp": ana}, why26)
    stage.expect(
        other.body.get("pid") == pid_of("ana", "26-ISSSTESON"), "another institute, another pseudonym"
    )
    for body, code in (
        ({"curp": "EEPA780514MMCJRN94"}, "SS-102"),
        ({"curp": "EEPA780514MMCJRN9O"}, "SS-101"),
        ({"curp": "SABC560631MDFLRN06"}, "SS-103"),
        ({"pid": "C77536HD0CYA1RRC9HFC4CF1SRD"}, "SS-104"),
        ({"curp": ana, "fechaNacimiento": "1979-05-14"}, "SS-301"),
    ):
        stage.refused(
            stage.ask("15-ISSEMYM/AFIL", "00-RNSS", "buscarBeneficiario", body, why), code, f"{code}"
        )
    in_url = stage.country.send(
        "15-ISSEMYM/AFIL", "MX/GOB/00-RNSS/IDENT", "POST", f"/beneficiarios/buscar?curp={ana}", {"curp": ana}
    )
    stage.refused(in_url, "SS-105", "a CURP in the address")
    port = Call("PUR-PORT", "PORT-15-2026-00000001", "ANALISTA_PORTABILIDAD", "Totalización")
    pair = stage.ask(
        "15-ISSEMYM/PORT",
        "00-RNSS",
        "traducirPid",
        {"pid": pid_of("ana", "15-ISSEMYM"), "destino": "MX/GOB/26-ISSSTESON"},
        port,
    )
    stage.expect(pair.body.get("pidPar") == "5A2C74QTNVFGEC18CC61GDARCCD", "PID-P of the pair")
    port26 = Call("PUR-PORT", "PORT-26-2026-00000001", "ANALISTA_PORTABILIDAD", "Totalización")
    back = stage.ask(
        "26-ISSSTESON/PORT",
        "00-RNSS",
        "traducirPid",
        {"pid": pid_of("ana", "26-ISSSTESON"), "destino": "MX/GOB/15-ISSEMYM"},
        port26,
    )
    stage.expect(back.body.get("pidPar") == "AJNFRDKTSHCHQJJSAS142ESQYGQ", "direction matters")
    _tokens(stage)
    stage.prove([first, in_url])
    _over_soap(stage)
    _over_dci(stage)


def _over_dci(stage: Stage) -> None:
    """A DCI speaker finds the same person, and an expression finds nobody."""
    country, at = stage.country, "2026-03-02T09:00:00-06:00"
    uri, digest = notice_of(package_edition(), "15-ISSEMYM")

    def search(**criteria: Any) -> Reply:
        entry = {
            "reference_id": "r-1",
            "timestamp": at,
            "search_criteria": {
                "query_type": "idtype-value",
                "query": {"type": "MX-PID", "value": pid_of("ana", "15-ISSEMYM")},
                "consent": {
                    "purpose": {"code": "PUR-IDENT", "text": "Alta", "ref_uri": f"{uri};sha256={digest}"}
                },
                "authorize": {
                    "purpose": {
                        "code": "CONS-15-2026-00000004",
                        "text": "ANALISTA_AFILIACION",
                        "ref_uri": "mx:LGPDPPSO-16-I",
                    }
                },
                **criteria,
            },
        }
        header = {
            "version": "1.0.0",
            "message_id": "1",
            "message_ts": at,
            "action": "search",
            "total_count": 1,
        }
        body = {"signature": "", "header": header, "message": {"search_request": [entry]}}
        return country.send(
            "15-ISSEMYM/AFIL",
            "MX/GOB/00-RNSS/IDENT",
            "POST",
            "/registry/sync/search",
            body,
            {"X-Road-UserId": "MX-15-ISSEMYM:emp-1", "Content-Type": "application/json"},
            service=DCI,
        )

    found = search()
    records = [r["data"]["reg_records"] for r in found.body.get("message", {}).get("search_response", [])]
    stage.expect(
        records == [[{"pid": pid_of("ana", "15-ISSEMYM"), "nivel": "LOA2", "estadoVital": "VIVA"}]],
        f"over DCI: {found.error} {found.body}",
    )
    fished = search(query_type="expression", query={"sex": "F"})
    codes = [r["status_reason_code"] for r in fished.body.get("message", {}).get("search_response", [])]
    stage.expect(codes == ["rjct.search_criteria.invalid"], f"nobody fishes: {fished.body}")
    stage.prove([found])


def _over_soap(stage: Stage) -> None:
    """The same look-up and the same refusals over SOAP: signed answers, never faults."""
    why = Call("PUR-IDENT", "CONS-15-2026-00000003", "ANALISTA_AFILIACION", "Alta de trabajadora")

    def find(who: str, call: Call) -> Reply:
        content = f"<ss:persona>{who}</ss:persona>"
        return soap_call(stage.country, "15-ISSEMYM/AFIL", "00-RNSS", "buscarBeneficiario", content, call)

    found = find(f"<ss:curp>{curp_of('ana')}</ss:curp>", why)
    stage.expect(
        found.body == {"resultado": "COINCIDE", "pid": pid_of("ana", "15-ISSEMYM")},
        f"over SOAP: {found.body}",
    )
    wrong = find("<ss:curp>EEPA780514MMCJRN94</ss:curp>", why)
    stage.expect((wrong.error, wrong.body.get("codigo")) == (None, "SS-102"), f"the registry's: {wrong.body}")
    purpose = Call("PUR-HIST", why.case, why.role, why.reason)
    refused = find(f"<ss:pid>{pid_of('ana', '15-ISSEMYM')}</ss:pid>", purpose)
    stage.expect(
        (refused.error, refused.body.get("codigo")) == (None, "SS-201"), f"the gateway's: {refused.body}"
    )
    stage.prove([found, wrong, refused])


def _tokens(stage: Stage) -> None:
    why = Call("PUR-AFIL", "CONS-15-2026-00000002", "ANALISTA_AFILIACION", "Verificar afiliación")
    testigo = {"testigo": stage.token("15-ISSEMYM/AFIL", pid_of("ana", "15-ISSEMYM"), "26-ISSSTESON", why)}
    answer = stage.ask("15-ISSEMYM/AFIL", "26-ISSSTESON", "consultarAfiliacion", testigo, why)
    stage.expect(stage.done(answer, "affiliation")["hasta"] == "2015-02-15", "state and dates")
    again = stage.ask("15-ISSEMYM/AFIL", "26-ISSSTESON", "consultarAfiliacion", testigo, why)
    stage.refused(again, "SS-209", "the token twice")
    elsewhere = stage.ask("15-ISSEMYM/AFIL", "30-IPE", "consultarAfiliacion", testigo, why)
    stage.refused(elsewhere, "SS-209", "the token at IPE")
    stage.prove([answer])


def s03(stage: Stage) -> None:
    """Mobility: 25 recognised years across three states."""
    stage.at("2026-03-02T09:00:00-06:00")
    case = PortCase(
        stage,
        "PORT-30-2026-00000017",
        "30-IPE",
        ["15-ISSEMYM", "26-ISSSTESON"],
        "CONV-DEMO-2025-01",
        "JUBILACION",
    )
    pid = pid_of("ana", "30-IPE")
    _register(stage, case, pid, "ABIERTO")
    found = stage.ask("30-IPE/PORT", "00-RNSS", "localizarHistoria", {"pid": pid}, case.why())
    stage.expect(
        stage.done(found, "localizarHistoria")["institutos"]
        == ["MX/GOB/15-ISSEMYM", "MX/GOB/26-ISSSTESON", "MX/GOB/30-IPE"],
        "the three institutes hold a history",
    )
    case.present(pid)
    case.cause("30-IPE", "ADMITIR", "ADMITIDA")
    case.cause("30-IPE", "SOLICITAR_HISTORIA", "HISTORIA_SOLICITADA")
    own = stage.ask("30-IPE/PORT", "30-IPE", "consultarHistoria", {"pid": pid}, case.why())
    histories = {"30-IPE": stage.done(own, "own history")}
    for code, days in (("15-ISSEMYM", 3837), ("26-ISSSTESON", 2010)):
        testigo = stage.token("30-IPE/PORT", pid, code, case.why())
        reply = stage.ask("30-IPE/PORT", code, "consultarHistoria", {"testigo": testigo}, case.why())
        histories[code] = stage.done(reply, f"history of {code}")
        stage.expect(histories[code]["totalDias"] == days, f"{code}: {histories[code]['totalDias']} days")
        stage.prove([reply])
    stage.expect(
        histories["15-ISSEMYM"]["pid"] == "VMP5P6A3TQ8FQZ4H1PX3GS1Q24R",
        "the pair's pseudonym is in the history",
    )
    _wrong_deliveries(stage, case, histories["15-ISSEMYM"])
    case.deliver("15-ISSEMYM", histories["15-ISSEMYM"], "HISTORIA_SOLICITADA")
    case.deliver("26-ISSSTESON", histories["26-ISSSTESON"], "HISTORIA_RECIBIDA")
    made = _totalise(stage, case, histories)
    stage.expect(
        share(1_800_000, made.parts)
        == {"MX/GOB/15-ISSEMYM": 762_402, "MX/GOB/26-ISSSTESON": 396_203, "MX/GOB/30-IPE": 641_395},
        "18,000.00 a month splits to the centavo",
    )
    case.cause("30-IPE", "PROYECTAR", "PROYECTO_RESOLUCION")
    case.cause("30-IPE", "CONFORMAR", "CONFORMIDAD_TITULAR", role="TITULAR")
    case.cause("15-ISSEMYM", "CONFIRMAR_TRANSFERENCIA", "CONFORMIDAD_TITULAR")
    case.cause("26-ISSSTESON", "CONFIRMAR_TRANSFERENCIA", "TRANSFERIDA")
    case.cause("30-IPE", "RESOLVER", "RESUELTA")
    stage.prove()
    case.cause("30-IPE", "CERRAR", "CERRADA")
    _register(stage, case, pid, "CERRADO")
    last = eventchain.check_chain(case.chain)
    for code in ("30-IPE", "15-ISSEMYM", "26-ISSSTESON"):
        seen = case.seen_by(code)
        stage.expect(
            (seen["estado"], seen["ultimoHash"]) == ("CERRADA", last), f"{code} holds the whole chain: {seen}"
        )
    _eligible(stage)


def _eligible(stage: Stage) -> None:
    """The public catalogue of benefits, and requirements checked from totals only."""
    read = stage.country.send("30-IPE/AFIL", "MX/GOB/00-ONIESS/GOBIERNO", "GET", "/beneficios")
    offered = [e for e in read.body.get("@graph", []) if e["@type"] == "cpsv:PublicService"]
    stage.expect(
        any(e["@id"].endswith("MX/GOB/30-IPE/JUBILACION") for e in offered),
        "IPE's pension is in the catalogue",
    )
    why = Call("PUR-BENEF", "CONS-30-2026-00000017", "ANALISTA_AFILIACION", "Requisitos")
    mine = {"pid": pid_of("ana", "30-IPE")}

    def check(**more: Any) -> dict[str, Any]:
        reply = stage.ask("30-IPE/AFIL", "30-IPE", "verificarElegibilidad", {**mine, **more}, why)
        return stage.done(reply, "verificarElegibilidad")

    met = check(beneficio="JUBILACION", totales={"diasUnion": 9059})
    stage.expect(
        (met["resultado"], met["requisitos"][0].get("tiene")) == ("CUMPLE", 25), f"25 years of 25: {met}"
    )
    alone = check(beneficio="JUBILACION")
    stage.expect(alone["resultado"] == "NO_CUMPLE", f"IPE's own days do not suffice: {alone}")
    unknown = check(beneficio="VEJEZ", totales={"diasUnion": 9059})
    stage.expect(
        [r["resultado"] for r in unknown["requisitos"]] == ["DESCONOCIDO", "CUMPLE"],
        f"an age nobody said is unknown: {unknown}",
    )
    stage.prove()


def _wrong_deliveries(stage: Stage, case: PortCase, history: dict[str, Any]) -> None:
    def wrong(changed: dict[str, Any], **event: Any) -> Reply:
        body = (
            case.event("ENTREGAR_HISTORIA", "HISTORIA_SOLICITADA")
            | {"historia": [changed], "historiaSha256": [eventchain.history_digest(changed)]}
            | event
        )
        return case.post("15-ISSEMYM", "30-IPE", body)

    stage.refused(wrong(history | {"totalDias": history["totalDias"] + 1}), "SS-406", "one day too many")
    stage.refused(wrong(history, hashAnterior="f" * 64), "SS-401", "another predecessor")
    stage.refused(wrong(history, estadoNuevo="TOTALIZADA"), "SS-400", "a state the table does not give")
    stranger = case.event("RECORDAR", "HISTORIA_SOLICITADA")
    stage.refused(case.post("14-IPEJAL", "30-IPE", stranger), "SS-405", "an event from outside the case")
    repeated = dict(case.chain[-1]) | {"estadoNuevo": "ADMITIDA"}
    stage.refused(case.post("30-IPE", "15-ISSEMYM", repeated), "SS-402", "the same sequence, another content")
    same = case.post("30-IPE", "15-ISSEMYM", case.chain[-1])
    stage.expect(same.body.get("acuse") == "ACK", "the same event twice is once")


def _totalise(stage: Stage, case: PortCase, histories: dict[str, dict[str, Any]]) -> Any:
    made = total(
        [
            Period(h["instituto"], date.fromisoformat(p["desde"]), date.fromisoformat(p["hasta"]))
            for h in histories.values()
            for p in h["periodos"]
        ],
        RULES,
    )
    stage.expect(
        (made.union_days, made.overlap_days, made.weeks, made.rest_days, made.years)
        == (9059, 16, 1294, 1, 25),
        f"total: {made}",
    )
    twice = made.to_json() | {"diasUnion": 9075, "diasTraslape": 0, "aniosReconocidos": 26}
    reply = case.post("30-IPE", "30-IPE", case.event("TOTALIZAR", "TOTALIZADA") | {"totalizacion": twice})
    stage.refused(reply, "SS-406", "the overlap counted twice")
    case.cause("30-IPE", "TOTALIZAR", "TOTALIZADA", totalizacion=made.to_json())
    return made


def _register(stage: Stage, case: PortCase, pid: str, state: str) -> None:
    body = {"pid": pid, "caso": case.case, "estado": state, "beneficio": case.benefit}
    reply = stage.ask(f"{case.responsible}/PORT", "00-RNSS", "registrarCaso", body, case.why())
    stage.expect(stage.done(reply, "registrarCaso")["resultado"] == "SIN_DUPLICADO", "no duplicate")


def s04(stage: Stage) -> None:
    """No convention: a normal refusal; with one, the same request succeeds."""
    stage.at("2026-04-20T10:00:00-06:00")
    case = PortCase(
        stage, "PORT-14-2026-00000001", "14-IPEJAL", ["26-ISSSTESON"], "CONV-DEMO-2026-02", "JUBILACION"
    )
    pid = pid_of("jose-teodoro", "14-IPEJAL")
    testigo = stage.token("14-IPEJAL/PORT", pid, "26-ISSSTESON", case.why())
    reply = stage.ask("14-IPEJAL/PORT", "26-ISSSTESON", "consultarHistoria", {"testigo": testigo}, case.why())
    stage.refused(reply, "SS-403", "no convention")
    stage.expect(reply.body.get("fundamento") == "mx:LGPDPPSO-60", "the refusal names its basis")
    stage.expect(reply.body.get("autoridad") == "MX/GAR/26-GARANTE", "and where to appeal")
    stage.expect(
        reply.body.get("limiteImpugnacion") == "2026-05-13",
        f"and until when: {reply.body.get('limiteImpugnacion')}",
    )
    stage.prove([reply])
    file = stage.country.folder / "convenio.json"
    lacking = CONVENTION_14_26 | {"requirements": {**CONVENTION_14_26["requirements"], "actuario": False}}  # type: ignore[dict-item]
    file.write_text(json.dumps(lacking), encoding="utf-8")
    tried = stage.officer("00-ONIESS", "convention", str(file))
    stage.expect(tried.returncode != 0 and "actuario" in tried.stderr, f"without the actuary: {tried.stderr}")
    file.write_text(json.dumps(CONVENTION_14_26), encoding="utf-8")
    stage.expect(
        stage.officer("00-ONIESS", "convention", str(file)).returncode == 0, "the convention is registered"
    )
    case.present(pid)
    case.cause("14-IPEJAL", "ADMITIR", "ADMITIDA")
    case.cause("14-IPEJAL", "SOLICITAR_HISTORIA", "HISTORIA_SOLICITADA")
    again = stage.ask("14-IPEJAL/PORT", "26-ISSSTESON", "consultarHistoria", {"testigo": testigo}, case.why())
    history = stage.done(again, "with the convention the same request succeeds")
    stage.expect(history["totalDias"] == 9662, f"{history['totalDias']} days, as recorded")
    stage.at("2026-07-10T10:00:00-06:00")
    case.deliver("26-ISSSTESON", history, "HISTORIA_RECIBIDA")
