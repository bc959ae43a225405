"""The central server's pages: requests decided with the API's own rules and audit log, members, catalogue."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from central_server.management.requests import ApprovalPolicy
from schemas.globalconf import parts
from serving.language import N_
from serving.web.codewords import word
from tests.operators import Operator
from tests.unit.central_server import test_admin

if TYPE_CHECKING:
    from tests.unit.central_server.test_admin import Central

central = test_admin.central
NOW = test_admin.NOW
PAGES = (
    "/consola/",
    "/consola/asistente",
    "/consola/solicitudes",
    "/consola/miembros",
    "/consola/servidores",
    "/consola/grupos",
    "/consola/confianza",
    "/consola/configuracion",
    "/consola/nodos",
    "/consola/federacion",
    "/consola/catalogo",
    "/consola/programas",
)
APPROVE = "/consola/operacion/post_management_requests_management_request_id_approval"
DECLINE = "/consola/operacion/delete_management_requests_management_request_id"


async def test_without_a_session_every_page_leads_to_the_door(central: Central) -> None:
    operator = Operator(central.client)
    for path in (*PAGES, "/consola/catalogo.jsonld"):
        await operator.get(path)
        assert operator.status == 303
        assert operator.headers["location"].partition("?")[0] == "/consola/entrar"
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
    assert "Solicitudes por decidir: 1." in operator.page.text
    await operator.get(f"/consola/solicitud?id={number}")
    assert "registrar un certificado de autenticación" in operator.page.text
    assert "MX:GOB:15-ISSEMYM:SS1" in operator.page.text
    assert "otros servidores se conectan a MX:GOB:15-ISSEMYM:SS1 con este certificado" in operator.page.text
    assert "lo crearía" not in operator.page.text
    form = {"management_request_id": str(number), "vuelta": "/consola/solicitudes"}
    await operator.send(APPROVE, form)
    assert operator.status == 303
    assert operator.headers["location"].startswith("/consola/solicitudes?hecho=")
    await operator.get(operator.headers["location"])
    assert "Hecho:" in operator.page.text
    await operator.get("/consola/")
    assert "Nada por decidir." in operator.page.text
    entries = b"".join(central.api.audit.export()).decode()
    assert "APPROVE_MANAGEMENT_REQUEST" in entries
    assert f"POST {APPROVE}" in entries


@pytest.mark.parametrize("central", [ApprovalPolicy(four_eyes=True)], indirect=True)
async def test_where_four_eyes_are_required_two_people_decide(central: Central) -> None:
    await central.set_up()
    number = await central.register_server()
    fields = {"management_request_id": str(number)}
    first, second = Operator(central.client), Operator(central.client, "en")
    await first.log_in("xrd", "secret")
    await first.send(APPROVE, fields)
    await first.get(f"/consola/solicitud?id={number}")
    assert "xrd la aprobó; falta la de otra persona" in first.page.text
    await first.send(APPROVE, fields)
    assert first.status == 409
    assert "management_request_needs_another_approver" in first.page.text
    await second.log_in("ro", "secret")
    await second.send(APPROVE, fields)
    assert second.status == 200
    await second.get("/consola/")
    assert "Nothing to be decided." in second.page.text


async def test_a_decline_says_its_reason_and_the_institute_gets_it(central: Central) -> None:
    await central.set_up()
    number = await central.register_server()
    operator = Operator(central.client)
    await operator.log_in("xrd", "secret")
    evil = "<script>alert(1)</script>"
    await operator.send(DECLINE, {"management_request_id": str(number), "comments": evil})
    assert operator.status == 200
    found = await central.call("GET", f"/management-requests/{number}")
    assert found["status"] == "DECLINED"
    assert found["comments"] == evil
    await operator.get(f"/consola/solicitud?id={number}")
    assert "alert(1)" in operator.page.text
    assert "<script" not in operator.page.source


async def test_a_request_that_brings_a_new_member_says_so_before_it_is_approved(central: Central) -> None:
    await central.set_up()
    number = await central.register_server()
    await central.call("DELETE", "/members/MX:GOB:15-ISSEMYM", status=204)
    operator = Operator(central.client, "en")
    await operator.log_in("xrd", "secret")
    await operator.get(f"/consola/solicitud?id={number}")
    assert (
        "The member MX:GOB:15-ISSEMYM is not in the registry: approving would create it."
        in operator.page.text
    )
    assert "Approve, and create the member MX:GOB:15-ISSEMYM" in operator.page.text


async def test_a_form_of_another_session_or_site_changes_nothing(central: Central) -> None:
    await central.set_up()
    number = await central.register_server()
    operator = Operator(central.client)
    await operator.log_in("xrd", "secret")
    fields = {"management_request_id": str(number)}
    await operator.post(APPROVE, {**fields, "csrf": "0" * 32})
    assert operator.status == 403
    await operator.get("/consola/")
    await operator.send(APPROVE, fields, **{"Sec-Fetch-Site": "cross-site"})
    assert operator.status == 403
    await operator.get("/consola/")
    await operator.send(APPROVE, fields, Origin="https://evil.example")
    assert operator.status == 403
    found = await central.call("GET", f"/management-requests/{number}")
    assert found["status"] not in ("APPROVED", "DECLINED")
    assert "UNSPECIFIED_ACCESS_CHECK" in b"".join(central.api.audit.export()).decode()


@pytest.mark.xroad("F175")
async def test_a_role_sees_what_its_permissions_show_and_decides_nothing_else(central: Central) -> None:
    await central.set_up()
    number = await central.register_server()
    operator = Operator(central.client)
    await operator.log_in("so", "secret")
    assert operator.status == 200
    assert "/consola/solicitudes" not in operator.page.links
    await operator.get("/consola/solicitudes")
    assert operator.status == 403
    assert "Su cuenta no tiene ese permiso" in operator.page.text
    await operator.send(APPROVE, {"management_request_id": str(number)})
    assert operator.status == 404
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


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("DELETE FROM parameter WHERE name = 'management_service'", "no se ha dicho quién presta los servicios de gestión"),
        ("DELETE FROM signing_key", "no hay llave de firma en uso para la configuración: internal"),
        ("UPDATE approved_ca SET certificate = x'00'", "tabla approved_ca, fila con id = 1: "),
    ],
)  # fmt: skip
async def test_pages_say_in_their_readers_words_why_no_configuration_is_made(
    central: Central, sql: str, said: str
) -> None:
    await central.set_up()
    with central.node.store.database.transaction() as change:
        change.execute(sql)
        change.execute("UPDATE parameter SET value = '99' WHERE name = 'generation'")
    assert not await central.node.publish_if_due(NOW)
    operator = Operator(central.client)
    await operator.log_in("xrd", "secret")
    alert = operator.page.text.partition("La configuración global no se hace: ")[2]
    assert said in alert
    assert "_not_set" not in alert


async def test_pages_say_in_their_readers_words_which_rows_of_the_registry_are_at_fault(
    central: Central,
) -> None:
    await central.set_up()
    with central.node.store.database.transaction() as change:
        change.execute("UPDATE client SET name = ? WHERE subsystem_code = ''", ("A\x08B",))
        change.execute("UPDATE parameter SET value = '99' WHERE name = 'generation'")
    assert await central.node.publish_if_due(NOW)
    operator = Operator(central.client)
    await operator.log_in("xrd", "secret")
    assert "el nombre contiene U+0008 y se publica con U+FFFD en su lugar; corríjalo" in operator.page.text
    assert "correct it" not in operator.page.text


async def test_a_change_is_not_answered_with_the_reason_of_before_it(central: Central) -> None:
    await central.set_up()
    with central.node.store.database.transaction() as change:
        change.execute("DELETE FROM signing_key")
    central.node.problem = N_("of before")
    operator = Operator(central.client, "en")
    await operator.log_in("xrd", "secret")
    assert "of before" not in operator.page.text
    assert not await central.node.publish_if_due(NOW)
    await operator.get("/consola/")
    assert "is not made: no signing key is in use for the configuration: internal" in operator.page.text


async def test_whether_a_ca_is_for_connections_alone_is_chosen_and_nothing_else_is_taken_for_no(
    central: Central,
) -> None:
    await central.set_up()
    operator = Operator(central.client, "en")
    await operator.log_in("xrd", "secret")
    page = await operator.get("/consola/operacion/post_certification_services")
    assert '<option value="true">yes</option>' in page.source
    assert '<option value="Basic">' in page.source
    await central.call("PATCH", "/certification-services/1", {"tls_auth": "yes"}, 400)
    assert (await central.call("GET", "/certification-services/1"))["tls_auth"] is False


async def test_the_wizard_says_what_comes_next_and_leads_to_its_form_and_back(central: Central) -> None:
    await central.set_up()
    operator = Operator(central.client, "en")
    await operator.log_in("xrd", "secret")
    page = await operator.get("/consola/asistente")
    assert "Next: Put the management services on that member's security server." in page.text
    (form,) = {link for link in page.links if "register_provider" in link}
    assert "vuelta=%2Fconsola%2Fasistente" in form


@pytest.mark.parametrize("language", ["es", "en"])
def test_every_part_of_a_configuration_has_a_name_in_words(language: str) -> None:
    names = {value for name, value in vars(parts).items() if name.endswith("_ID") and isinstance(value, str)}
    assert {"SHARED-PARAMETERS", "NEXTUPDATE"} <= names
    said = {name: word(name) for name in names}
    assert all(cell.kind == "word" and cell.code == name for name, cell in said.items())
    assert len({cell.text.into(language) for cell in said.values()}) == len(names)
