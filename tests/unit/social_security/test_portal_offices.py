"""Those who move cases on, on their pages: a portability case over three desks and the person, admissions, ONIESS, the registry's officer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from serving.storage.database import Database
from social_security.portal.accounts import COUNTER, OFFICER, OPERATOR
from social_security.portal.counter import read_step
from social_security.registry.tables import STEPS as REGISTRY_STEPS
from social_security.wire.gatewayclient import GatewayClient, Why
from tests.portals import PIDS, Browser, World, open_world
from tests.unit.social_security.test_portal_person import logged_in
from tests.unit.social_security.test_portal_staff import enter

OTHERS = ("26-ISSSTESON", "30-IPE")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


async def shows(browser: Browser, path: str, expected: str) -> None:
    """Open a page again until the notices that are on their way have arrived there."""
    for _ in range(480):
        await browser.get(path)
        if expected in browser.page.source:
            return
        await asyncio.sleep(0.25)
    raise AssertionError(f"{path} never showed {expected}: {browser.page.text}")


async def move(browser: Browser, case: str, step: str, *fields: tuple[str, str]) -> None:
    path = f"/casos/{case}"
    await shows(browser, path, f'value="{step}"')
    await browser.send(path, [("paso", step), ("confirmo", "1"), *fields])
    assert (browser.status, "Listo" in browser.page.text) == (200, True), browser.page.text


async def test_a_case_goes_over_three_desks_and_the_person_to_its_end(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as desk, Browser(address) as person:
        await enter(desk, accounts, COUNTER, "mesa-1")
        await logged_in(world, person, accounts, "ana")
        await desk.get(f"/?numero={PIDS['ana']}")
        wanted = [("pid", PIDS["ana"]), ("convenio", "CONV-DEMO-2025-01"), ("beneficio", "JUBILACION")]
        late, first = (f"MX/GOB/{code}" for code in OTHERS)
        wanted += [("contraparte", first)]
        await desk.send("/casos", wanted)
        assert desk.status == 400, "what begins a term is confirmed"
        await desk.send("/casos", [*wanted, ("confirmo", "1")])
        assert desk.status == 200, desk.page.text
        (case,) = set(re.findall(r"PORT-15-2026-\d{8}", desk.page.source))
        await move(desk, case, "ADMITIR")
        await desk.send(f"/casos/{case}", [("paso", "AGREGAR_PARTICIPANTE"), ("confirmo", "1")])
        assert desk.status == 400, "who joins is chosen"
        await move(desk, case, "AGREGAR_PARTICIPANTE", ("contraparte", late))
        assert 'value="AGREGAR_PARTICIPANTE"' not in desk.page.source, "nobody of the convention is left"
        await move(desk, case, "SOLICITAR_HISTORIA")
        for code in OTHERS:
            other, its = await world.portal(code)
            async with Browser(other) as counterparty:
                await enter(counterparty, its, COUNTER, "mesa-2")
                await move(counterparty, case, "ENTREGAR_HISTORIA")
                await counterparty.get(f"/casos/{case}")
                assert 'value="ADMITIR"' not in counterparty.page.source, "that is the responsible one's"
        await move(desk, case, "TOTALIZAR", ("monto", "18000.00"))
        assert "25 años reconocidos" in desk.page.text
        shares = [float(s.replace(",", "")) for s in re.findall(r"\b\d{1,2},\d{3}\.\d\d\b", desk.page.text)]
        assert sum(shares) == 18_000
        await move(desk, case, "PROYECTAR")
        await person.get("/tramites")
        assert "25 años reconocidos" in person.page.text
        await person.send(f"/tramites/{case}", [("paso", "CONFORMAR")])
        assert person.status == 400
        await person.send(f"/tramites/{case}", [("paso", "CONFORMAR"), ("confirmo", "1")])
        assert person.status == 200, person.page.text
        for code in OTHERS:
            other, its = await world.portal(code)
            async with Browser(other) as counterparty:
                await enter(counterparty, its, COUNTER, "mesa-3")
                await move(counterparty, case, "CONFIRMAR_TRANSFERENCIA")
        await move(desk, case, "RESOLVER")
        await move(desk, case, "CERRAR")
        await person.get("/accesos")
        assert "Siguiente paso de un caso" in person.page.text


async def test_a_step_is_refused_where_the_table_has_none_and_nobody_moves_another_person_s_case(
    world: World,
) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as desk, Browser(address) as person:
        await enter(desk, accounts, COUNTER, "mesa-1")
        await desk.get(f"/?numero={PIDS['ana']}")
        wanted = [("pid", PIDS["ana"]), ("convenio", "CONV-DEMO-2025-01"), ("beneficio", "VEJEZ")]
        await desk.send("/casos", [*wanted, ("contraparte", "MX/GOB/30-IPE"), ("confirmo", "1")])
        (case,) = set(re.findall(r"PORT-15-2026-\d{8}", desk.page.source))
        await desk.send(f"/casos/{case}", [("paso", "CERRAR"), ("confirmo", "1")])
        assert (desk.status, "SS-400" in desk.page.text) == (409, True)
        bare = [("paso", "RECHAZAR"), ("confirmo", "1"), ("codigo", "SS-403")]
        await desk.send(f"/casos/{case}", bare)
        assert desk.status == 400, "a rejection has its reasons"
        await logged_in(world, person, accounts, "jose")
        await person.get("/tramites")
        assert case not in person.page.source
        await person.send(f"/tramites/{case}", [("paso", "DESISTIR"), ("confirmo", "1")])
        assert (person.status, "SS-405" in person.page.text) == (409, True)
        grounds = [("fundamento", "mx:LGPDPPSO-60"), ("motivacion", "El convenio no cubre este beneficio.")]
        await desk.send(f"/casos/{case}", [*bare, *grounds])
        assert "Listo" in desk.page.text, desk.page.text
        assert "El convenio no cubre este beneficio." in desk.page.text
        await desk.get("/casos/PORT-15-2026-99999999")
        assert desk.status == 404


async def test_admissions_are_moved_with_their_reasons(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as desk:
        await enter(desk, accounts, COUNTER, "mesa-1")
        await desk.get("/admisiones")
        assert (desk.status, "No hay" in desk.page.text) == (200, True)
        case = "EXT-15-2026-00000021"
        wanted = {
            "pid": PIDS["ana"],
            "origen": {"tipo": "MUNICIPIO", "clave": "Toluca"},
            "evidencias": [{"tipo": "HOJA_UNICA", "sha256": "b" * 64, "emisor": "CDMX"}],
            "beneficio": "SERVICIO_MEDICO",
        }
        why = Why("PUR-EXT", case, COUNTER, "Admisión")
        road = GatewayClient(world.gateway, "MX/GOB/15-ISSEMYM", "1.0.0")
        heard = await road.ask("EXTERNOS", "MX/GOB/15-ISSEMYM", "solicitarAdmision", wanted, why)
        await road.close()
        assert heard.status == 202, heard.body
        path = f"/admisiones/{case}"
        await desk.get("/admisiones")
        assert case in desk.page.source
        await desk.send(path, [("paso", "ADMITIDA"), ("confirmo", "1")])
        assert desk.status == 409, "nobody is admitted unchecked"
        await desk.send(path, [("paso", "VERIFICANDO_IDENTIDAD"), ("confirmo", "1")])
        assert "se verifica la identidad" in desk.page.text
        await desk.send(path, [("paso", "NEGADA"), ("confirmo", "1")])
        assert desk.status == 400, "a refusal has its reasons"
        reasons = ("motivacion", "El organismo de origen no reconoce el periodo.")
        await desk.send(path, [("paso", "NEGADA"), ("confirmo", "1"), reasons])
        assert reasons[1] in desk.page.text, desk.page.text
        for path in ("/admisiones/EXT-15-2026-00000001", "/admisiones/otra"):
            await desk.get(path)
            assert desk.status in (400, 404), path


async def test_oniess_decides_gates_and_notes_commitments_with_owner_and_date(world: World) -> None:
    address, accounts = await world.portal("00-ONIESS")
    async with Browser(address) as anybody:
        await anybody.get("/")
        assert anybody.status == 200
        await anybody.get("/operacion")
        assert "Entrar" in anybody.page.text
    async with Browser(address) as operator:
        await enter(operator, accounts, OPERATOR, "operadora-1")
        for path in (
            "/operacion",
            "/operacion/convenios",
            "/operacion/indicadores",
            "/operacion/compromisos",
        ):
            await operator.get(path)
            assert operator.status == 200, path
        owed = [("descripcion", "Conectar a IPEJAL con su historia"), ("responsable", "MX/GOB/30-IPE")]
        await operator.send("/operacion/compromisos", owed)
        assert operator.status == 400, "a commitment has its date"
        await operator.send("/operacion/compromisos", [*owed, ("vence", "2026-04-19")])
        assert operator.status == 409, "nobody commits to yesterday"
        await operator.send(
            "/operacion/compromisos", [*owed, ("vence", "2026-05-04"), ("indicador", "IND-01")]
        )
        assert (operator.status, "COM-0001" in operator.page.text) == (200, True), operator.page.text
        await operator.get("/operacion/indicadores")
        assert "COM-0001" in operator.page.text
        world.at("2026-05-05T09:00:00-06:00")
        await operator.get("/operacion/compromisos")
        assert '<strong class="bad">' in operator.page.source, "its term has passed, whatever was entered"
        met = [("idCompromiso", "COM-0001"), ("estado", "CUMPLIDO")]
        await operator.send("/operacion/compromisos", met)
        assert operator.status == 400, "that it was met is shown"
        await operator.send("/operacion/compromisos", [*met, ("evidencia", "Acta 4/2026 del consejo")])
        assert "cumplido" in operator.page.text
        case = "ALTA-14-2026-00000031"
        roles = ("TITULAR", "UNIDAD_TRANSPARENCIA", "SEGURIDAD", "TECNICO", "JURIDICO", "INCIDENTES_24X7")
        applied = {
            "nombre": "IPEJAL",
            "entidad": "14",
            "clasePropuesta": "GOB",
            "codigoPropuesto": "14-IPEJAL",
            "fundamentoCreacion": "Ley del Instituto",
            "subsistemas": ["AFIL"],
            "contactos": [{"rol": r, "correo": "a@ipejal.example"} for r in roles],
        }
        why = Why("PUR-ALTA", case, OPERATOR, "Solicitud")
        road = GatewayClient(world.gateway, "MX/GOB/00-ONIESS", "1.0.0")
        heard = await road.ask("ALTA", "MX/GOB/00-ONIESS", "solicitarAlta", applied, why)
        await road.close()
        assert heard.status == 201, heard.body
        path = f"/operacion/altas/{case}"
        await operator.get("/operacion")
        assert path in operator.page.source
        gate = [("compuerta", "documentos"), ("resultado", "APROBADA")]
        await operator.send(path, gate)
        assert operator.status == 400, "a gate has its evidence"
        await operator.send(path, [*gate, ("evidencia", "Oficio 12/2026, foja 3")])
        assert "aprobada" in operator.page.text
        await operator.send(path, [("activar", "1")])
        assert (operator.status, "SS-600" in operator.page.text) == (409, True)
        await operator.get("/operacion/altas/ALTA-00-2026-00000009")
        assert operator.status == 404


def signed(key: Ed25519PrivateKey, statement: str) -> str:
    return key.sign(statement.encode()).hex()


async def test_the_registry_s_officer_merges_parts_and_raises_levels_by_what_she_signs(world: World) -> None:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    database = Database(world.system_folder("00-RNSS") / "registry.sqlite", REGISTRY_STEPS)
    with database.transaction() as connection:
        connection.execute("INSERT INTO officer (name, public_key) VALUES ('oficial-1', ?)", (public,))
        one, other = (
            connection.execute("SELECT rid FROM pseudonym WHERE pid = ?", (PIDS[who],)).fetchall()[0][0]
            for who in ("ana", "jose")
        )
        connection.execute("INSERT INTO review (rid, other) VALUES (?, ?)", (one, other))
    database.close()
    address, accounts = await world.portal("00-RNSS")
    async with Browser(address) as officer:
        await enter(officer, accounts, OFFICER, "oficial-1")
        assert PIDS["ana"] in officer.page.source
        statements = re.findall(r'<pre class="statement">([^<]*)</pre>', officer.page.source)
        statements = [s.replace("&#34;", '"') for s in statements]
        reference = re.findall(r'name="revision" value="([0-9a-f]{32})"', officer.page.source)[0]
        chosen = [("acto", "FUSION-1"), ("revision", reference), ("confirmo", "1")]
        await officer.send("/", [*chosen, ("firma", signed(key, statements[1]))])
        assert (officer.status, "SS-400" in officer.page.text) == (409, True), "signed for the other one"
        await officer.send("/", [*chosen, ("firma", signed(key, statements[0]))])
        assert officer.status == 200, officer.page.text
        undo = re.findall(r'<pre class="statement">([^<]*)</pre>', officer.page.source)[0].replace(
            "&#34;", '"'
        )
        number = re.findall(r'name="union" value="(\d+)"', officer.page.source)[0]
        parted = [("acto", "SEPARACION"), ("union", number), ("confirmo", "1"), ("firma", signed(key, undo))]
        await officer.send("/", parted)
        assert officer.status == 200, officer.page.text
        await officer.send("/", parted)
        assert officer.status == 409, "it is undone once"
        await officer.get("/niveles")
        level = [("miembro", "MX/GOB/15-ISSEMYM"), ("pid", PIDS["ana"]), ("nivel", "LOA3"), ("tipo", "EFIRMA"),
                 ("emisor", "SAT"), ("sha256", "a" * 64)]  # fmt: skip
        await officer.send("/niveles", level)
        assert officer.status == 400
        await officer.send("/niveles", [*level, ("confirmo", "1")])
        assert officer.status == 200, officer.page.text
        await officer.send("/niveles", [*level, ("confirmo", "1")])
        assert officer.status == 409, "it has risen already"
    database = Database(world.system_folder("00-RNSS") / "registry.sqlite", REGISTRY_STEPS)
    rows = database.query("SELECT action, receiver FROM person_access WHERE rid = ?", (one,))
    database.close()
    done = {str(action) for action, _ in rows}
    assert done >= {
        "Decisión firmada sobre registros de una o dos personas",
        "Nivel de identidad elevado por evidencia",
    }


@pytest.mark.parametrize(("code", "role"), [("00-ONIESS", OPERATOR), ("00-RNSS", OFFICER)])
async def test_a_stranger_s_page_is_refused_to_each_role(world: World, code: str, role: str) -> None:
    address, accounts = await world.portal(code)
    async with Browser(address, "en") as browser:
        await enter(browser, accounts, role, "alguien")
        assert 'lang="en"' in browser.page.source
        for path in ("/casos", "/solicitudes", "/historia"):
            await browser.get(path)
            assert browser.status in (403, 404), path


@pytest.mark.parametrize("amount", ["-1", "1.234", "1e5", "uno", "9" * 12, "١٢"])
def test_an_amount_is_pesos(amount: str) -> None:
    with pytest.raises(ValueError, match="pesos"):
        read_step({"paso": ["TOTALIZAR"], "confirmo": ["1"], "monto": [amount]})
