"""Operators' pages at a running gateway, and both servers' in a real browser."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from central_server.admin import roles as central_roles
from gateway.admin.roles import OBSERVER, SERVICE_ADMINISTRATOR, gateway_roles
from gateway.server.process import GatewayProcess
from gateway.settings.config import GatewaySettings
from gateway.settings.datafolder import DataFolder
from serving.api.server import AdminApi
from serving.config.adminsettings import AdminSettings
from serving.language import DOMAIN, FOLDER, console_languages, languages
from serving.potext import parse_po
from tests.axe import walk_looks
from tests.chromium import open_tab
from tests.integration.hosting import hosted, prepare
from tests.operators import Operator
from tests.unit.central_server import test_admin
from tests.unit.central_server.test_admin import Central

if TYPE_CHECKING:
    from schemas.monitoring import Record

central = test_admin.central
GATEWAY = (
    "/consola/",
    "/consola/asistente",
    "/consola/clientes",
    "/consola/cliente?id=MX:GOB:15-ISSEMYM:AFIL",
    "/consola/cliente/nuevo",
    "/consola/derechos?cliente=MX:GOB:15-ISSEMYM:AFIL",
    "/consola/peticiones",
    "/consola/pedir-acceso",
    "/consola/llaves",
    "/consola/llaves/solicitud?uso=AUTHENTICATION&ca=Dev%20CA",
    "/consola/trafico",
    "/consola/mensajes",
    "/consola/mensajes?desde=2020-01-01T00:00&lado=provider",
    "/consola/diagnostico",
    "/consola/servidor",
    "/consola/ajustes",
    "/consola/respaldos",
    "/consola/programas",
    "/consola/usuarios",
    "/consola/cuenta",
    "/consola/operacion/post_users",
    "/consola/auditoria",
    "/consola/operaciones",
    "/consola/operacion/put_clients_id_register?id=MX:GOB:15-ISSEMYM:AFIL&fijos=id&vuelta=/consola/clientes",
    "/consola/operacion/post_tokens_id_keys_with_csrs",
)
CENTRAL = (
    "/consola/",
    "/consola/asistente",
    "/consola/solicitudes",
    "/consola/miembros",
    "/consola/miembro?id=MX:GOB:00-ONIESS",
    "/consola/servidores",
    "/consola/grupos",
    "/consola/grupo?codigo=security-server-owners",
    "/consola/confianza",
    "/consola/autoridad?id=1",
    "/consola/configuracion",
    "/consola/nodos",
    "/consola/federacion",
    "/consola/catalogo",
    "/consola/respaldos",
    "/consola/programas",
    "/consola/usuarios",
    "/consola/cuenta",
    "/consola/operacion/post_users",
    "/consola/auditoria",
    "/consola/operaciones",
    "/consola/no-hay-tal",
)

# Pages of operations have help beside each field and say what will happen.
WITHOUT_HELP = (
    "/consola/operaciones",
    "/consola/no-hay-tal",
    "/consola/operacion/post_users",
    "/consola/operacion/put_clients_id_register",
    "/consola/operacion/post_tokens_id_keys_with_csrs",
)


async def test_before_the_set_up_pages_say_what_is_missing(tmp_path: Path) -> None:
    # Every page of the console within a minute: more than one address may ask for.
    settings = GatewaySettings(admin=AdminSettings(requests_per_second=0, requests_per_minute=0))
    host = GatewayProcess(DataFolder(tmp_path), settings, None)
    host.logins.save_user("ana", "secret", gateway_roles().of_people())
    async with TestClient(TestServer(host.api.app())) as client:
        operator = Operator(client)
        await operator.log_in("ana", "secret")
        assert operator.status == 200
        assert "Este servidor aún no está puesto en marcha." in operator.page.text
        await operator.get("/consola/asistente")
        assert "El archivo del ancla de su instancia" in operator.page.text
        for path in GATEWAY:
            await operator.get(path)
            assert operator.status in (200, 404, 409), path
            assert "Salir" in operator.page.text
    host.logins.close()
    host.store.close()


def english_left(text: str) -> list[str]:
    """Sentences of the catalogue that a page says in English though they have a translation."""
    path = FOLDER / "es" / "LC_MESSAGES" / f"{DOMAIN}.po"
    entries = parse_po(path.read_text(encoding="utf-8"))
    sentences = (e.message for e in entries if e.translations and e.translations[0] != e.message)
    return [f"English: {s}" for s in sentences if s.count(" ") > 2 and "{" not in s and s in text]


class Remote:
    """A listening server as `Operator` calls it."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.request = session.request


