"""Every service of the domain has a handler, and every row of the error table a request that gets it and changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from gateway.policies.gate import Excess
from schemas.policy import parse_document
from serving.storage.database import Database
from social_security.domain import pack
from social_security.domain.pseudonyms import Pid
from social_security.institute.stores.cases import Case, CaseStore
from social_security.institute.stores.periods import PeriodStore
from social_security.institute.stores.persons import PersonStore
from social_security.institute.stores.rights import RightsStore
from social_security.institute.stores.steps import STEPS
from social_security.wire.policydocument import build_suspension
from tests.social import SmallCountry, small_country
from tests.unit.gateway.test_policy import ANSWER, Gate, policy

Reply = tuple[int, dict[str, Any]]
PIDS = {p["name"]: p["pids"] for p in pack.persons()["persons"]}
CURPS = {p["name"]: p["curp"] for p in pack.persons()["persons"]}
ANA, OFELIA = PIDS["ana"]["15-ISSEMYM"], PIDS["ofelia"]["15-ISSEMYM"]
CONS, PORT, ARCO = "CONS-15-2026-00000001", "PORT-15-2026-00000001", "ARCO-15-2026-00000001"
ALTA = "ALTA-14-2026-00000001"
HASH = "0" * 64
# The document's services (5.7) -> the operation, or the reading, at the member that provides it.
SERVICES = {
    "buscarBeneficiario": ("00-RNSS", "buscarBeneficiario"),
    "traducirPid": ("00-RNSS", "traducirPid"),
    "localizarHistoria": ("00-RNSS", "localizarHistoria"),
    "consultarAfiliacion": ("15-ISSEMYM", "consultarAfiliacion"),
    "consultarHistoria": ("15-ISSEMYM", "consultarHistoria"),
    "eventoPortabilidad": ("15-ISSEMYM", "agregarEvento"),
    "solicitarAdmision": ("15-ISSEMYM", "solicitarAdmision"),
    "presentarArco": ("15-ISSEMYM", "presentarArco"),
    "consultarArco": ("15-ISSEMYM", "verArco"),
    "avanzarArco": ("15-ISSEMYM", "avanzarArco"),
    "findUsage": ("15-ISSEMYM", "findUsage"),
    "notificarEvento": ("15-ISSEMYM", "notificarEvento"),
    "notificarEvento at the registry": ("00-RNSS", "notificarEvento"),
    "solicitarAlta": ("00-ONIESS", "solicitarAlta"),
    "gates": ("00-ONIESS", "resolverCompuerta"),
    "politica": ("00-ONIESS", "/politica"),
    "catalogo": ("00-ONIESS", "/catalogo"),
    "indicadores": ("00-ONIESS", "/indicadores"),
    "inspeccion": ("15-ISSEMYM", "inspeccion"),
    "dci-adapter": ("00-RNSS", "/registry/sync/search"),
}
# Tables that a refused request may touch: the record of it.
RECORDS = frozenset(
    ("access", "seen_token", "lookup", "lookup_case", "pair", "person_access", "sqlite_sequence")
)


@pytest.fixture
async def country(tmp_path: Path) -> AsyncIterator[SmallCountry]:
    async with small_country(tmp_path) as made:
        yield made


def application(client: TestClient[web.Request, web.Application]) -> web.Application:
    """The system behind a client."""
    assert isinstance(client.server, TestServer)
    return client.server.app


@pytest.mark.parametrize("service", SERVICES)
async def test_every_service_of_the_document_has_a_handler(country: SmallCountry, service: str) -> None:
    code, name = SERVICES[service]
    served = {
        (r.method, r.resource.canonical)
        for r in application(country.clients[code]).router.routes()
        if r.resource
    }
    if name.startswith("/"):
        assert {m for m, path in served if path == name} & {"GET", "POST"}
    else:
        operation = pack.operations()[name]
        assert (operation.method, operation.path) in served


async def test_every_operation_and_public_reading_of_the_pack_is_served_somewhere(
    country: SmallCountry,
) -> None:
    served = {
        (r.method, r.resource.canonical)
        for client in country.clients.values()
        for r in application(client).router.routes()
        if r.resource
    }
    operations = {(o.method, o.path) for o in pack.operations().values()}
    public = {(p["method"], p["path"]) for p in pack.services()["public"]}
    assert operations | public <= served


def institute(country: SmallCountry, code: str = "15-ISSEMYM") -> Database:
    return Database(country.folder / code / "institute.sqlite", STEPS)


async def find(c: SmallCountry, **body: str) -> Reply:
    return await c.ask(
        "15-ISSEMYM/AFIL", "00-RNSS", "buscarBeneficiario", body,
        purpose="PUR-IDENT", case=CONS, role="ANALISTA_AFILIACION",
    )  # fmt: skip


async def affiliation(c: SmallCountry, pid: str = ANA, **more: Any) -> Reply:
    more = {"purpose": "PUR-AFIL", "case": CONS, "role": "ANALISTA_AFILIACION"} | more
    return await c.ask("15-ISSEMYM/AFIL", "15-ISSEMYM", "consultarAfiliacion", {"pid": pid}, **more)


def header(name: str, value: str) -> Callable[[SmallCountry], Awaitable[Reply]]:
    return lambda c: affiliation(c, headers={name: value})


async def arco(
    c: SmallCountry, operation: str = "presentarArco", role: str = "TITULAR", **more: Any
) -> Reply:
    body: dict[str, Any] = {
        "pid": OFELIA, "derecho": "ACCESO", "representante": False, "nivelIdentidad": "LOA2",
        "modalidad": "ELECTRONICA", "recibidaEl": "2026-03-02T09:00:00-06:00",
        "responsables": ["MX/GOB/15-ISSEMYM"],
    }  # fmt: skip
    sent = {**body, **more} if operation == "presentarArco" else more
    return await c.ask(
        "15-ISSEMYM/ARCO", "15-ISSEMYM", operation, sent, purpose="PUR-ARCO", case=ARCO, role=role
    )


async def advance(c: SmallCountry, state: str, at: str = "2026-03-03T10:00:00-06:00", **more: Any) -> Reply:
    c.at(at)
    return await arco(c, "avanzarArco", "UNIDAD_TRANSPARENCIA", estado=state, ocurridoEl=at, **more)


async def alta(c: SmallCountry, operation: str, body: dict[str, Any], **path: str) -> Reply:
    return await c.ask(
        "00-ONIESS/ALTA", "00-ONIESS", operation, body,
        purpose="PUR-ALTA", case=ALTA, role="OPERADOR_ALTA", path={"caso": ALTA, **path},
    )  # fmt: skip


async def applied(c: SmallCountry) -> None:
    contacts = [
        {"rol": r, "correo": f"{r.lower().replace('_', '.')}@x.example"}
        for r in pack.codes()["contact_roles"]
    ]
    status, _ = await alta(c, "solicitarAlta", ALTA_BODY | {"contactos": contacts})
    assert status == 201


ALTA_BODY: dict[str, Any] = {
    "nombre": "Instituto", "entidad": "14", "clasePropuesta": "GOB", "codigoPropuesto": "14-IPEJAL",
    "fundamentoCreacion": "Ley", "subsistemas": ["AFIL"],
    "contactos": [{"rol": "TITULAR", "correo": "t@x.example"}] * 6,
}  # fmt: skip
GATE = {"resultado": "APROBADA", "evidenciaSha256": HASH, "resueltoPor": "op-1"}


async def too_early(c: SmallCountry) -> Reply:
    await applied(c)
    await alta(c, "resolverCompuerta", GATE | {"presentadaEl": "2026-03-02"}, compuerta="impacto")
    return await alta(c, "activarAlta", {"fecha": "2026-04-01"})


async def gate(c: SmallCountry, name: str, **more: Any) -> Reply:
    await applied(c)
    return await alta(c, "resolverCompuerta", GATE | more, compuerta=name)


async def opposed(c: SmallCountry) -> Reply:
    database = institute(c)
    RightsStore(database).oppose(Pid(ANA), "PUR-AFIL", ARCO, date(2026, 3, 1))
    database.close()
    return await affiliation(c)


async def wrong_audience(c: SmallCountry) -> Reply:
    why: dict[str, Any] = {"purpose": "PUR-AFIL", "case": CONS, "role": "ANALISTA_AFILIACION"}
    body = {"pid": ANA, "destino": "MX/GOB/30-IPE"}
    _, sealed = await c.ask("15-ISSEMYM/AFIL", "00-RNSS", "traducirPid", body, **why)
    told = {"testigo": sealed["testigo"]}
    return await c.ask("15-ISSEMYM/AFIL", "15-ISSEMYM", "consultarAfiliacion", told, **why)


async def deceased(c: SmallCountry) -> Reply:
    database = institute(c)
    database.query("UPDATE affiliation SET state = 'FALLECIDA' WHERE pid = ?", (ANA,))
    database.close()
    return await affiliation(c)


async def own_history(
    c: SmallCountry, purpose: str = "PUR-HIST", case: str = CONS, role: str = "TITULAR"
) -> Reply:
    return await c.ask(
        "15-ISSEMYM/HIST",
        "15-ISSEMYM",
        "consultarHistoria",
        {"pid": ANA},
        purpose=purpose,
        case=case,
        role=role,
    )


async def under_clarification(c: SmallCountry) -> Reply:
    database = institute(c)
    database.query("UPDATE period SET state = 'EN_ACLARACION' WHERE pid = ?", (ANA,))
    assert PeriodStore(database).served(Pid(ANA))[0].state == "EN_ACLARACION"
    database.close()
    return await own_history(c)


async def quota_reached(c: SmallCountry) -> Reply:
    connection = sqlite3.connect(c.folder / "00-RNSS" / "registry.sqlite", timeout=60)
    connection.execute("INSERT INTO lookup VALUES ('MX-15-ISSEMYM:emp-1', '2026-03-02', 2000)")
    connection.commit()
    connection.close()
    return await find(c, pid=ANA)


async def event(c: SmallCountry, sender: str = "15-ISSEMYM", **changed: Any) -> Reply:
    """An event of a case that stands in HISTORIA_RECIBIDA at ISSEMYM."""
    database = institute(c)
    store, first = (
        CaseStore(database),
        {"evento": "PRESENTAR", "secuencia": 1, "estadoNuevo": "HISTORIA_RECIBIDA"},
    )
    case = Case(PORT, Pid(ANA), "MX/GOB/15-ISSEMYM", ("MX/GOB/26-ISSSTESON",), "CONV-DEMO-2025-01", "JUBILACION",
                "HISTORIA_RECIBIDA", None, 1, HASH)  # fmt: skip
    if store.case(PORT) is None:
        store.append(case, first, "1" * 64, "MX/GOB/15-ISSEMYM", datetime(2026, 3, 2, tzinfo=UTC))
    database.close()
    body = {
        "caso": PORT, "secuencia": 2, "evento": "TOTALIZAR", "estadoPrevio": "HISTORIA_RECIBIDA",
        "estadoNuevo": "TOTALIZADA", "responsable": "MX/GOB/15-ISSEMYM", "contraparte": ["MX/GOB/26-ISSSTESON"],
        "hashAnterior": "1" * 64, **changed,
    }  # fmt: skip
    return await c.ask(
        f"{sender}/PORT", "15-ISSEMYM", "agregarEvento", body,
        purpose="PUR-PORT", case=PORT, role="ANALISTA_PORTABILIDAD",
    )  # fmt: skip


async def no_convention(c: SmallCountry) -> Reply:
    """The case is open to both, and ONIESS no longer publishes a convention between them."""
    why: dict[str, Any] = {"purpose": "PUR-PORT", "case": PORT, "role": "ANALISTA_PORTABILIDAD"}
    sealed = (
        await c.ask("30-IPE/PORT", "00-RNSS", "traducirPid",
                    {"pid": PIDS["ana"]["30-IPE"], "destino": "MX/GOB/15-ISSEMYM"}, **why)
    )[1]["testigo"]  # fmt: skip
    c.roads["15-ISSEMYM"].down.add("00-ONIESS")
    return await c.ask("30-IPE/PORT", "15-ISSEMYM", "consultarHistoria", {"testigo": sealed}, **why)


async def late_answer(c: SmallCountry) -> Reply:
    await arco(c)
    return await advance(c, "PREVENIDA", "2026-03-20T10:00:00-06:00")


async def missing_period(c: SmallCountry) -> Reply:
    wanted = {"idPeriodo": "nada", "hasta": "2026-01-01", "evidenciaSha256": HASH}
    await arco(c, derecho="RECTIFICACION", descripcion="x", datos=["periodo"], periodo=wanted)
    await advance(c, "EN_TRAMITE")
    await advance(c, "PROCEDENTE")
    return await advance(c, "EFECTIVA")


async def correction_pending(c: SmallCountry) -> Reply:
    await arco(c)
    await advance(c, "PREVENIDA")
    return await advance(c, "PROCEDENTE")


async def suspended(c: SmallCountry) -> Reply:
    """A suspended member is refused by the gateway: its policy gate, over the very policy of the pack."""
    del c
    order = parse_document(build_suspension("o-1", "MX/GOB/30-IPE", datetime(2026, 1, 1, tzinfo=UTC), "x"))
    status, body, _ = await Gate(ANSWER, Excess.REFUSE, policy(), order).ask()
    return status, body


async def broken(c: SmallCountry) -> Reply:
    database = institute(c)
    database.query("ALTER TABLE affiliation RENAME TO lost")
    database.close()
    return await affiliation(c)


async def registry_silent(c: SmallCountry) -> Reply:
    c.roads["15-ISSEMYM"].down.add("00-RNSS")
    body = {
        "pid": ANA, "origen": {"tipo": "MUNICIPIO", "clave": "MX/EXT/22-MQRO"}, "beneficio": "VEJEZ",
        "evidencias": [{"tipo": "CONSTANCIA", "sha256": HASH, "emisor": "22-MQRO"}],
    }  # fmt: skip
    return await c.ask(
        "15-ISSEMYM/EXTERNOS", "15-ISSEMYM", "solicitarAdmision", body,
        purpose="PUR-EXT", case="EXT-15-2026-00000001", role="ANALISTA_AFILIACION",
    )  # fmt: skip


async def another_folio_holder(c: SmallCountry) -> Reply:
    await arco(c)
    return await arco(c, derecho="PORTABILIDAD_DATOS", descripcion="x")


async def correction_by_message(c: SmallCountry) -> Reply:
    body = {"idEvento": "7e0b0a3e-0f57-4b1e-9d0c-2f3d0c3b7a11", "pid": ANA, "tipo": "CORRECCION_CURP",
            "fechaEvento": "2026-03-01"}  # fmt: skip
    return await c.ask(
        "15-ISSEMYM/VITAL", "00-RNSS", "notificarEvento", body,
        purpose="PUR-VITAL", case=CONS, role="ANALISTA_AFILIACION",
    )  # fmt: skip


CASES: dict[str, Callable[[SmallCountry], Awaitable[Reply]]] = {
    "SS-100": lambda c: affiliation(c, raw=b"[]"),
    "SS-101": lambda c: find(c, curp="EEPA780514MMCJRN9O"),
    "SS-102": lambda c: find(c, curp="EEPA780514MMCJRN94"),
    "SS-103": lambda c: find(c, curp="SABC560631MDFLRN06"),
    "SS-104": lambda c: affiliation(c, "C77536HD0CYA1RRC9HFC4CF1SRD"),
    "SS-105": header("X-OSS-Motivo", CURPS["ana"]),
    "SS-200": header("X-Road-UserId", ""),
    "SS-201": header("X-OSS-Proposito", "PUR-VITAL"),
    "SS-202": header("X-OSS-Fundamento", "mx:LGPDPPSO-16-I"),
    "SS-203": header("X-OSS-Politica", "0.9.0"),
    "SS-204": header("X-OSS-Aviso", f"https://issemym.example/aviso/v3;sha256={HASH}"),
    "SS-205": lambda c: own_history(c, "PUR-PORT", PORT, "ANALISTA_PORTABILIDAD"),
    "SS-206": lambda c: arco(c, nivelIdentidad="LOA1"),
    "SS-207": header("X-OSS-Oculto", "mx:LGPDPPSO-49-VI"),
    "SS-208": opposed,
    "SS-209": wrong_audience,
    "SS-210": header("X-OSS-Rol", "AUDITOR"),
    "SS-300": lambda c: affiliation(c, PIDS["ana"]["30-IPE"]),
    "SS-301": lambda c: find(c, curp=CURPS["ana"], fechaNacimiento="1979-05-14"),
    "SS-302": deceased,
    "SS-303": under_clarification,
    "SS-304": quota_reached,
    "SS-400": correction_by_message,
    "SS-401": lambda c: event(c, hashAnterior="f" * 64),
    "SS-402": another_folio_holder,
    "SS-403": no_convention,
    "SS-404": late_answer,
    "SS-405": lambda c: event(c, "30-IPE"),
    "SS-406": event,
    "SS-500": lambda c: arco(c, representante=True),
    "SS-501": lambda c: arco(c, responsables=["MX/GOB/30-IPE"]),
    "SS-502": missing_period,
    "SS-503": correction_pending,
    "SS-600": lambda c: alta(c, "solicitarAlta", ALTA_BODY),
    "SS-601": too_early,
    "SS-602": lambda c: gate(c, "conformidad", reporte={"suite": "1", "fecha": "2026-03-01", "pruebas": {"C-01": False}}),
    "SS-603": suspended,
    "SS-604": lambda c: gate(c, "titular"),
    "SS-900": broken,
    "SS-901": registry_silent,
}  # fmt: skip


def test_every_row_of_the_error_table_has_a_case() -> None:
    assert set(CASES) == set(pack.errors())


@pytest.mark.parametrize("code", CASES)
async def test_every_error_is_answered_in_both_languages_and_as_the_table_says(
    country: SmallCountry, code: str
) -> None:
    status, body = await CASES[code](country)
    row = pack.errors()[code]
    assert (body["codigo"], status) == (code, row.status), body
    if row.is_refusal:
        assert row.es in body["motivacion"]
        assert row.en in body["motivacion"]
        assert body["fundamento"].startswith("mx:")
        assert body["autoridad"].startswith("MX/GAR/")
        assert date.fromisoformat(body["limiteImpugnacion"]) > date(2026, 3, 2)
    else:
        assert body["mensaje"].startswith(row.es[:40])
        assert body["message"].startswith(row.en[:40])
        assert body["reintentable"] is row.may_be_retried
    assert CURPS["ana"] not in str(body)


# Bad input as one is likely to meet it; prepared cases change something before the refused request.
UNPREPARED = sorted(
    set(CASES)
    - {"SS-208", "SS-302", "SS-303", "SS-304", "SS-401", "SS-402", "SS-404", "SS-405", "SS-406"}
    - {"SS-502", "SS-503", "SS-601", "SS-602", "SS-603", "SS-604", "SS-900"}
)


def contents(country: SmallCountry) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for file in sorted(country.folder.glob("*/*.sqlite")):
        connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            if table not in RECORDS:
                found[f"{file.parent.name}.{table}"] = connection.execute(f"SELECT * FROM {table}").fetchall()
        connection.close()
    return found


@pytest.mark.parametrize("code", UNPREPARED)
async def test_refused_request_changes_nothing(country: SmallCountry, code: str) -> None:
    before = contents(country)
    assert (await CASES[code](country))[1]["codigo"] == code
    assert contents(country) == before


async def test_homonyms_are_not_conclusive_until_an_officer_decides(country: SmallCountry) -> None:
    connection = sqlite3.connect(country.folder / "00-RNSS" / "registry.sqlite", timeout=60)
    rids = [r[0] for r in connection.execute("SELECT rid FROM person LIMIT 6").fetchall()]
    for rid in rids[1:]:
        connection.execute("INSERT INTO review (rid, other) VALUES (?, ?)", (rids[0], rid))
    connection.commit()
    connection.close()
    status, body = await find(country, curp=CURPS["ana"])
    assert (status, body) == (200, {"resultado": "NO_CONCLUYENTE"})


async def test_refusal_shows_in_the_persons_log_even_when_the_gateway_made_it(country: SmallCountry) -> None:
    gateway = country.roads["15-ISSEMYM"]
    gateway.refusals.append(
        {
            "number": 7, "at": "2026-03-02T16:00:00+00:00", "event": "policy_refused", "reason": "role",
            "rule": "oss:perm-consultarAfiliacion", "policy": "1.0.0", "client": "MX/GOB/15-ISSEMYM/AFIL",
            "service": "MX/GOB/15-ISSEMYM/AFIL/oss-v1", "messageId": "refused-1", "field": "X-OSS-Rol",
            "told": {"pid": ANA, "X-OSS-Proposito": "PUR-AFIL", "X-OSS-Fundamento": "mx:LGPDPPSO-16-II",
                     "X-OSS-Sistema": "S", "X-Road-Issue": CONS},
        }
    )  # fmt: skip
    look: dict[str, Any] = {"purpose": "PUR-BITACORA", "case": CONS, "role": "TITULAR"}
    for _ in range(2):  # read twice, shown once
        _, seen = await country.ask("15-ISSEMYM/BITACORA", "15-ISSEMYM", "findUsage", {"pid": ANA}, **look)
    rows = [u for u in seen["usages"] if u["messageId"] == "refused-1"]
    assert [(r["outcome"], r["action"], r["purpose"]) for r in rows] == [
        ("NEGADO", "Consulta de afiliación", "PUR-AFIL")
    ]
    violations = await country.read("15-ISSEMYM", "/violaciones")
    assert [(v["miembro"], v["codigo"], v["casos"]) for v in violations["violaciones"]] == [
        ("MX/GOB/15-ISSEMYM", "SS-210", 1)
    ]


async def test_answer_that_the_gateway_held_back_is_shown_as_refused(country: SmallCountry) -> None:
    await affiliation(country)
    database = institute(country)
    ((message_id,),) = database.query("SELECT message_id FROM access WHERE outcome = 'ENTREGADO'")
    database.close()
    country.roads["15-ISSEMYM"].refusals.append(
        {
            "number": 1, "at": "2026-03-02T16:00:00+00:00", "event": "policy_refused", "reason": "answer_fields",
            "rule": "oss:perm-consultarAfiliacion", "policy": "1.0.0", "client": "MX/GOB/15-ISSEMYM/AFIL",
            "service": "x", "messageId": message_id, "field": "nombre", "told": {},
        }
    )  # fmt: skip
    await country.read("15-ISSEMYM", "/negativas")
    reread = institute(country)
    rows = PersonStore(reread).accesses(Pid(ANA), today=date(2026, 3, 2))[1]
    reread.close()
    assert [(r.outcome, r.code, r.categories) for r in rows] == [("NEGADO", "SS-201", ())]


async def test_list_that_lacks_the_gateways_refusals_is_not_given_out(country: SmallCountry) -> None:
    country.roads["15-ISSEMYM"].tells = False
    look: dict[str, Any] = {"purpose": "PUR-BITACORA", "case": CONS, "role": "TITULAR"}
    status, body = await country.ask("15-ISSEMYM/BITACORA", "15-ISSEMYM", "findUsage", {"pid": ANA}, **look)
    assert (status, body["codigo"]) == (504, "SS-901")
