"""S05 to S07: access, rectification, refusal and review."""

from __future__ import annotations

import sqlite3
from typing import Any

from benchmarks.calls import Call
from benchmarks.scenarios.mobility import RULES
from benchmarks.scenarios.stage import PortCase, Stage, pid_of
from social_security.domain.eventchain import history_digest
from social_security.domain.history import check_history, total

HASH = "0" * 63 + "1"
REASONS = "La entrega afectaría derechos de una tercera persona identificada en el expediente."


def filing(right: str, received: str, codes: list[str], **more: Any) -> dict[str, Any]:
    """The body of a request."""
    return {
        "derecho": right,
        "representante": False,
        "nivelIdentidad": "LOA2",
        "modalidad": "ELECTRONICA",
        "recibidaEl": received,
        "responsables": [f"MX/GOB/{c}" for c in codes],
        **more,
    }


def arco(folio: str, role: str = "TITULAR") -> Call:
    """The context of a request."""
    return Call("PUR-ARCO", folio, role, "Ejercicio de derechos ARCO", system="Ventanilla única")


class Folio:
    """One request at one institute, as the different parties drive it."""

    def __init__(self, stage: Stage, folio: str, code: str) -> None:
        self._stage = stage
        self.folio = folio
        self.code = code

    def file(self, client: str, body: dict[str, Any]) -> dict[str, Any]:
        """File it."""
        reply = self._stage.ask(f"{client}/ARCO", self.code, "presentarArco", body, arco(self.folio))
        return self._stage.done(reply, f"{self.folio} at {self.code}")

    def advance(
        self, state: str, at: str, *, role: str = "UNIDAD_TRANSPARENCIA", client: str = "", **more: Any
    ) -> Any:
        """Cause an event at a moment; the answer."""
        self._stage.at(at)
        return self._stage.ask(
            client or f"{self.code}/ARCO",
            self.code,
            "avanzarArco",
            {"estado": state, "ocurridoEl": at, **more},
            arco(self.folio, role),
            folio=self.folio,
        )

    def see(self, client: str = "") -> dict[str, Any]:
        """State and dates."""
        reply = self._stage.ask(
            f"{client or self.code}/ARCO", self.code, "verArco", None, arco(self.folio), folio=self.folio
        )
        return self._stage.done(reply, f"{self.folio} at {self.code}")


def s05(stage: Stage) -> None:
    """Access across institutes, clocks included."""
    received = "2026-04-20T09:00:00-06:00"
    stage.at(received)
    folio, codes = "ARCO-30-2026-00000001", ["15-ISSEMYM", "26-ISSSTESON", "30-IPE"]
    children = {c: Folio(stage, folio, c) for c in codes}
    pid = pid_of("ana", "30-IPE")
    for code, child in children.items():
        who = (
            {"pid": pid}
            if code == "30-IPE"
            else {"testigo": stage.token("30-IPE/ARCO", pid, code, arco(folio))}
        )
        answer = child.file("30-IPE", filing("ACCESO", received, codes) | who)
        stage.expect(
            answer["limiteRespuesta"] == "2026-05-20", f"{code}: answer due {answer['limiteRespuesta']}"
        )
        stage.done(child.advance("EN_TRAMITE", "2026-04-21T10:00:00-06:00"), "EN_TRAMITE")
        stage.at(received)
    longer = stage.done(children["26-ISSSTESON"].advance("AMPLIADA", "2026-05-18T10:00:00-07:00"), "AMPLIADA")
    stage.expect(longer["limiteRespuesta"] == "2026-06-03", f"extension: {longer['limiteRespuesta']}")
    for code, at, execute in (
        ("30-IPE", "2026-05-19T10:00:00-06:00", "2026-06-09"),
        ("15-ISSEMYM", "2026-05-20T10:00:00-06:00", "2026-06-10"),
        ("26-ISSSTESON", "2026-06-03T10:00:00-07:00", "2026-06-24"),
    ):
        answer = stage.done(children[code].advance("PROCEDENTE", at), f"PROCEDENTE at {code}")
        stage.expect(answer["limiteEjecucion"] == execute, f"{code}: execute by {answer['limiteEjecucion']}")
    packages: dict[str, dict[str, Any]] = {}
    for code, child in children.items():
        stage.done(child.advance("EFECTIVA", "2026-06-09T10:00:00-06:00"), "EFECTIVA")
        packages[code] = child.see("30-IPE")["paquete"]
        stage.expect(packages[code]["historia"]["totalDias"] > 0, f"{code}: the package holds the periods")
        stage.expect(
            "bitacora" in packages[code] and "receptores" in packages[code], f"{code}: and who received them"
        )
    stage.prove()
    made = total([p for k in packages.values() for p in check_history(k["historia"])], RULES)
    stage.expect((made.union_days, made.years) == (9059, 25), "the packages add up to S03's totals")
    _assembled(stage)
    _exported(stage, folio)
    late = Folio(stage, "ARCO-15-2026-00000009", "15-ISSEMYM")
    stage.at("2026-03-02T23:30:00-06:00")
    answer = late.file(
        "15-ISSEMYM",
        filing("ACCESO", "2026-03-02T23:30:00-06:00", ["15-ISSEMYM"]) | {"pid": pid_of("ana", "15-ISSEMYM")},
    )
    stage.expect(answer["limiteRespuesta"] == "2026-03-30", f"23:30 local is still that day: {answer}")


