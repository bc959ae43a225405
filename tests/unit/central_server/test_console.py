"""The central server's pages: requests decided with the API's own rules and audit log, members, catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from central_server.management.requests import ApprovalPolicy
from tests.operators import Operator
from tests.unit.central_server import test_admin

if TYPE_CHECKING:
    from tests.unit.central_server.test_admin import Central

central = test_admin.central
PAGES = ("/consola/", "/consola/solicitudes", "/consola/miembros", "/consola/catalogo")


async def test_without_a_session_every_page_leads_to_the_door(central: Central) -> None:
    operator = Operator(central.client)
    for path in (*PAGES, "/consola/catalogo.jsonld"):
        await operator.get(path)
        assert (operator.status, operator.headers["location"]) == (303, "/consola/entrar")
    operator.cookie = "f" * 64
    await operator.get("/consola/")
    assert operator.status == 303
    await operator.log_in("xrd", "wrong")
    assert operator.cookie == ""


@pytest.mark.parametrize(
    ("language", "said"), [("es", "Nada por decidir."), ("en", "Nothing to be decided.")]
)
async def test_pages_are_empty_in_words_and_in_both_languages(
    central: Central,
    language: str,
    said: str,
) -> None:
    await central.set_up()
    operator = Operator(central.client, language)
    await operator.log_in("xrd", "secret")
    assert said in operator.page.text
    for path in PAGES:
        await operator.get(path)
        assert operator.status == 200
        assert f'<html lang="{language}">' in operator.page.source
        assert operator.headers["cache-control"] == "no-store"
        assert "unsafe" not in operator.headers["content-security-policy"]
        assert "script-src" not in operator.headers["content-security-policy"]
        assert operator.headers["x-frame-options"] == "DENY"
        assert "<script" not in operator.page.source


@pytest.mark.xroad("F172")
async def test_a_request_is_seen_and_approved_and_stands_on_the_audit_log(central: Central) -> None:
    await central.set_up()
    number = await central.register_server()
    operator = Operator(central.client)
    await operator.log_in("xrd", "secret")
    assert f"{number} · registrar un certificado de autenticación" in operator.page.text
    assert "MX:GOB:15-ISSEMYM:SS1" in operator.page.text
    await operator.send("/consola/solicitudes", {"numero": str(number), "accion": "aprobar"})
    assert (operator.status, operator.headers["location"]) == (303, "/consola/solicitudes")
    await operator.get("/consola/")
    assert "Nada por decidir." in operator.page.text
    entries = b"".join(central.api.audit.export()).decode()
    assert "APPROVE_MANAGEMENT_REQUEST" in entries
    assert "POST /consola/solicitudes" in entries


@pytest.mark.parametrize("central", [ApprovalPolicy(four_eyes=True)], indirect=True)
async def test_where_four_eyes_are_required_two_people_decide(central: Central) -> None:
    await central.set_up()
    number = await central.register_server()
    fields = {"numero": str(number), "accion": "aprobar"}
    first, second = Operator(central.client), Operator(central.client, "en")
    await first.log_in("xrd", "secret")
    await first.send("/consola/solicitudes", fields)
    await first.get("/consola/")
    assert "xrd; falta la de otra persona" in first.page.text
    await first.send("/consola/solicitudes", fields)
    assert first.status == 409
    assert "management_request_needs_another_approver" in first.page.text
    await second.log_in("ro", "secret")
    await second.send("/consola/solicitudes", fields)
    assert second.status == 303
    await second.get("/consola/")
    assert "Nothing to be decided." in second.page.text


async def test_a_decline_needs_its_reason_and_the_institute_gets_it(central: Central) -> None:
    await central.set_up()
    number = await central.register_server()
    operator = Operator(central.client)
    await operator.log_in("xrd", "secret")
    await operator.send("/consola/solicitudes", {"numero": str(number), "accion": "rechazar", "motivo": " "})
    assert operator.status == 400
    assert "Diga el motivo" in operator.page.text
    await operator.send("/consola/solicitudes", {"numero": str(number), "accion": "nada"})
    assert operator.status == 400
    evil = "<script>alert(1)</script>"
    await operator.send("/consola/solicitudes", {"numero": str(number), "accion": "rechazar", "motivo": evil})
    assert operator.status == 303
    found = await central.call("GET", f"/management-requests/{number}")
    assert found["status"] == "DECLINED"
    assert found["comments"] == evil


async def test_a_form_of_another_session_or_site_changes_nothing(central: Central) -> None:
    await central.set_up()
    number = await central.register_server()
    operator = Operator(central.client)
    await operator.log_in("xrd", "secret")
    fields = {"numero": str(number), "accion": "aprobar"}
    await operator.post("/consola/solicitudes", {**fields, "csrf": "0" * 32})
    assert operator.status == 403
    await operator.get("/consola/")
    await operator.send("/consola/solicitudes", fields, **{"Sec-Fetch-Site": "cross-site"})
    assert operator.status == 403
    await operator.get("/consola/")
    await operator.send("/consola/solicitudes", fields, Origin="https://evil.example")
    assert operator.status == 403
    found = await central.call("GET", f"/management-requests/{number}")
    assert found["status"] not in ("APPROVED", "DECLINED")
    assert "CSRF_CHECK" in b"".join(central.api.audit.export()).decode()


@pytest.mark.xroad("F175")
async def test_a_role_sees_what_its_permissions_show_and_decides_nothing_else(central: Central) -> None:
    await central.set_up()
    number = await central.register_server()
    operator = Operator(central.client)
    await operator.log_in("so", "secret")
    assert operator.status == 200
    assert "Su cuenta no tiene ese permiso" in operator.page.text
    await operator.send("/consola/solicitudes", {"numero": str(number), "accion": "aprobar"})
    assert operator.status == 403
    await operator.get("/consola/catalogo")
    assert "Ningún servicio." in operator.page.text
    found = await central.call("GET", f"/management-requests/{number}")
    assert found["status"] not in ("APPROVED", "DECLINED")


@pytest.mark.xroad("F178")
async def test_members_are_found_and_their_names_never_run(central: Central) -> None:
    await central.set_up()
    evil = "<script>alert(1)</script>"
    member = {"member_id": {"member_class": "GOB", "member_code": "30-IPE"}, "member_name": evil}
    await central.call("POST", "/members", member, 201)
    operator = Operator(central.client)
    await operator.log_in("xrd", "secret")
    await operator.get("/consola/miembros?q=30-IPE")
    assert "alert(1)" in operator.page.text
    assert "<script" not in operator.page.source
    assert "15-ISSEMYM" not in operator.page.text
    await operator.get(f"/consola/miembros?q={evil}&lang={evil}")
    assert "<script" not in operator.page.source
    await operator.get("/consola/catalogo.jsonld")
    assert operator.headers["content-type"].startswith("application/ld+json")


async def test_the_way_out_ends_the_session(central: Central) -> None:
    operator = Operator(central.client)
    await operator.log_in("xrd", "secret")
    await operator.post("/consola/salir", {"csrf": "x"})
    assert operator.status == 403
    await operator.get("/consola/")
    await operator.send("/consola/salir", {})
    assert operator.headers["location"] == "/consola/entrar"
    await operator.get("/consola/")
    assert operator.status == 303
