"""The frame of the admin APIs: logins, refusals, limits, the shape of every answer, and what the audit log holds."""

from __future__ import annotations

import base64
import io
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import argon2
import msgspec
import pytest
from aiohttp.test_utils import TestClient, TestServer
from openapi_spec_validator import validate

from serving.api.authentication import Clock
from serving.api.operations import ApiAnswer, Bytes, Call, Download, MultipartForm, Operation
from serving.api.problems import check_warnings, conflict
from serving.api.server import AdminApi, Served
from serving.config.adminsettings import AdminSettings
from serving.errors import Caution
from serving.login.users import Logins, Roles
from serving.web.formnames import back_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping
    from pathlib import Path

    from aiohttp import ClientResponse

    from serving.login.sessions import SessionStore

ROLES = Roles(
    {
        "BOSS": frozenset(
            {"ADD_THING", "CREATE_API_KEY", "VIEW_API_KEYS", "UPDATE_API_KEY", "REVOKE_API_KEY"}
        ),
        "READER": frozenset({"VIEW_THING"}),
        "MACHINE": frozenset({"ADD_THING"}),
    },
    {"MACHINE": "BOSS"},
)
QUICK = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class Thing(msgspec.Struct, frozen=True, omit_defaults=True):
    code: Annotated[str, msgspec.Meta(min_length=1, max_length=10, extra={"identifier": True})]
    note: str | None = None
    size: Annotated[int, msgspec.Meta(ge=0, le=5)] = 0


class NewThing(msgspec.Struct, frozen=True):
    thing: Thing
    ignore_warnings: bool = False


async def add_thing(call: Call) -> ApiAnswer:
    asked = call.body_as(NewThing)
    check_warnings(
        [Caution("odd_code", (asked.thing.code,))] if asked.thing.code == "odd" else [],
        ignore=asked.ignore_warnings,
    )
    if asked.thing.code == "twice":
        raise conflict("thing_already_exists")
    if asked.thing.code == "bug":
        raise RuntimeError("a secret text")
    call.check_scope("MX:GOB:1:" + asked.thing.code)
    call.note(code=asked.thing.code)
    return ApiAnswer(asked.thing, headers={"Location": "/here"})


async def upload(call: Call) -> Download:
    return Download(call.file(), "application/octet-stream", "up.bin")


async def form(call: Call) -> list[str]:
    return [
        call.parts["name"].text(),
        call.parts["file"].file_name or "",
        str(len(call.parts["file"].content)),
    ]


OPERATIONS = [
    Operation(
        "POST", "/things", add_thing, "Add", ("ADD_THING",), NewThing, answer=Thing, status=201,
        event="ADD_THING", scoped=True,
    ),
    Operation("POST", "/closed", add_thing, "Add", ("ADD_THING",), NewThing, event="ADD_THING"),
    Operation("PUT", "/file", upload, "Upload", (), Bytes(), answer="application/octet-stream"),
    Operation("POST", "/form", form, "Form", (), MultipartForm({"name": True}, {"file": True}), answer=list[str]),
]  # fmt: skip


class Setting:
    """An admin API under test, with a clock that the test moves."""

    NOW = datetime(2026, 1, 1, tzinfo=UTC)

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str] | None = None,
        sessions: SessionStore | None = None,
        **settings: object,
    ) -> None:
        self.now = self.NOW
        self.monotonic = 0.0
        self.logins = Logins(folder / "admin.sqlite", QUICK)
        self.logins.save_user("ana", "secret-ana", ["BOSS"])
        self.logins.save_user("leo", "secret-leo", ["READER"])
        self.logins.save_user("eva", "secret-eva", ["BOSS"], ["MX:GOB:1:mine"])
        clock = Clock(lambda: self.now, lambda: self.monotonic)
        defaults = {"requests_per_second": 0, "requests_per_minute": 0}
        self.api = AdminApi(
            AdminSettings(**{**defaults, **settings}),  # type: ignore[arg-type]
            self.logins,
            ROLES,
            Served("Things", "1", OPERATIONS, places=back_of),
            clock,
            environ or {},
            sessions,
        )

    async def open(self) -> None:
        self.client = TestClient(TestServer(self.api.app()))
        await self.client.start_server()

    async def close(self) -> None:
        await self.client.close()
        self.logins.close()

    async def log_in(self, name: str, password: str = "") -> dict[str, str]:
        form = {"username": name, "password": password or f"secret-{name}"}
        answer = await self.client.post("/login", data=form)
        assert answer.status == 200
        assert await answer.text() == "OK"
        cookies = {key: morsel.value for key, morsel in answer.cookies.items()}
        return {
            "Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items()),
            "X-XSRF-TOKEN": cookies["XSRF-TOKEN"],
        }

    def recorded(self) -> list[dict[str, object]]:
        return [json.loads(text) for _, text, _ in self.api.audit.records()]


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    made = Setting(tmp_path)
    await made.open()
    yield made
    await made.close()