@pytest.mark.xroad("F171")
async def test_a_gateways_pages_show_diagnosis_clients_services_and_rights(tmp_path: Path) -> None:
    prepare(tmp_path)
    with hosted(tmp_path) as (address, host):
        host.logins.save_user("ana", "secret", gateway_roles().of_people())
        host.logins.save_user("eva", "secret", [SERVICE_ADMINISTRATOR])
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(address, cookie_jar=jar) as session:
            operator = Operator(Remote(session))  # type: ignore[arg-type]
            await operator.log_in("ana", "secret")
            assert "MX:GOB:15-ISSEMYM:SS1" in operator.page.text
            assert "Qué hacer" in operator.page.text
            await operator.get("/consola/clientes")
            named = next(
                link for link in operator.page.links if "consola/cliente?" in link and "AFIL" in link
            )
            await operator.get(named)
            assert "Este cliente no ofrece servicios." in operator.page.text
            await operator.get("/consola/cliente?id=MX:GOB:NADIE:X&lang=en")
            assert operator.status == 404
            assert "does not exist" in operator.page.text.lower()
            operator.cookie += "; zona=../../etc/passwd"
            await operator.get("/consola/trafico?zona=Nowhere/At_all")
            assert operator.status == 200
            assert "America/Mexico_City" in operator.page.text
            await operator.get("/consola/cliente?id=<script>alert(1)</script>")
            assert "<script" not in operator.page.source
            other = Operator(Remote(session), "en")  # type: ignore[arg-type]
            await other.log_in("eva", "secret")
            assert "Your account may not do that" in other.page.text
            assert "Keys and certificates" not in other.page.text
            await other.get("/consola/llaves")
            assert other.status == 403


async def walk(
    operator: Operator, pages: tuple[str, ...], api: AdminApi, role: str, allowed: frozenset[str]
) -> None:
    """Every page as one role: the menu leads nowhere forbidden, acts shown are those allowed, and the others are refused."""
    await operator.log_in(role, "secret")
    menu = [link for link in operator.page.links if link.startswith("/consola/") and "?" not in link]
    for path in dict.fromkeys((*menu, *pages)):
        await operator.get(path)
        assert operator.status in (200, 403, 404, 409), (role, path)
        assert path not in menu or operator.status != 403, (role, path)
        for link in operator.page.links:
            name = link.removeprefix("/consola/operacion/").partition("?")[0]
            shown = api.operation(name) if link.startswith("/consola/operacion/") else None
            needed = shown.permissions if shown is not None else ()
            assert not needed or allowed & set(needed), (role, path, link)
    if operator.language != "en":
        return  # what is refused does not hang on the language
    for operation in api.operations:
        if operation.event is not None and operation.permissions and not allowed & set(operation.permissions):
            await operator.send(f"/consola/operacion/{operation.id}", {})
            assert operator.status in (403, 404), (role, operation.id)
            await operator.get("/consola/cuenta")


