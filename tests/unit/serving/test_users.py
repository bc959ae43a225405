"""Users of an admin API by its pages and operations: made, changed, switched off, logged out; and what nobody may do to whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from central_server.admin.roles import REGISTRATION_OFFICER, SECURITY_OFFICER, SYSTEM_ADMINISTRATOR
from serving.login.users import Logins
from tests.operators import Operator
from tests.unit.central_server import test_admin
from tests.unit.serving.test_adminapi import QUICK

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.central_server.test_admin import Central

central = test_admin.central
OPERATION = "/consola/operacion"
NEW = "a long one of words"


async def operator(central: Central, name: str, password: str = "secret", language: str = "en") -> Operator:
    found = Operator(central.client, language)
    await found.log_in(name, password)
    return found


async def did(who: Operator, operation: str, **fields: str) -> int:
    """The status of an operation's form, sent from the page of users."""
    await who.get(f"{OPERATION}/{operation}")
    if who.status == 200:
        await who.send(f"{OPERATION}/{operation}", {**fields, "vuelta": "/consola/usuarios"})
    return who.status


async def test_a_user_is_made_changed_switched_off_and_deleted_by_pages(central: Central) -> None:
    await central.set_up()
    boss = await operator(central, "xrd")
    await boss.get(f"{OPERATION}/post_users")
    assert "registration officer" in boss.page.text
    made = {
        "name": "mar",
        "new_password": NEW,
        "roles.0": REGISTRATION_OFFICER,
        "roles.2": SYSTEM_ADMINISTRATOR,
    }
    assert await did(boss, "post_users", **made) == 303
    mar = await operator(central, "mar", NEW)
    assert "Members" in mar.page.text
    await boss.get("/consola/usuarios")
    assert "mar" in boss.page.text
    assert "Who is logged in" in boss.page.text
    assert await did(boss, "put_users_name_roles", name="mar", **{"roles.0": SYSTEM_ADMINISTRATOR}) == 303
    await mar.get("/consola/")
    assert mar.status == 303  # its session is over
    await mar.log_in("mar", NEW)
    await mar.get("/consola/miembros")
    assert mar.status == 403
    assert await did(boss, "put_users_name_disable", name="mar") == 303
    await mar.get("/consola/")
    assert mar.status == 303
    await mar.log_in("mar", NEW)
    assert mar.cookie == ""
    await boss.get("/consola/usuarios")
    assert "switched off" in boss.page.text
    assert await did(boss, "put_users_name_enable", name="mar") == 303
    assert await did(boss, "put_users_name_password", name="mar", new_password="another long one") == 303
    mar = await operator(central, "mar", "another long one")
    assert await did(boss, "delete_sessions_name", name="mar") == 303
    await mar.get("/consola/")
    assert mar.status == 303
    assert await did(boss, "delete_users_name", name="mar") == 303
    await mar.log_in("mar", "another long one")
    assert mar.cookie == ""
    await boss.get("/consola/auditoria")
    for event in (
        "ADD_USER",
        "EDIT_USER_ROLES",
        "DISABLE_USER",
        "EDIT_USER_PASSWORD",
        "END_USER_SESSIONS",
        "DELETE_USER",
    ):
        assert event in boss.page.text
    assert NEW not in boss.page.text
    assert "another long one" not in boss.page.text
    # Found by who, what and about; what is not on the trail is said to be not there.
    for query, shown, hidden in (
        ("que=DELETE_USER", "Delete a user", "Make a user"),
        ("objeto=users%20mar%20DELETE", "Delete a user", "Make a user"),
        ("fin=refused", "refused", "Delete a user"),
        ("quien=nobody", "Nothing on the trail is like that.", "Delete a user"),
        ("desde=2200-01-01T00:00", "Nothing on the trail is like that.", "Delete a user"),
    ):
        await boss.get(f"/consola/auditoria?{query}")
        table = boss.page.source.partition("</form>")[2].rpartition("</form>")[0].rpartition("</form>")[2]
        assert shown in table, query
        assert hidden not in table, query
    for place in ("²", "٣", "1_0", "9" * 19, "9" * 400, "-1", "0"):
        await boss.get(f"/consola/auditoria?quien=root&antes={quote(place)}")
        assert boss.status == 200, place
    await boss.get("/consola/auditoria?desde=tomorrow")
    assert boss.status == 400
    assert "is no time" in boss.page.text
    await boss.get("/consola/auditoria?quien=XRD&csv=cambios")
    assert boss.content.count(b"\n") > 5