async def error(answer: ClientResponse) -> dict[str, object]:
    body = await answer.json()
    assert body["status"] == answer.status
    return body.get("error", {})  # type: ignore[no-any-return]


async def test_page_answers_without_login_and_everything_else_is_401(setting: Setting) -> None:
    assert (await setting.client.get("/")).status == 200
    assert (await setting.client.get("/api/v1/openapi.yaml")).status == 401
    for method, path in (("GET", "/api/v1/user"), ("POST", "/api/v1/things"), ("GET", "/api/v1/nowhere")):
        answer = await setting.client.request(method, path)
        assert answer.status == 401
        assert await answer.json() == {"status": 401}


async def test_every_answer_carries_its_id_and_the_security_headers(setting: Setting) -> None:
    for path in ("/", "/api/v1/user", "/nowhere"):
        answer = await setting.client.get(path)
        assert len(answer.headers["x-road-ui-correlation-id"]) == 32
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src" in answer.headers["Content-Security-Policy"]


async def test_session_opens_everything_and_keeps_its_csrf_value(setting: Setting) -> None:
    headers = await setting.log_in("ana")
    for _ in range(2):
        answer = await setting.client.get("/api/v1/user", headers=headers)
        assert await answer.json() == {
            "username": "ana",
            "roles": ["BOSS"],
            "permissions": sorted(ROLES.permissions["BOSS"]),
        }
    assert (await setting.client.get("/api/v1/nowhere", headers=headers)).status == 404
    assert (await setting.client.delete("/api/v1/things", headers=headers)).status == 405


@pytest.mark.xroad("F144")
async def test_cookies_are_secure_strict_and_the_session_is_out_of_reach_of_scripts(setting: Setting) -> None:
    answer = await setting.client.post("/login", data={"username": "ana", "password": "secret-ana"})
    session, csrf = answer.cookies["JSESSIONID"], answer.cookies["XSRF-TOKEN"]
    assert session["secure"]
    assert session["httponly"]
    assert csrf["secure"]
    assert not csrf["httponly"]
    assert {session["samesite"], csrf["samesite"]} == {"Strict"}


@pytest.mark.xroad("F144")
async def test_missing_or_wrong_csrf_value_is_refused_and_recorded(setting: Setting) -> None:
    headers = await setting.log_in("ana")
    for value in (None, "wrong"):
        shown = {"Cookie": headers["Cookie"]} | ({"X-XSRF-TOKEN": value} if value else {})
        answer = await setting.client.get("/api/v1/user", headers=shown)
        assert answer.status == 403
    assert [(e["event"], e["outcome"]) for e in setting.recorded()][1:] == [
        ("UNSPECIFIED_ACCESS_CHECK", "refused")
    ] * 2


async def test_logout_ends_the_session(setting: Setting) -> None:
    headers = await setting.log_in("ana")
    assert (await setting.client.post("/logout", headers=headers)).status == 200
    assert (await setting.client.get("/api/v1/user", headers=headers)).status == 401


@pytest.mark.xroad("F144")
async def test_idle_session_ends_and_polls_do_not_prolong_it(setting: Setting) -> None:
    headers = await setting.log_in("ana")
    path = "/api/v1/notifications/session-status"
    setting.monotonic = 1700.0
    assert await (await setting.client.get(path, headers=headers)).json() == {"valid": True}
    setting.monotonic = 1900.0
    assert await (await setting.client.get(path, headers=headers)).json() == {"valid": False}
    assert (await setting.client.get("/api/v1/user", headers=headers)).status == 401