def _assembled(stage: Stage) -> None:
    """One request, the whole history, and who answered; with one institute down it is said to be incomplete."""
    why = Call("PUR-HIST", "CONS-30-2026-00000005", "TITULAR", "Historia completa")
    mine = {"pid": pid_of("ana", "30-IPE")}
    whole = stage.ask("30-IPE/HIST", "30-IPE", "reunirHistoria", mine, why)
    body = stage.done(whole, "reunirHistoria")
    three = ["MX/GOB/15-ISSEMYM", "MX/GOB/26-ISSSTESON", "MX/GOB/30-IPE"]
    stage.expect(
        [a["instituto"] for a in body["constancia"]["respondieron"]] == three
        and body["constancia"]["completa"],
        f"three institutes asked, three answered: {body['constancia']}",
    )
    stage.expect(
        body["totales"] == {"diasUnion": 9059, "diasTraslape": 16, "semanas": 1294},
        f"S03's: {body['totales']}",
    )
    stage.prove([whole])
    stage.country.federation.kill("26-ISSSTESON-sistema")
    partial = stage.done(
        stage.ask("30-IPE/HIST", "30-IPE", "reunirHistoria", mine, why), "with one institute down"
    )["constancia"]
    stage.country.start_system("26-ISSSTESON")
    stage.country.federation.wait_for(f"http://{stage.country.address('26-ISSSTESON')}:9000/estado")
    stage.expect(
        partial["silenciosos"] == ["MX/GOB/26-ISSSTESON"] and not partial["completa"],
        f"a silent institute makes it incomplete: {partial}",
    )


def _exported(stage: Stage, folio: str) -> None:
    """Every event of the three children reaches the national platform, and is acknowledged."""
    sql = (
        f"SELECT count(*), sum(acknowledged_at IS NULL) FROM outbox WHERE operation = 'exportar' "
        f"AND case_id = '{folio}'"
    )
    for code, events in (("15-ISSEMYM", 4), ("26-ISSSTESON", 5), ("30-IPE", 4)):
        stage.wait(
            f"the national platform acknowledges {code}'s {events} events",
            lambda code=code, events=events: query(stage, code, sql) == [(events, 0)],  # type: ignore[misc]
        )


