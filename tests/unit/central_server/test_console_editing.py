"""Forms of the console between two people and two clicks: an edit undoes nobody's, a form sent twice is done once, none is lost to an ended session."""

from __future__ import annotations

import asyncio
import re
from html import unescape
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from central_server.app import CentralServer
from central_server.config import CentralSettings
from gateway.server.process import GatewayProcess
from gateway.settings.config import GatewaySettings
from gateway.settings.datafolder import DataFolder
from serving.api.problems import Problem
from serving.login.sessions import Sessions
from serving.web.editing import SentForms, check_unchanged, parse_seen, reading_of
from tests.operators import Operator
from tests.unit.central_server import test_admin

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.central_server.test_admin import Central

central = test_admin.central
RENAME = "/consola/operacion/patch_members_member_id"
ADD = "/consola/operacion/post_members"
MEMBER = "MX:GOB:15-ISSEMYM"


def hidden(operator: Operator) -> dict[str, str]:
    """What the form of the open page holds unseen."""
    main = operator.page.source.partition("<main")[2]
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', main)
    return {unescape(n): unescape(v) for n, v in found}


async def opened(central: Central, path: str, language: str = "es") -> Operator:
    operator = Operator(central.client, language)
    await operator.log_in("xrd", "secret")
    await operator.get(path)
    assert operator.status == 200
    return operator


def rename_form(name: str) -> str:
    query = {"member_id": MEMBER, "member_name": name, "vuelta": "/consola/miembros", "fijos": "member_id"}
    return f"{RENAME}?{urlencode(query)}"


@pytest.mark.parametrize(("language", "said"), [("es", "y ahora es «De Ana»"), ("en", "and is “De Ana” now")])
async def test_an_edit_over_another_operators_edit_is_refused_and_says_what_changed(
    central: Central, language: str, said: str
) -> None:
    await central.set_up()
    (before,) = (
        m["member_name"]
        for m in (await central.call("GET", "/clients?client_type=MEMBER"))["clients"]
        if m["client_id"]["encoded_id"] == MEMBER
    )
    ana = await opened(central, rename_form("stale"), language)
    eva = await opened(central, rename_form("stale"), language)
    # The form shows how it is, whatever the link says that it was.
    assert f'value="{before}"' in eva.page.source
    await ana.send(RENAME, {**hidden(ana), "member_name": "De Ana"})
    assert ana.status == 303
    await eva.send(RENAME, {**hidden(eva), "member_name": "De Eva"})
    assert eva.status == 409
    for text in (before, "De Ana", said):
        assert text in eva.page.text, text
    assert 'value="De Eva"' in eva.page.source
    assert (await central.call("GET", f"/members/{MEMBER}"))["member_name"] == "De Ana"
    await eva.send(RENAME, {**hidden(eva), "member_name": "De Eva"})
    assert eva.status == 303
    assert (await central.call("GET", f"/members/{MEMBER}"))["member_name"] == "De Eva"


async def test_a_form_that_is_sent_twice_at_once_is_done_once_and_both_get_its_answer(
    central: Central,
) -> None:
    await central.set_up()
    operator = await opened(central, f"{ADD}?vuelta=/consola/miembros")
    new = {"member_id.member_class": "GOB", "member_id.member_code": "99-NUEVO", "member_name": "Nuevo"}
    clicks = [Operator(central.client, "es", operator.cookie) for _ in range(3)]
    form = {"csrf": operator.page.csrf, **hidden(operator), **new}
    await asyncio.gather(*(c.post(ADD, form) for c in clicks))
    assert {(c.status, c.headers.get("location")) for c in clicks} == {
        (303, "/consola/miembros?hecho=post_members")
    }
    # Who goes back to the form and sends something else in it has that done.
    other = {**form, "member_id.member_code": "98-OTRO", "member_name": "Otro"}
    await clicks[0].post(ADD, other)
    assert clicks[0].status == 303
    assert "98-OTRO" in (await clicks[0].get("/consola/miembros")).text
    # A form that was opened anew is another one, and the member is there by now.
    again = await opened(central, f"{ADD}?vuelta=/consola/miembros")
    await again.send(ADD, {**hidden(again), **new})
    assert again.status == 409
    assert 'value="99-NUEVO"' in again.page.source