async def test_changed_user_loses_its_sessions(setting: Setting) -> None:
    headers = await setting.log_in("ana")
    setting.logins.save_user("ana", None, ["READER"])
    assert (await setting.client.get("/api/v1/user", headers=headers)).status == 401


@pytest.mark.xroad("F129")
async def test_wrong_password_is_refused_and_recorded_without_it(setting: Setting) -> None:
    for name, password in (("ana", "guess-one"), ("nobody", "x"), ("", ""), ("ana", "p" * 300)):
        answer = await setting.client.post("/login", data={"username": name, "password": password})
        assert answer.status == 401
        assert not answer.cookies
    text = json.dumps(setting.recorded())
    assert "guess-one" not in text
    assert [e["outcome"] for e in setting.recorded()] == ["refused"] * 4


async def test_thousand_guesses_lock_the_name_and_stay_recorded(setting: Setting) -> None:
    for number in range(1000):
        answer = await setting.client.post("/login", data={"username": "ana", "password": f"guess {number}"})
        assert answer.status == 401
        setting.monotonic += 0.01
    right = {"username": "ana", "password": "secret-ana"}
    assert (await setting.client.post("/login", data=right)).status == 401
    setting.monotonic += 301
    assert (await setting.client.post("/login", data=right)).status == 200
    refused = [e for e in setting.recorded() if e["outcome"] == "refused"]
    assert len(refused) == 60
    assert setting.api.audit.verify()[0] == 61


@pytest.mark.xroad("F130")
async def test_wrong_role_is_refused_and_recorded(setting: Setting) -> None:
    headers = await setting.log_in("leo")
    answer = await setting.client.post("/api/v1/things", json={"thing": {"code": "a"}}, headers=headers)
    assert answer.status == 403
    assert (await error(answer))["code"] == "forbidden"
    last = setting.recorded()[-1]
    assert (last["who"], last["event"], last["outcome"]) == ("leo", "ADD_THING", "refused")


@pytest.mark.xroad("F136")
async def test_change_is_recorded_with_its_facts_and_chained(setting: Setting) -> None:
    headers = await setting.log_in("ana")
    answer = await setting.client.post("/api/v1/things", json={"thing": {"code": " a "}}, headers=headers)
    assert answer.status == 201
    assert answer.headers["Location"] == "/here"
    assert await answer.json() == {"code": "a"}
    last = setting.recorded()[-1]
    assert (last["event"], last["outcome"], last["detail"]) == ("ADD_THING", "done", {"code": "a"})
    assert last["id"] == answer.headers["x-road-ui-correlation-id"]
    assert setting.api.audit.verify()[0] == 2


async def test_every_mistake_of_a_body_is_said_at_once(setting: Setting) -> None:
    headers = await setting.log_in("ana")
    for body, expected in (
        ({"thing": {"code": "a:b", "size": 9}}, {"newThing.thing.code": ["IdentifierChars"], "newThing.thing.size": ["Max"]}),
        ({"thing": {"code": "", "note": "a\nb"}}, {"newThing.thing.code": ["Size"], "newThing.thing.note": ["NoControlChars"]}),
        ({"thing": {"code": None}}, {"newThing.thing.code": ["NotNull"]}),
        ({}, {"newThing.thing": ["NotNull"]}),
        ({"thing": {"code": 5}}, {"newThing.thing.code": ["Type"]}),
    ):  # fmt: skip
        answer = await setting.client.post("/api/v1/things", json=body, headers=headers)
        found = await error(answer)
        assert (answer.status, found["code"], found["validation_errors"]) == (
            400,
            "validation_failure",
            expected,
        )


async def test_body_that_is_no_json_is_refused(setting: Setting) -> None:
    headers = await setting.log_in("ana") | {"Content-Type": "application/json"}
    for raw in (b"", b"{", b"\xff", b"[" * 40_000, b'{"thing":' * 3000):
        answer = await setting.client.post("/api/v1/things", data=raw, headers=headers)
        assert answer.status == 400
    answer = await setting.client.post(
        "/api/v1/things", data=b"{}", headers=headers | {"Content-Type": "text/plain"}
    )
    assert answer.status == 415


