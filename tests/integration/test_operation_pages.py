"""A page for every operation: forms that do what the API does, for those who may, and for nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp
import pytest

from gateway.admin.roles import SERVICE_ADMINISTRATOR, gateway_roles
from tests.integration.hosting import hosted, prepare
from tests.operators import Operator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from gateway.server.process import GatewayProcess

CLIENT = "MX:GOB:15-ISSEMYM:AFIL"


class Remote:
    """A listening server as `Operator` calls it."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session
        self.request = session.request


class Pages:
    """One visitor of a running gateway's pages."""

    def __init__(self, session: aiohttp.ClientSession, host: GatewayProcess) -> None:
        self.host = host
        self.operator = Operator(Remote(session), "en")  # type: ignore[arg-type]


@pytest.fixture
async def pages(tmp_path: Path) -> AsyncIterator[Pages]:
    prepare(tmp_path)
    with hosted(tmp_path) as (address, host):
        host.logins.save_user("ana", "secret", gateway_roles().of_people())
        host.logins.save_user("eva", "secret", [SERVICE_ADMINISTRATOR])
        async with aiohttp.ClientSession(address, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            found = Pages(session, host)
            await found.operator.log_in("ana", "secret")
            assert found.operator.status == 200, found.operator.page.text
            yield found


async def test_every_operation_has_its_page(pages: Pages) -> None:
    operator = pages.operator
    await operator.get("/consola/operaciones")
    links = sorted({link for link in operator.page.links if "/operacion/" in link})
    assert len(links) > 100
    for link in links:
        await operator.get(link)
        assert operator.status == 200, link
        assert "<form" in operator.page.source


@pytest.mark.xroad("F171", "F176")
async def test_a_form_does_what_the_api_does(pages: Pages) -> None:
    operator = pages.operator
    await operator.get(f"/consola/operacion/post_clients_id_local_groups?id={CLIENT}")
    assert "The code under which it is known" in operator.page.text
    form = {"id": CLIENT, "code": "equipo", "description": "Equipo de noche"}
    await operator.send("/consola/operacion/post_clients_id_local_groups", form)
    assert operator.status == 200, operator.page.text
    assert "Done." in operator.page.text
    await operator.send("/consola/operacion/get_clients_id_local_groups", {"id": CLIENT})
    assert "equipo" in operator.page.text


async def test_what_is_wrong_stands_at_its_field_and_what_was_typed_stays(pages: Pages) -> None:
    operator = pages.operator
    form = {"id": CLIENT, "code": "", "description": "Equipo de noche"}
    await operator.send("/consola/operacion/post_clients_id_local_groups", form)
    assert operator.status == 400
    assert "NotNull" in operator.page.text
    assert 'value="Equipo de noche"' in operator.page.source


async def test_a_pin_is_never_sent_back(pages: Pages) -> None:
    form = {"id": "0", "old_pin": "a wrong pin 4711", "new_pin": "another 4712 pin"}
    await pages.operator.send("/consola/operacion/put_tokens_id_pin", form)
    assert pages.operator.status >= 400
    assert "471" not in pages.operator.page.source


async def test_a_form_of_another_session_does_nothing(pages: Pages) -> None:
    form = {"id": CLIENT, "code": "otro", "description": "x", "csrf": "wrong"}
    await pages.operator.send("/consola/operacion/post_clients_id_local_groups", form)
    assert pages.operator.status == 403
    await pages.operator.send("/consola/operacion/get_clients_id_local_groups", {"id": CLIENT})
    assert "otro" not in pages.operator.page.text


@pytest.mark.xroad("F175")
async def test_who_may_not_sees_no_page_and_does_nothing(pages: Pages) -> None:
    operator = pages.operator
    await operator.log_in("eva", "secret")
    await operator.get("/consola/operaciones")
    assert "post_backups" not in operator.page.source
    await operator.get("/consola/operacion/post_backups")
    assert operator.status == 404
    await operator.get("/consola/operaciones")
    await operator.send("/consola/operacion/post_backups", {})
    assert operator.status == 404