@pytest.mark.xroad("F127", "F179")
async def test_every_page_says_whose_server_it_is_and_what_is_wrong_whoever_looks(tmp_path: Path) -> None:
    prepare(tmp_path)
    # Without its PIN the token waits; the configuration on the disk is one of years ago.
    with hosted(tmp_path, pin=None) as (address, host):
        host.logins.save_user("ojo", "secret", [OBSERVER])
        host.logins.save_user("ana", "secret", gateway_roles().of_people())
        async with aiohttp.ClientSession(address, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            for name in ("ojo", "ana"):
                operator = Operator(Remote(session), "en")  # type: ignore[arg-type]
                await operator.log_in(name, "secret")
                for path in GATEWAY:
                    await operator.get(path)
                    head = operator.page.source.partition("<main")[0]
                    # Instance, class, owner and server code in one identifier, its owner's name, and its address.
                    assert "<strong>MX:GOB:15-ISSEMYM:SS1</strong> " in head, (name, path)
                    assert "<code>" in head.partition("</header>")[0], (name, path)
                    assert "The token waits for its PIN: messages are not signed." in head, (name, path)
                    assert 'href="/consola/llaves"' in head.partition('role="alert"')[2], (name, path)


@pytest.mark.xroad("F127", "F179", "F176")
async def test_every_page_of_the_centre_says_its_instance_its_address_what_is_wrong_and_what_the_page_is_for(
    central: Central,
) -> None:
    await central.set_up()
    tokens = await central.call("GET", "/tokens")
    await central.call("PUT", f"/tokens/{tokens[0]['id']}/logout")
    for language, label in (("es", "Ayuda de esta página"), ("en", "Help for this page")):
        operator = Operator(central.client, language)
        await operator.log_in("xrd", "secret")
        for path in CENTRAL:
            await operator.get(path)
            head = operator.page.source.partition("<main")[0]
            assert "<strong>MX</strong>" in head, path
            assert "<code>" in head.partition("</header>")[0], path
            assert 'role="alert"' in head, path
            has_help = label in operator.page.text
            assert has_help or path in WITHOUT_HELP, path


@pytest.mark.xroad("F176")
async def test_every_page_of_a_gateway_says_what_it_is_for(tmp_path: Path) -> None:
    prepare(tmp_path)
    with hosted(tmp_path) as (address, host):
        host.logins.save_user("ana", "secret", gateway_roles().of_people())
        async with aiohttp.ClientSession(address, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            operator = Operator(Remote(session), "en")  # type: ignore[arg-type]
            await operator.log_in("ana", "secret")
            for path in GATEWAY:
                await operator.get(path)
                assert "Help for this page" in operator.page.text or path.split("?")[0] in WITHOUT_HELP, path


@pytest.mark.xroad("F123")
async def test_the_chart_of_traffic_counts_what_was_exchanged_by_side_service_and_time(
    tmp_path: Path,
) -> None:
    prepare(tmp_path)
    now = int(datetime.now(UTC).timestamp())
    with hosted(tmp_path) as (address, host):
        host.logins.save_user("ana", "secret", gateway_roles().of_people())
        assert host.gateway is not None
        records = host.gateway.records
        records.insert([(now, exchanged(now, n)) for n in range(40)])
        records.insert([(now - 7200, exchanged(now - 7200, n)) for n in range(8)])
        async with aiohttp.ClientSession(address, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            operator = Operator(Remote(session), "en")  # type: ignore[arg-type]
            await operator.log_in("ana", "secret")
            for query, expected in (
                ("tiempo=24h", (36, 12)),
                ("tiempo=1h", (30, 10)),
                ("tiempo=7d", (36, 12)),
                ("tiempo=24h&lado=Client", (18, 6)),
                ("tiempo=24h&servicio=MX:GOB:00-RNSS:INDICE:vigencia", (36, 12)),
                ("tiempo=24h&servicio=MX:GOB:00-RNSS:INDICE:otro", (0, 0)),
            ):
                await operator.get(f"/consola/trafico?{query}")
                assert operator.status == 200
                drawn = re.findall(r"<title>[^<]*: ([\d,]+) \+ ([\d,]+)</title>", operator.page.source)
                sums = tuple(sum(int(pair[side].replace(",", "")) for pair in drawn) for side in (0, 1))
                assert sums == expected, query


def exchanged(at: int, number: int) -> Record:
    """The record of an exchange in that second; one in four fails, one in two is the consumer's side."""
    return {
        "clientXRoadInstance": "MX", "clientMemberClass": "GOB", "clientMemberCode": "15-ISSEMYM", "clientSubsystemCode": "AFIL",
        "serviceXRoadInstance": "MX", "serviceMemberClass": "GOB", "serviceMemberCode": "00-RNSS", "serviceSubsystemCode": "INDICE",
        "serviceCode": "vigencia", "securityServerType": "Client" if number % 8 < 4 else "Producer", "requestInTs": at * 1000,
        "responseOutTs": at * 1000 + 20, "succeeded": number % 4 != 0, "messageId": f"m{at}-{number}",
    }  # fmt: skip


@pytest.mark.xroad("F175")
@pytest.mark.parametrize("language", ["es", "en"])
async def test_every_role_sees_what_it_may_do_and_is_refused_the_rest(
    central: Central, tmp_path: Path, language: str
) -> None:
    await central.set_up()
    for name, role in (("so", central_roles.SECURITY_OFFICER), ("ro", central_roles.REGISTRATION_OFFICER),
                       ("sy", central_roles.SYSTEM_ADMINISTRATOR)):  # fmt: skip
        allowed = central_roles.central_roles().of([role])
        await walk(Operator(central.client, language), CENTRAL, central.api, name, allowed)
    folder = tmp_path / "gateway"
    prepare(folder)
    with hosted(folder) as (address, host):
        async with aiohttp.ClientSession(address, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            for role, allowed in gateway_roles().permissions.items():
                host.logins.save_user(role, "secret", [role])
                operator = Operator(Remote(session), language)  # type: ignore[arg-type]
                await walk(operator, GATEWAY, host.api, role, allowed)


@pytest.mark.xroad("F173", "F174")
@pytest.mark.parametrize("language", [name for name in console_languages() if name not in languages()])
async def test_operators_pages_are_whole_in_every_language_they_are_offered_in(
    central: Central, tmp_path: Path, language: str
) -> None:
    await central.set_up()
    left: dict[str, list[str]] = {}
    folder = tmp_path / "gateway"
    prepare(folder)
    with hosted(folder) as (address, host):
        host.logins.save_user("xrd", "secret", gateway_roles().of_people())
        async with aiohttp.ClientSession(address, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            for client, pages in ((central.client, CENTRAL), (Remote(session), GATEWAY)):
                operator = Operator(client, language.replace("_", "-"))  # type: ignore[arg-type]
                await operator.log_in("xrd", "secret")
                for path in pages:
                    page = await operator.get(path)
                    assert f'<html lang="{language.replace("_", "-")}">' in page.source, path
                    left[path] = [*left.get(path, ()), *english_left(page.text)]
    assert {path: found for path, found in left.items() if found} == {}


@pytest.mark.processes
@pytest.mark.parametrize("language", ["es", "en"])
@pytest.mark.xroad("F177", "F173", "F174")
async def test_both_servers_pages_hold_for_everybodys_eyes(
    central: Central, tmp_path: Path, language: str
) -> None:
    await central.set_up()
    number = await central.register_server()
    wrong: dict[str, list[str]] = {}
    folder = tmp_path / "gateway"
    prepare(folder)
    with hosted(folder) as (gateway, host):
        host.logins.save_user("xrd", "secret", gateway_roles().of_people())
        async with open_tab(language) as tab:
            for server, address, pages in (
                ("central", str(central.client.make_url("")).rstrip("/"), CENTRAL),
                ("gateway", gateway, GATEWAY),
            ):
                await tab.open(f"{address}/consola/entrar")
                wrong[f"{address}/consola/entrar"] = await walk_looks(tab, f"{server}-entrar", language)
                await tab.type("#cuenta", "xrd")
                await tab.type("#clave", "secret")
                await tab.click("main button")
                for path in pages:
                    tab.complaints.clear()
                    await tab.open(address + path)
                    wrong[address + path] = await walk_looks(tab, f"{server}-{path}", language)
                    wrong[address + path] += english_left(await tab.text()) if language == "es" else []
                    assert await tab.ask("document.documentElement.lang") == language
                    assert [c for c in tab.complaints if "404" not in c] == [], path
            await tab.open(f"{str(central.client.make_url('')).rstrip('/')}/consola/solicitud?id={number}")
            await tab.click(".note .act")
            await tab.type("#f-comments", "Falta el oficio")
            await tab.click("main button")
            assert await tab.ask("document.querySelector('main .good').getAttribute('role')") == "status"
    assert {page: found for page, found in wrong.items() if found} == {}
    assert (await central.call("GET", f"/management-requests/{number}"))["status"] == "DECLINED"