async def test_warning_stops_the_call_until_it_is_ignored(setting: Setting) -> None:
    headers = await setting.log_in("ana")
    body = {"thing": {"code": "odd"}}
    answer = await setting.client.post("/api/v1/things", json=body, headers=headers)
    assert await answer.json() == {
        "status": 400,
        "error": {"code": "warnings_detected"},
        "warnings": [{"code": "odd_code", "metadata": ["odd"]}],
    }
    body["ignore_warnings"] = True  # type: ignore[assignment]
    assert (await setting.client.post("/api/v1/things", json=body, headers=headers)).status == 201


async def test_unexpected_error_shows_only_its_id(setting: Setting) -> None:
    headers = await setting.log_in("ana")
    answer = await setting.client.post("/api/v1/things", json={"thing": {"code": "bug"}}, headers=headers)
    assert answer.status == 500
    text = await answer.text()
    assert answer.headers["x-road-ui-correlation-id"] in text
    assert "secret text" not in text
    assert setting.recorded()[-1]["outcome"] == "failed"


async def test_narrowed_login_acts_only_for_its_clients(setting: Setting) -> None:
    headers = await setting.log_in("eva")
    for path, code, status in (("things", "mine", 201), ("things", "other", 403), ("closed", "mine", 403)):
        answer = await setting.client.post(f"/api/v1/{path}", json={"thing": {"code": code}}, headers=headers)
        assert answer.status == status


@pytest.mark.xroad("F132")
async def test_api_key_opens_all_but_key_management_until_it_expires(setting: Setting) -> None:
    headers = await setting.log_in("ana")
    answer = await setting.client.post(
        "/api/v1/api-keys?expires_in_days=2", json=["BOSS", "MACHINE"], headers=headers
    )
    made = await answer.json()
    assert (made["roles"], made["expires_at"]) == (["BOSS", "MACHINE"], "2026-01-03T00:00:00Z")
    shown = {"Authorization": f"x-road-apikey token={made['key']}"}
    assert (await setting.client.get("/api/v1/user", headers=shown)).status == 200
    assert (await setting.client.get("/api/v1/api-keys", headers=shown)).status == 401
    listed = await (await setting.client.get("/api/v1/api-keys", headers=headers)).json()
    assert listed == [{k: made[k] for k in ("id", "roles", "expires_at")}]
    setting.now += timedelta(days=3)
    assert (await setting.client.get("/api/v1/user", headers=shown)).status == 401
    assert setting.recorded()[-1]["detail"] == {"reason": "the API key has expired"}


async def test_api_key_roles_are_known_ones_and_ones_own(setting: Setting) -> None:
    headers = await setting.log_in("ana")
    answer = await setting.client.post("/api/v1/api-keys", json=["NOBODY"], headers=headers)
    assert (answer.status, (await error(answer))["code"]) == (400, "invalid_role")
    assert (await setting.client.post("/api/v1/api-keys", json=["READER"], headers=headers)).status == 403
    made = await (await setting.client.post("/api/v1/api-keys", json=["BOSS"], headers=headers)).json()
    path = f"/api/v1/api-keys/{made['id']}"
    changed = await setting.client.put(path, json=["MACHINE"], headers=headers)
    assert await changed.json() == {"id": made["id"], "roles": ["MACHINE"]}
    assert (await setting.client.delete(path, headers=headers)).status == 200
    answer = await setting.client.get(path, headers=headers)
    assert (answer.status, (await error(answer))["code"]) == (404, "api_key_not_found")


async def test_name_and_password_manage_keys_only_from_the_addresses_listed(tmp_path: Path) -> None:
    basic = {"Authorization": "Basic " + base64.b64encode(b"ana:secret-ana").decode()}
    for addresses, status in (("127.0.0.0/8", 200), ("10.0.0.0/8", 403)):
        setting = Setting(tmp_path, key_management_addresses=addresses)
        await setting.open()
        assert (await setting.client.post("/api/v1/api-keys", json=["BOSS"], headers=basic)).status == status
        assert (await setting.client.get("/api/v1/user", headers=basic)).status == 401
        await setting.close()


@pytest.mark.xroad("F132")
async def test_api_keys_are_taken_only_from_the_addresses_listed(tmp_path: Path) -> None:
    setting = Setting(tmp_path, api_addresses="10.0.0.0/8")
    await setting.open()
    _, key = setting.logins.make_api_key(["BOSS"], "ana")
    shown = {"Authorization": f"X-Road-ApiKey token={key}"}
    assert (await setting.client.get("/api/v1/user", headers=shown)).status == 403
    await setting.close()