def s06(stage: Stage) -> None:
    """Rectification, and the copies that already left."""
    received = "2026-08-21T10:00:00-07:00"
    stage.at(received)
    case = _open_again(stage)
    pid = pid_of("jose-teodoro", "26-ISSSTESON")
    request = Folio(stage, "ARCO-26-2026-00000001", "26-ISSSTESON")
    body = filing(
        "RECTIFICACION",
        received,
        ["26-ISSSTESON"],
        descripcion="Mi baja fue el 30 de junio de 2012, no de 2011.",
        datos=["periodo"],
        periodo={"idPeriodo": "26-ISSSTESON:P-000002", "hasta": "2012-06-30", "evidenciaSha256": HASH},
    )
    filed = request.file("26-ISSSTESON", body | {"pid": pid})
    stage.expect(filed["limiteRespuesta"] == "2026-09-22", f"answer due {filed['limiteRespuesta']}")
    stage.done(request.advance("EN_TRAMITE", "2026-08-24T10:00:00-07:00"), "EN_TRAMITE")
    granted = stage.done(request.advance("PROCEDENTE", "2026-09-22T10:00:00-07:00"), "PROCEDENTE")
    stage.expect(granted["limiteEjecucion"] == "2026-10-13", f"takes effect by {granted['limiteEjecucion']}")
    stage.country.federation.kill("14-IPEJAL-sistema")
    stage.done(request.advance("EFECTIVA", "2026-10-13T10:00:00-07:00"), "EFECTIVA")
    stage.prove()
    stage.wait(
        "the notice to IPEJAL is tried again and shown as waiting",
        lambda: _waiting(stage) == ["MX/GOB/14-IPEJAL"],
    )
    stage.country.start_system("14-IPEJAL")
    left = "SELECT member FROM outbox WHERE acknowledged_at IS NULL"
    stage.wait(
        "IPEJAL acknowledges the replacement, then everybody",
        lambda: query(stage, "26-ISSSTESON", left) == [],
        30,
    )
    seen = {code: case.seen_by(code) for code in ("14-IPEJAL", "26-ISSSTESON")}
    stage.expect(
        seen["14-IPEJAL"]["ultimoHash"] == seen["26-ISSSTESON"]["ultimoHash"], f"both chains agree: {seen}"
    )
    own = stage.ask(
        "26-ISSSTESON/HIST",
        "26-ISSSTESON",
        "consultarHistoria",
        {"pid": pid},
        Call("PUR-HIST", "CONS-26-2026-00000006", "TITULAR", "Constancia"),
    )
    periods = stage.done(own, "the history now")["periodos"]
    stage.expect(
        [(p["version"], p["dias"]) for p in periods] == [(2, 10_028)], f"version 2 only is served: {periods}"
    )
    _rectified_total(stage, case, seen["14-IPEJAL"])


def _open_again(stage: Stage) -> PortCase:
    """S04's case has lapsed by itself, everywhere, and let the benefit go; the same persons' new one, with its history."""
    parties = (stage, "14-IPEJAL", ["26-ISSSTESON"], "CONV-DEMO-2026-02", "JUBILACION")
    old, case = (
        PortCase(parties[0], number, *parties[1:])
        for number in ("PORT-14-2026-00000001", "PORT-14-2026-00000006")
    )
    claims = f"SELECT state FROM case_entry WHERE case_id = '{old.case}'"
    stage.wait(
        "the case whose term has passed ends at both institutes and at the registry",
        lambda: (
            {old.seen_by(code)["estado"] for code in ("14-IPEJAL", "26-ISSSTESON")} == {"VENCIDA"}
            and query(stage, "00-RNSS", claims) == [("CERRADO",)]
        ),
        60,
    )
    pid = pid_of("jose-teodoro", "14-IPEJAL")
    case.present(pid)
    case.cause("14-IPEJAL", "ADMITIR", "ADMITIDA")
    case.cause("14-IPEJAL", "SOLICITAR_HISTORIA", "HISTORIA_SOLICITADA")
    testigo = stage.token("14-IPEJAL/PORT", pid, "26-ISSSTESON", case.why())
    reply = stage.ask("14-IPEJAL/PORT", "26-ISSSTESON", "consultarHistoria", {"testigo": testigo}, case.why())
    case.deliver("26-ISSSTESON", stage.done(reply, "the history of before"), "HISTORIA_RECIBIDA")
    return case


def _rectified_total(stage: Stage, case: PortCase, seen: dict[str, Any]) -> None:
    def event(days: int, weeks: int, years: int, theirs: int) -> dict[str, Any]:
        return {
            "caso": case.case,
            "secuencia": seen["ultimaSecuencia"] + 1,
            "evento": "TOTALIZAR",
            "estadoPrevio": "HISTORIA_RECIBIDA",
            "estadoNuevo": "TOTALIZADA",
            "responsable": "MX/GOB/14-IPEJAL",
            "contraparte": ["MX/GOB/26-ISSSTESON"],
            "hashAnterior": seen["ultimoHash"],
            "totalizacion": {
                "diasUnion": days,
                "diasTraslape": 0,
                "semanas": weeks,
                "aniosReconocidos": years,
                "partes": [
                    {"instituto": "MX/GOB/26-ISSSTESON", "dias": theirs},
                    {"instituto": "MX/GOB/14-IPEJAL", "dias": 4932},
                ],
            },
        }

    stage.refused(
        case.post("14-IPEJAL", "14-IPEJAL", event(14_594, 2084, 40, 9662)), "SS-406", "the totals of before"
    )
    reply = case.post("14-IPEJAL", "14-IPEJAL", event(14_960, 2137, 41, 10_028))
    stage.done(reply, "41 years with the rectified period")


