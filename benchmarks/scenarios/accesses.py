"""S08 and S09: cancellation and opposition, and who looked at my data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from benchmarks.calls import Call
from benchmarks.scenarios.rights import Folio, filing, query
from benchmarks.scenarios.stage import PortCase, Stage, pid_of
from serving.storage.database import open_database
from social_security.domain.pseudonyms import Pid
from social_security.institute.stores.persons import Access, PersonStore
from social_security.institute.stores.steps import STEPS

MANY_ROWS = 10_000


def s08(stage: Stage) -> None:
    """Cancellation and opposition."""
    received, resolved = "2026-03-02T10:00:00-06:00", "2026-03-20T10:00:00-06:00"
    pid = pid_of("maria-ines", "30-IPE")
    for number, right, data, state in (
        (1, "CANCELACION", "correo", "PROCEDENTE"),
        (2, "CANCELACION", "periodo", "IMPROCEDENTE"),
        (3, "OPOSICION", "sueldos", "PROCEDENTE"),
    ):
        stage.at(received)
        request = Folio(stage, f"ARCO-30-2026-000000{number + 10}", "30-IPE")
        request.file(
            "30-IPE",
            filing(right, received, ["30-IPE"], descripcion="Solicito lo que se indica.", datos=[data])
            | {"pid": pid},
        )
        stage.done(request.advance("EN_TRAMITE", "2026-03-03T10:00:00-06:00"), "EN_TRAMITE")
        more: dict[str, Any] = (
            {"causas": ["III", "X"], "resolucionComite": "CT/30/2026/007"} if state == "IMPROCEDENTE" else {}
        )
        answer = stage.done(request.advance(state, resolved, **more), state)
        if state == "IMPROCEDENTE":
            stage.expect(
                answer["negativa"]["causa"] == "III" and "limiteImpugnacion" in answer["negativa"],
                "refused with cause and date",
            )
        else:
            stage.done(request.advance("EFECTIVA", resolved), "EFECTIVA")
    blocked = "SELECT blocked_since, erase_on FROM contact"
    stage.expect(
        query(stage, "30-IPE", blocked) == [("2026-03-20", "2026-04-10")], "the e-mail is blocked at once"
    )
    case = PortCase(stage, "PORT-26-2026-00000008", "26-ISSSTESON", ["30-IPE"], "CONV-DEMO-2025-01", "VEJEZ")
    theirs = pid_of("maria-ines", "26-ISSSTESON")
    case.present(theirs)
    case.cause("26-ISSSTESON", "ADMITIR", "ADMITIDA")
    case.cause("26-ISSSTESON", "SOLICITAR_HISTORIA", "HISTORIA_SOLICITADA")
    testigo = stage.token("26-ISSSTESON/PORT", theirs, "30-IPE", case.why())
    paid = stage.ask(
        "26-ISSSTESON/PORT",
        "30-IPE",
        "consultarHistoria",
        {"testigo": testigo, "conSueldos": True},
        case.why(),
    )
    stage.refused(paid, "SS-208", "with salaries, which she opposes")
    bare = stage.ask("26-ISSSTESON/PORT", "30-IPE", "consultarHistoria", {"testigo": testigo}, case.why())
    stage.done(bare, "without salaries it succeeds")
    stage.prove([paid, bare])
    _opposed_purpose(stage)
    stage.at("2026-04-13T00:30:00-06:00")
    stage.wait(
        "the daily routine erases the address", lambda: query(stage, "30-IPE", "SELECT * FROM contact") == []
    )
    left = query(stage, "30-IPE", "SELECT day, what, pid FROM suppression")
    stage.expect(left == [("2026-04-13", "contact", pid)], f"and writes down what, by id: {left}")


def _opposed_purpose(stage: Stage) -> None:
    """An opposition to one purpose stops that purpose; others go on, and so do the person's own rights."""
    received, resolved = "2026-03-02T10:00:00-06:00", "2026-03-20T10:00:00-06:00"
    pid = pid_of("ofelia", "15-ISSEMYM")
    stage.at(received)
    request = Folio(stage, "ARCO-15-2026-00000081", "15-ISSEMYM")
    body = filing("OPOSICION", received, ["15-ISSEMYM"], descripcion="No verifiquen mi afiliación.")
    request.file("15-ISSEMYM", body | {"pid": pid, "propositos": ["PUR-AFIL"], "datos": ["automatizado"]})
    stage.done(request.advance("EN_TRAMITE", "2026-03-03T10:00:00-06:00"), "EN_TRAMITE")
    stage.done(request.advance("PROCEDENTE", resolved), "PROCEDENTE")
    stage.done(request.advance("EFECTIVA", resolved), "EFECTIVA")

    def check(operation: str, purpose: str, role: str, **more: Any) -> Any:
        why = Call(purpose, "CONS-15-2026-00000081", role, "Verificación")
        return stage.ask("15-ISSEMYM/AFIL", "15-ISSEMYM", operation, {"pid": pid, **more}, why)

    stopped = check("consultarAfiliacion", "PUR-AFIL", "ANALISTA_AFILIACION")
    stage.refused(stopped, "SS-208", "the purpose she opposes")
    stage.done(check("consultarAfiliacion", "PUR-BENEF", "ANALISTA_AFILIACION"), "another purpose goes on")
    alone = check("verificarElegibilidad", "PUR-BENEF", "SISTEMA", beneficio="JUBILACION")
    stage.refused(alone, "SS-208", "a decision by a machine alone")
    person = check("verificarElegibilidad", "PUR-BENEF", "ANALISTA_AFILIACION", beneficio="JUBILACION")
    stage.done(person, "the same by an analyst")
    stage.prove([stopped, alone])