async def test_a_form_whose_session_ended_is_filled_in_again_after_the_login(central: Central) -> None:
    await central.set_up()
    operator = await opened(central, rename_form(""))
    form = {
        "csrf": operator.page.csrf,
        **hidden(operator),
        "member_name": "Lo escrito // \\ y más",
        "pin": "1234",
    }
    operator.cookie = ""
    await operator.post(RENAME, form)
    assert operator.status == 401
    assert "Su sesión había terminado" in operator.page.text
    back = hidden(operator)["vuelta"]
    assert "1234" not in back
    assert "csrf" not in parse_qs(urlsplit(back).query)
    await operator.post("/consola/entrar", {"cuenta": "xrd", "clave": "wrong", "vuelta": back})
    assert hidden(operator)["vuelta"] == back
    await operator.post("/consola/entrar", {"cuenta": "xrd", "clave": "secret", "vuelta": back})
    assert (operator.status, operator.headers["location"]) == (303, back)
    assert (await central.call("GET", f"/members/{MEMBER}"))["member_name"] != "Lo escrito // \\ y más"


@pytest.mark.parametrize(
    "back", ["https://evil.example/", "//evil.example/consola/", "/consola/\\evil", "/otra"]
)
async def test_a_login_leads_nowhere_but_to_this_console(central: Central, back: str) -> None:
    operator = Operator(central.client)
    await operator.post("/consola/entrar", {"cuenta": "xrd", "clave": "secret", "vuelta": back})
    assert (operator.status, operator.headers["location"]) == (303, "/consola/")


async def test_a_page_that_is_asked_for_without_a_session_is_the_one_after_the_login(
    central: Central,
) -> None:
    await central.set_up()
    operator = Operator(central.client)
    await operator.get("/consola/miembros?q=afil&pagina=1")
    await operator.get(operator.headers["location"])
    await operator.post("/consola/entrar", {"cuenta": "xrd", "clave": "secret", **hidden(operator)})
    assert operator.headers["location"] == "/consola/miembros?q=afil&pagina=1"


async def test_what_was_refused_may_be_sent_again_and_what_waits_is_not_lost() -> None:
    forms, done = SentForms(Sessions(60)), 0
    go_on = asyncio.Event()

    async def refuse() -> str:
        await go_on.wait()
        raise Problem(409, "no")

    async def act() -> str:
        nonlocal done
        done += 1
        return "done"

    first = asyncio.create_task(forms.once("one", refuse))
    await asyncio.sleep(0)
    second = asyncio.create_task(forms.once("one", act))
    go_on.set()
    with pytest.raises(Problem):
        await first
    assert (await second, await forms.once("one", act), done) == ("done", "done", 1)
    assert await forms.once("", act) == "done"
    assert done == 2


def test_a_difference_of_any_value_is_refused_and_none_is_not() -> None:
    same = {"a": "x", "b": None, "c": [1, 2], "d": True}
    check_unchanged(same, {**same, "other": 1})
    for name, value in (("a", "y"), ("b", ""), ("c", [2, 1]), ("d", False)):
        with pytest.raises(Problem) as refused:
            check_unchanged(same, {**same, name: value})
        assert refused.value.code == "changed_meanwhile"
        assert [d.partition(":")[0] for d in refused.value.metadata] == [name]
    for text in ("", "[]", "{", "1", '"x"'):
        assert parse_seen(text) is None


def test_every_edit_of_a_value_that_is_read_by_itself_remembers_it(tmp_path: Path) -> None:
    servers = (
        GatewayProcess(DataFolder(tmp_path / "g"), GatewaySettings(), None).api,
        CentralServer(tmp_path / "c", CentralSettings()).admin,
    )
    remembered = {
        o.id for api in servers for o in api.operations if reading_of(o, api.operations) is not None
    }
    assert {
        "patch_clients_id", "put_clients_id_rename", "patch_local_groups_group_id", "patch_service_descriptions_id",
        "patch_services_id", "patch_endpoints_id", "patch_tokens_id", "patch_keys_id", "put_settings_name",
        "patch_members_member_id", "put_members_member_id_contact", "patch_security_servers_server_id",
        "patch_global_groups_group_code", "patch_certification_services_certification_service_id",
        "patch_ocsp_responders_ocsp_responder_id", "patch_timestamping_services_timestamping_service_id",
        "patch_management_services_configuration",
    } <= remembered  # fmt: skip