async def test_nobody_makes_or_changes_who_may_do_more_and_nobody_changes_herself(central: Central) -> None:
    await central.set_up()
    system = await operator(central, "sy")
    for role in (SECURITY_OFFICER, REGISTRATION_OFFICER):
        form = {"name": "mar", "new_password": NEW, "roles.0": SYSTEM_ADMINISTRATOR, "roles.1": role}
        assert await did(system, "post_users", **form) == 403
    for name in ("so", "ro", "xrd"):
        assert await did(system, "put_users_name_password", name=name, new_password=NEW) == 403
        assert await did(system, "put_users_name_disable", name=name) == 403
        assert await did(system, "delete_users_name", name=name) == 403
    await system.get("/consola/usuarios")
    assert not [link for link in system.page.links if "delete_users_name" in link]
    assert await did(system, "put_users_name_disable", name="sy") == 409
    assert await did(system, "delete_users_name", name="sy") == 409
    assert await did(system, "put_users_name_roles", name="sy", **{"roles.0": SYSTEM_ADMINISTRATOR}) == 409
    assert await did(system, "delete_users_name", name="nobody") == 404
    assert (
        await did(
            system, "post_users", **{"name": "sy", "new_password": NEW, "roles.0": SYSTEM_ADMINISTRATOR}
        )
        == 409
    )
    assert await did(system, "post_users", **{"name": "mar", "new_password": NEW}) == 400
    assert await did(system, "post_users", **{"name": "mar", "new_password": NEW, "roles.0": "KING"}) == 400
    assert (
        await did(
            system, "post_users", **{"name": "mar", "new_password": "short", "roles.0": SYSTEM_ADMINISTRATOR}
        )
        == 400
    )


@pytest.mark.parametrize("name", ["so", "ro"])
async def test_who_may_not_manage_users_sees_no_page_of_them_and_the_api_refuses(
    central: Central, name: str
) -> None:
    await central.set_up()
    officer = await operator(central, name)
    assert "/consola/usuarios" not in officer.page.links
    await officer.get("/consola/usuarios")
    assert officer.status == 403
    for operation in ("post_users", "get_users", "delete_users_name", "get_sessions", "delete_sessions_name"):
        await officer.get(f"{OPERATION}/{operation}")
        assert officer.status == 404
        await officer.get("/consola/cuenta")
        await officer.send(f"{OPERATION}/{operation}", {"name": "sy"})
        assert officer.status in (403, 404)


async def test_a_programs_key_manages_no_users(central: Central) -> None:
    await central.set_up()
    made = await central.call("POST", "/api-keys", [SYSTEM_ADMINISTRATOR])
    central.headers = {"Authorization": f"X-Road-ApiKey token={made['key']}"}
    for method, path, body in (
        ("POST", "/users", {"name": "mar", "new_password": NEW, "roles": [SYSTEM_ADMINISTRATOR]}),
        ("PUT", "/users/sy/password", {"new_password": NEW}),
        ("DELETE", "/users/sy", None),
        ("DELETE", "/sessions/sy", None),
        ("PUT", "/user/password", {"old_password": "secret", "new_password": NEW}),
    ):
        await central.refused(method, path, 403, "forbidden", body)
    assert {u["name"] for u in await central.call("GET", "/users")} == {"xrd", "so", "ro", "sy"}


async def test_ones_own_password_is_changed_with_the_old_one_and_every_session_ends(central: Central) -> None:
    await central.set_up()
    officer, other = await operator(central, "ro"), await operator(central, "ro")
    await officer.get("/consola/cuenta")
    assert "registration officer" in officer.page.text
    assert await did(officer, "put_user_password", old_password="wrong", new_password=NEW) == 403
    assert await did(officer, "put_user_password", old_password="secret", new_password=NEW) == 303
    await other.get("/consola/")
    assert other.status == 303
    await officer.log_in("ro", "secret")
    assert officer.cookie == ""
    await officer.log_in("ro", NEW)
    assert officer.cookie


def test_a_user_that_is_switched_off_stays_so_whatever_else_is_changed(tmp_path: Path) -> None:
    logins = Logins(tmp_path / "admin.sqlite", QUICK)
    logins.save_user("ana", "secret", ["A"])
    logins.set_user_disabled("ana", disabled=True)
    assert logins.verify_password("ana", "secret") is None
    logins.save_user("ana", "secret", ["A", "B"])
    assert logins.verify_password("ana", "secret") is None  # other roles do not switch it on
    logins.set_user_disabled("ana", disabled=False)
    found: Any = logins.verify_password("ana", "secret")
    assert found.roles == {"A", "B"}
    logins.close()