def s09(stage: Stage) -> None:
    """Who looked at my data."""
    stage.at("2026-04-20T12:00:00-06:00")
    closed = Call("PUR-PORT", "PORT-30-2026-00000017", "ANALISTA_PORTABILIDAD", "Revisión", user="analista-7")
    pid = pid_of("ana", "30-IPE")
    tried = stage.ask(
        "30-IPE/PORT", "15-ISSEMYM", "consultarHistoria", {"pid": "VMP5P6A3TQ8FQZ4H1PX3GS1Q24R"}, closed
    )
    stage.refused(tried, "SS-205", "a closed case")
    hidden = Call(
        "PUR-AFIL",
        "CONS-26-2026-00000030",
        "ANALISTA_AFILIACION",
        "Requerimiento de autoridad",
        headers={"X-OSS-Oculto": "mx:LGPDPPSO-49-VI;hasta=2026-06-30"},
    )
    testigo = {
        "testigo": stage.token("26-ISSSTESON/AFIL", pid_of("ana", "26-ISSSTESON"), "15-ISSEMYM", hidden)
    }
    inquiry = stage.ask("26-ISSSTESON/AFIL", "15-ISSEMYM", "consultarAfiliacion", testigo, hidden)
    stage.done(inquiry, "the hidden inquiry")
    bad = Call(
        "PUR-AFIL", "CONS-26-2026-00000030", "ANALISTA_AFILIACION", "x", headers={"X-OSS-Oculto": "mx:X-1"}
    )
    stage.refused(
        stage.ask("26-ISSSTESON/AFIL", "15-ISSEMYM", "consultarAfiliacion", testigo, bad),
        "SS-207",
        "hidden without end date",
    )
    look = Call("PUR-BITACORA", "CONS-15-2026-00000021", "TITULAR", "Quién consultó mis datos")
    mine = {"pid": pid_of("ana", "15-ISSEMYM")}
    stage.at("2026-04-21T09:00:00-06:00")
    early = stage.done(stage.ask("15-ISSEMYM/BITACORA", "15-ISSEMYM", "findUsage", mine, look), "findUsage")
    rows = early["usages"]
    stage.expect(
        any(r["messageId"] == tried.message_id and r["outcome"] == "NEGADO" for r in rows),
        "the refused look-up is shown",
    )
    stage.expect(not any(r["messageId"] == inquiry.message_id for r in rows), "the hidden one is not")
    stage.expect("analista" not in str(rows), "nobody's local id is shown")
    stage.expect(
        [r["logtime"] for r in rows] == sorted((r["logtime"] for r in rows), reverse=True), "newest first"
    )
    stage.at("2026-07-01T09:00:00-06:00")
    later = stage.ask("15-ISSEMYM/BITACORA", "15-ISSEMYM", "findUsage", mine, look)
    stage.expect(
        any(r["messageId"] == inquiry.message_id for r in later.body["usages"]), "from 2026-07-01 it is shown"
    )
    _at_the_gateway(stage, mine, look)
    later = stage.ask("15-ISSEMYM/BITACORA", "15-ISSEMYM", "findUsage", mine, look)
    _pages(stage, mine, look)
    other = stage.ask("15-ISSEMYM/BITACORA", "15-ISSEMYM", "findUsage", {"pid": pid}, look)
    stage.refused(other, "SS-300", "somebody else's data")
    nobody = Call("PUR-BITACORA", look.case, "TITULAR", look.reason, headers={"X-Road-UserId": ""})
    stage.refused(
        stage.ask("15-ISSEMYM/BITACORA", "15-ISSEMYM", "findUsage", mine, nobody),
        "SS-200",
        "no X-Road-UserId",
    )
    _guarantor(stage, inquiry.message_id)
    _ten_thousand(stage, mine, look)
    stage.prove([tried, later])