def _waiting(stage: Stage) -> list[str]:
    rows = query(
        stage, "26-ISSSTESON", "SELECT member FROM outbox WHERE acknowledged_at IS NULL AND attempts > 0"
    )
    return [r[0] for r in rows]


def query(stage: Stage, code: str, sql: str) -> list[tuple[Any, ...]]:
    """What an institute's operator sees in its own database."""
    name = {"00-RNSS": "registry", "00-ONIESS": "oniess"}.get(code, "institute")
    file = stage.country.system_folder(code) / f"{name}.sqlite"
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5)
    try:
        return connection.execute(sql).fetchall()
    finally:
        connection.close()


def s07(stage: Stage) -> None:
    """Refusal, silence, review."""
    pid = {"pid": pid_of("ofelia", "15-ISSEMYM")}
    received = "2026-03-02T10:00:00-06:00"
    refused, silent, alone = (Folio(stage, f"ARCO-15-2026-0000000{n}", "15-ISSEMYM") for n in (1, 2, 3))
    for request in (refused, silent, alone):
        stage.at(received)
        request.file("15-ISSEMYM", filing("ACCESO", received, ["15-ISSEMYM"]) | pid)
    answered = "2026-03-30T10:00:00-06:00"
    for request in (refused, alone):
        stage.done(request.advance("EN_TRAMITE", "2026-03-03T10:00:00-06:00"), "EN_TRAMITE")
        bare = request.advance("IMPROCEDENTE", answered, causas=["IV"])
        stage.refused(bare, "SS-400", "a refusal without the committee's resolution")
        refusal: dict[str, Any] = {
            "causas": ["IV"],
            "resolucionComite": "CT/15/2026/031",
            "negativa": _negativa(),
        }
        stage.done(request.advance("IMPROCEDENTE", answered, **refusal), "IMPROCEDENTE")
    negativa = refused.see()["negativa"]
    stage.expect(negativa["autoridad"] == "MX/GAR/15-GARANTE", "the refusal names the guarantor")
    stage.expect(
        negativa["limiteImpugnacion"] == "2026-04-20", f"and the last day: {negativa['limiteImpugnacion']}"
    )
    stage.prove()
    stage.at("2026-03-31T00:30:00-06:00")
    rows = "SELECT state FROM arco WHERE folio = 'ARCO-15-2026-00000002'"
    stage.wait(
        "silence becomes a state by itself",
        lambda: query(stage, "15-ISSEMYM", rows) == [("FALTA_RESPUESTA",)],
    )
    stage.expect(silent.see()["limiteRecurso"] == "2026-04-20", "the appeal window closes 2026-04-20")
    _review(stage, refused, alone, negativa)
    _information(stage)
    _open_data(stage)


def _information(stage: Stage) -> None:
    """A request for public information: same folio and terms, another law, nobody identified."""
    received = "2026-03-02T10:00:00-06:00"
    stage.at(received)
    request = Folio(stage, "ARCO-15-2026-00000071", "15-ISSEMYM")
    body = {
        "descripcion": "Número de pensiones otorgadas en 2025, por tipo.",
        "modalidad": "ELECTRONICA",
        "recibidaEl": received,
        "responsables": ["MX/GOB/15-ISSEMYM"],
    }

    def ask(call: Call, changed: dict[str, Any]) -> Any:
        return stage.ask("30-IPE/ARCO", "15-ISSEMYM", "presentarInformacion", {**body, **changed}, call)

    law = Call("PUR-ARCO", request.folio, "TITULAR", "Información pública", bases=("mx:LGTAIP-134",))
    stage.refused(ask(arco(request.folio), {}), "SS-202", "public information under the data-protection law")
    stage.refused(ask(law, {"responsables": ["MX/GOB/30-IPE"]}), "SS-501", "a question for another member")
    filed = stage.done(ask(law, {}), "presentarInformacion")
    stage.expect(
        (filed["derecho"], filed["limiteRespuesta"], filed["limiteRecurso"])
        == ("INFORMACION", "2026-03-30", "2026-04-20"),
        f"the terms of LGTAIP: {filed}",
    )
    stage.prove()
    stage.done(request.advance("EN_TRAMITE", "2026-03-03T10:00:00-06:00"), "EN_TRAMITE")
    refused = request.advance("INEXISTENCIA", "2026-03-20T10:00:00-06:00", resolucionComite="CT/15/2026/040")
    stage.refused(refused, "SS-400", "a refusal without an article of LGTAIP")
    stage.done(request.advance("PROCEDENTE", "2026-03-20T10:00:00-06:00"), "PROCEDENTE")
    handed = [
        {"titulo": "Pensiones 2025", "uri": "https://issemym.example/pensiones-2025.csv", "sha256": HASH}
    ]
    done = request.advance("EFECTIVA", "2026-03-23T10:00:00-06:00", entrega=handed)
    stage.expect(stage.done(done, "EFECTIVA")["entrega"] == handed, "handed over, by address and digest")


