"""Operators' pages at a running gateway, and both servers' in a real browser."""

from __future__ import annotations

from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from central_server.admin import roles as central_roles
from gateway.admin.roles import SERVICE_ADMINISTRATOR, gateway_roles
from gateway.server.process import GatewayProcess
from gateway.settings.config import GatewaySettings
from gateway.settings.datafolder import DataFolder
from serving.api.server import AdminApi
from serving.config.adminsettings import AdminSettings
from serving.language import DOMAIN, FOLDER
from serving.potext import parse_po
from tests.accessibility import faults_of
from tests.chromium import Tab, open_tab
from tests.integration.hosting import hosted, prepare
from tests.operators import Operator
from tests.unit.central_server import test_admin
from tests.unit.central_server.test_admin import Central

central = test_admin.central
GATEWAY = (
    "/consola/",
    "/consola/asistente",
    "/consola/clientes",
    "/consola/cliente?id=MX:GOB:15-ISSEMYM:AFIL",
    "/consola/cliente/nuevo",
    "/consola/derechos?cliente=MX:GOB:15-ISSEMYM:AFIL",
    "/consola/peticiones",
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


async def in_every_look(tab: Tab) -> list[str]:
    """What is wrong with the page that is shown when it is dark, and as narrow as a telephone."""
    wrong = []
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    await tab.send("Emulation.setEmulatedMedia", features=dark)
    wrong += [f"dark: {fault}" for fault in await faults_of(tab)]
    await tab.send(
        "Emulation.setDeviceMetricsOverride", width=320, height=700, deviceScaleFactor=1, mobile=True
    )
    wrong += [f"narrow: {fault}" for fault in await faults_of(tab)]
    await tab.send("Emulation.clearDeviceMetricsOverride")
    await tab.send("Emulation.setEmulatedMedia", features=[])
    return wrong


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
            for address, pages in (
                (str(central.client.make_url("")).rstrip("/"), CENTRAL),
                (gateway, GATEWAY),
            ):
                await tab.open(f"{address}/consola/entrar")
                wrong[f"{address}/consola/entrar"] = await faults_of(tab)
                await tab.type("#cuenta", "xrd")
                await tab.type("#clave", "secret")
                await tab.click("main button")
                for path in pages:
                    tab.complaints.clear()
                    await tab.open(address + path)
                    wrong[address + path] = await faults_of(tab) + await in_every_look(tab)
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