def _at_the_gateway(stage: Stage, mine: dict[str, str], look: Call) -> None:
    """What her institute's gateway refused never reached its system; she sees it all the same."""
    why = Call("PUR-BENEF", "CONS-30-2026-00000099", "ANALISTA_PORTABILIDAD", "Curiosidad")
    refused = stage.ask(
        "30-IPE/PORT", "15-ISSEMYM", "consultarHistoria", {"pid": "VMP5P6A3TQ8FQZ4H1PX3GS1Q24R"}, why
    )
    stage.refused(refused, "SS-201", "a purpose that the gateway refuses")
    stage.expect("regla" in refused.body, "it was the gateway")
    shown = stage.ask("15-ISSEMYM/BITACORA", "15-ISSEMYM", "findUsage", mine, look).body["usages"]
    rows = [r for r in shown if r["messageId"] == refused.message_id]
    stage.expect(
        [(r["outcome"], r["receiverCode"], r["categories"]) for r in rows]
        == [("NEGADO", "MX/GOB/30-IPE", [])],
        f"she sees who was refused: {rows}",
    )


def _pages(stage: Stage, mine: dict[str, str], look: Call) -> None:
    """Pages of the log as it stood are the provider's own rows, each once. Each page is itself an access that comes later."""
    until = "2026-07-01T14:59:59+00:00"
    whole = stage.ask(
        "15-ISSEMYM/BITACORA", "15-ISSEMYM", "findUsage", {**mine, "periodEnd": until}, look
    ).body
    seen: list[str] = []
    for offset in range(0, whole["totalUsages"], 3):
        page = stage.ask(
            "15-ISSEMYM/BITACORA",
            "15-ISSEMYM",
            "findUsage",
            {**mine, "periodEnd": until, "offset": offset, "limit": 3},
            look,
        ).body
        stage.expect(page["totalUsages"] == whole["totalUsages"], f"total {page['totalUsages']} at {offset}")
        seen += [r["messageId"] for r in page["usages"]]
    logged = query(
        stage,
        "15-ISSEMYM",
        f"SELECT message_id FROM access WHERE pid = '{mine['pid']}' AND at <= '{until}' "
        "AND (hidden_until IS NULL OR hidden_until < '2026-07-01') ORDER BY at DESC, id DESC",
    )
    stage.expect(seen == [m for (m,) in logged], f"pages hold {len(seen)} rows, the log {len(logged)}")


def _ten_thousand(stage: Stage, mine: dict[str, str], look: Call) -> None:
    """How long a person waits for a page when 10,000 accesses stand in her log: a figure, not a check."""
    database = open_database(stage.country.system_folder("15-ISSEMYM") / "institute.sqlite", STEPS)
    store, at = PersonStore(database), datetime(2025, 1, 1, 12, tzinfo=UTC)
    with database.transaction() as connection:
        for number in range(MANY_ROWS):
            row = Access(
                Pid(mine["pid"]),
                at + timedelta(minutes=number),
                "Consulta de afiliación",
                "MX/GOB/26-ISSSTESON",
                "Ventanilla 1.0",
                "PUR-AFIL",
                "mx:LGPDPPSO-16-II",
                ("afiliacion",),
                "CONS-26-2025-00000001",
                f"MX-carga-{number}",
                "MX-26-ISSSTESON:emp-1",
                "ENTREGADO",
                None,
                None,
                None,
            )
            store.add_access(row, connection)
    database.close()
    took: list[float] = []
    for offset in range(0, MANY_ROWS, 1000):
        body = {**mine, "offset": offset, "limit": 1000}
        reply = stage.ask("15-ISSEMYM/BITACORA", "15-ISSEMYM", "findUsage", body, look)
        stage.expect(reply.body["totalUsages"] > MANY_ROWS, "all rows are counted")
        took.append(reply.took_ms)
    stage.outcome.figures.append(
        f"findUsage over {MANY_ROWS:,} rows, 1,000 a page, signed and logged: "
        f"first page {took[0] / 1000:.2f} s, slowest {max(took) / 1000:.2f} s (asked for: 2 s)"
    )


def _guarantor(stage: Stage, message_id: str) -> None:
    case = "CONS-15-2026-00000900"
    inspect = Call("PUR-SUPERV", case, "GARANTE", "Inspección", bases=("mx:LGPDPPSO-132",))
    body = {"caso": case, "desde": "2026-04-20", "hasta": "2026-04-20"}
    seen = stage.ask("15-GARANTE/SUPERV", "15-ISSEMYM", "inspeccion", body, inspect)
    found = [r for r in stage.done(seen, "inspeccion")["registros"] if r["messageId"] == message_id]
    stage.expect(
        len(found) == 1 and found[0]["hiddenBasis"] == "mx:LGPDPPSO-49-VI",
        "the guarantor sees the hidden row",
    )
    no_case = stage.ask(
        "15-GARANTE/SUPERV", "15-ISSEMYM", "inspeccion", {**body, "caso": "CONS-15-2026-00000901"}, inspect
    )
    stage.refused(no_case, "SS-205", "no inspection without its case")