async def test_wrong_host_is_refused_and_recorded(tmp_path: Path) -> None:
    setting = Setting(tmp_path, allowed_hostnames="gateway.example")
    await setting.open()
    answer = await setting.client.get("/", headers={"Host": "evil.example:4000"})
    assert (answer.status, (await error(answer))["code"]) == (400, "invalid_host")
    assert (await setting.client.get("/", headers={"Host": "Gateway.Example:4000"})).status == 200
    assert setting.recorded()[-1]["detail"] == {"host": "evil.example"}
    await setting.close()


@pytest.mark.xroad("F134")
async def test_rate_limit_answers_429_and_closes(tmp_path: Path) -> None:
    setting = Setting(tmp_path, requests_per_second=20, requests_per_minute=30)
    await setting.open()
    statuses = [(await setting.client.get("/")).status for _ in range(21)]
    assert statuses == [200] * 20 + [429]
    answer = await setting.client.get("/")
    assert await answer.json() == {"status": 429}
    assert answer.headers["Connection"] == "close"
    setting.monotonic = 2.0
    assert [(await setting.client.get("/")).status for _ in range(11)] == [200] * 10 + [429]
    await setting.close()


@pytest.mark.xroad("F134")
async def test_size_limits_differ_for_calls_and_uploads(setting: Setting) -> None:
    headers = await setting.log_in("ana")
    large = b"x" * 60_000
    answer = await setting.client.post(
        "/api/v1/things", data=large, headers=headers | {"Content-Type": "application/json"}
    )
    assert answer.status == 413
    answer = await setting.client.put("/api/v1/file", data=large, headers=headers)
    assert answer.status == 200
    assert await answer.read() == large
    assert answer.headers["Content-Disposition"] == 'attachment; filename="up.bin"'
    answer = await setting.client.put(
        "/api/v1/file", data=io.BytesIO(b"x" * (10 * 1024 * 1024 + 1)), headers=headers
    )
    assert answer.status == 413


async def test_form_is_read_and_missing_parts_are_named(setting: Setting) -> None:
    headers = await setting.log_in("ana")
    boundary = {"Content-Type": "multipart/form-data; boundary=b"}
    part = '--b\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n{}\r\n'
    whole = part.format("name", "", "n") + part.format("file", '; filename="a.pem"', "1234") + "--b--\r\n"
    answer = await setting.client.post("/api/v1/form", data=whole.encode(), headers=headers | boundary)
    assert await answer.json() == ["n", "a.pem", "4"]
    half = part.format("name", "", "n") + "--b--\r\n"
    answer = await setting.client.post("/api/v1/form", data=half.encode(), headers=headers | boundary)
    assert (await error(answer))["validation_errors"] == {"file": ["NotNull"]}
    bad_name = whole.encode().replace(b"a.pem", b"\xff.pem")
    for junk in (b"junk", part.format("\x0f", "", "n").encode() + b"--b--\r\n", bad_name):
        answer = await setting.client.post("/api/v1/form", data=junk, headers=headers | boundary)
        assert answer.status == 400


async def test_no_change_is_taken_while_the_server_is_closed(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    served = Served("Things", "1", OPERATIONS, closed=lambda: "a restore is running")
    setting.api = AdminApi(
        AdminSettings(requests_per_second=0), setting.logins, ROLES, served, Clock(lambda: setting.now, lambda: 0.0)
    )  # fmt: skip
    await setting.open()
    headers = await setting.log_in("ana")
    answer = await setting.client.post("/api/v1/things", json={"thing": {"code": "a"}}, headers=headers)
    assert (answer.status, (await error(answer))["code"]) == (503, "closed_for_changes")
    await setting.close()


def test_document_is_valid_and_says_what_is_served(tmp_path: Path) -> None:
    setting = Setting(tmp_path)
    document = setting.api.document
    validate(document)
    add = document["paths"]["/things"]["post"]
    assert add["x-permissions"] == ["ADD_THING"]
    assert sorted(add["responses"]) == ["201", "400", "401", "403", "409", "413", "415", "429", "503"]
    setting.logins.close()