def _open_data(stage: Stage) -> None:
    """Refusals by cause, without any person; a cell below five is suppressed."""
    read = stage.country.send("30-IPE/PORT", "MX/GOB/00-ONIESS/GOBIERNO", "GET", "/negativas")
    rows = [
        r
        for r in read.body.get("negativas", [])
        if (r["miembro"], r["ambito"]) == ("MX/GOB/15-ISSEMYM", "ARCO")
    ]
    stage.expect(
        rows
        == [
            {
                "miembro": "MX/GOB/15-ISSEMYM",
                "ambito": "ARCO",
                "causa": "IV",
                "casos": None,
                "suprimido": True,
            }
        ],
        f"two refusals of cause IV are there, and too few to be told: {rows}",
    )
    stage.expect(pid_of("ofelia", "15-ISSEMYM") not in str(read.body), "no person is in it")


def _review(stage: Stage, refused: Folio, alone: Folio, negativa: dict[str, Any]) -> None:
    at = "2026-04-20T10:00:00-06:00"
    wrong = refused.advance("RECURRIDA", at, role="TITULAR", huellaNegativa=HASH)
    stage.refused(wrong, "SS-401", "an appeal against another text")
    mine = history_digest(negativa)
    appealed = stage.done(refused.advance("RECURRIDA", at, role="TITULAR", huellaNegativa=mine), "RECURRIDA")
    stage.expect(
        appealed["limiteResolucion"] == "2026-06-17", f"resolution due {appealed['limiteResolucion']}"
    )
    stage.done(
        alone.advance(
            "RECURRIDA", at, role="TITULAR", huellaNegativa=history_digest(alone.see()["negativa"])
        ),
        "appeal",
    )
    garante = "15-GARANTE/SUPERV"
    other = refused.advance("RESUELTA_RR", "2026-05-04T10:00:00-06:00", role="GARANTE", sentido="REVOCAR")
    stage.refused(other, "SS-210", "an institute that resolves its own appeal")
    stage.done(
        refused.advance("CONCILIACION", "2026-05-04T10:00:00-06:00", role="GARANTE", client=garante),
        "CONCILIACION",
    )
    resolved = refused.advance(
        "RESUELTA_RR", "2026-06-16T10:00:00-06:00", role="GARANTE", client=garante, sentido="REVOCAR"
    )
    stage.expect(stage.done(resolved, "RESUELTA_RR")["sentido"] == "REVOCAR", "the guarantor revokes")
    stage.prove()
    longer = alone.advance(
        "RECURRIDA", "2026-06-16T10:00:00-06:00", role="GARANTE", client=garante, sentido="PRORROGA"
    )
    stage.expect(stage.done(longer, "PRORROGA")["limiteResolucion"] == "2026-07-15", "extended to 2026-07-15")
    stage.done(refused.advance("CUMPLIDA", "2026-06-26T10:00:00-06:00"), "CUMPLIDA")
    stage.expect(
        "historia" in refused.see().get("paquete", {}), "the appeal she won brings her what was refused"
    )
    stage.at("2026-07-16T00:30:00-06:00")
    rows = "SELECT state, outcome FROM arco WHERE folio = 'ARCO-15-2026-00000003'"
    stage.wait(
        "the guarantor's silence confirms the answer",
        lambda: query(stage, "15-ISSEMYM", rows) == [("RESUELTA_RR", "CONFIRMAR_POR_SILENCIO")],
    )


def _negativa() -> dict[str, Any]:
    return {
        "codigo": "SS-500",
        "causa": "IV",
        "fundamento": "mx:LGPDPPSO-49-IV",
        "motivacion": REASONS,
        "medioImpugnacion": "Recurso de revisión",
        "autoridad": "MX/GAR/15-GARANTE",
        "limiteImpugnacion": "2026-04-20",
    }
