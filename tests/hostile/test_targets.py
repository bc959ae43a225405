"""Request targets that two servers read differently: refused on both sides, and what passes is what was decided on.

The lenient servers here are those of the field: they decode twice or until nothing is left, take ``;...`` off each segment,
read ``\\`` as ``/``, cut at ``#`` and ``?`` once decoded, merge slashes, and resolve dots only then.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.clients.descriptions.described import check_code, check_url
from gateway.clients.model import AccessRight, Client, Endpoint, ServerConf, Service, ServiceType
from gateway.exchange.access import CalledEndpoint, check_access
from gateway.exchange.restprotocol import RestProvider
from gateway.http.heads import origin_form
from gateway.policies.decision import Deny, Permit, PolicyInput, decide_request
from schemas import rest
from schemas.faults import BadMessage, Fault, Kind
from schemas.identifiers import ClientId, GlobalGroupId, ServiceId
from schemas.policy import Policy, parse_document
from schemas.target import MAX_BYTES, parse_service_target
from serving.errors import Refused
from social_security.wire.policydocument import build_policy
from tests.exchanges import SERVICE, GatewayPair
from tests.worlds import CONSUMER, PROVIDER, PROVIDER_SERVER

BASE = f"/r1/{PROVIDER.path()}/{SERVICE.service_code}"
# Each is answered with a refusal wherever it comes from. The first ones were seen to pass; the rest are of their kind.
REFUSED = (
    "/secret/1#/../../ok",
    "/secret#/../pets/1",
    "/arco/solicitudes/X#/../../../estado",
    "/secret/1%2f..%2f..%2fok",
    "/secret/1/../../ok",
    "/secret/1%3f/../../ok",
    "/secret;/../ok",
    "/secret%23/../ok",
    "/secret/8 /../../ok",
    "/deep/a/..;/..;/x",
    "/deep/..\\..\\x",
    "/pets/%252e%252e%252fsecret",
    "/free/a b HTTP/1.1\tX: y",
    # fragments
    "/ok#",
    "#",
    "/ok?a=1#b",
    "/ok?#/../x",
    # dot segments, raw and encoded once, twice, many times
    "/.",
    "/..",
    "/./ok",
    "/a/.",
    "/a/..?x=1",
    "/%2e/ok",
    "/%2E%2e/ok",
    "/.%2e/ok",
    "/a/%2e.%2fok",
    "/a%2f%2e%2e",
    "/a/%252E%252E/ok",
    "/a/%25252e%25252e/ok",
    "/a/%25%32%65%25%32%65/ok",
    "/a/%2%65%2e/ok",
    "/a/%" + "25" * 400 + "2e%" + "25" * 7 + "2e/ok",
    "/a/.../ok",
    "/a/..%20/ok",
    "/a/%20..%20/ok",
    "/a/..%C2%A0/ok",
    "/a/%EF%BC%8E%EF%BC%8E/ok",
    "/a/%E2%80%A5/ok",
    "/a%EF%BC%8F..%EF%BC%8Fok",
    "/a/.%E2%80%8B./ok",
    # path parameters on dots
    "/a/..;x=1/ok",
    "/a/.;/ok",
    "/a/..%3b/ok",
    "/a/%2e%2e;a=b;c/ok",
    "/a/..%253Bx/ok",
    "/a;/..;/ok",
    # what ends a path once decoded, behind dots
    "/a/..%3fx",
    "/a/..%23x",
    "/a/..%253f",
    "/a%5c..%5cok",
    "/a/..%2523/ok",
    # backslashes
    "\\ok",
    "/a\\b",
    "/a%5cb",
    "/a%5Cb",
    "/a%255cb",
    "/ok?x=\\",
    # control characters
    "/a\x00",
    "/a\tb",
    "/a\x7f",
    "/a%00",
    "/a%00/../ok",
    "/a%0d%0aX:%20y",
    "/a%09b",
    "/a%1f",
    "/a%7F",
    "/a%2500",
    "/a%C2%85b",
    "/ok?a=\x01",
    # spaces and bytes above ASCII
    "/a b",
    " /ok",
    "/ok ",
    "/ok?q=a b",
    "/año",
    "/ok?q=ñ",
    "/a\udcf1o",
    "/a\u2028b",
    # escapes that are none, and bytes that are no UTF-8
    "/100%",
    "/a%2",
    "/a%zz",
    "/a%u002e",
    "/ok?q=%",
    "/ok?q=%g1",
    "/a%C0%AE%C0%AE/ok",
    "/a%F1o",
    "/a%25c0%25ae/ok",
    "/" + "a" * MAX_BYTES,
)
# Passes byte for byte to a service that the client may call whole.
PASSING = (
    "",
    "/",
    "/ok",
    "/ok/",
    "/a+b",
    "/a;v=1",
    "/a;v=1/b;w",
    "/a%2Fb",
    "/a%2fb",
    "/a%20b",
    "/%C3%B1/%E2%82%AC",
    "/a//b",
    "//a",
    "/100%25",
    "/a%23b",
    "/a%3Fb",
    "/a%3Bb",
    "/.well-known/x",
    "/a..b/..c/d..",
    "/file.tar.gz",
    "/a:b@c!$&'()*,=~_-",
    "?a=1",
    "/ok?",
    "/ok?a=1&a=2",
    "/ok?a=1?b=2",
    "/ok?/../x",
    "/ok?p=C%5Cx&t=%0A&u=%00",
    "/ok?q=a+b;c=%2F..%2F",
    "/path%3B/",
)


def peers_part(target: str) -> bytes:
    """The signed part of a peer whose consumer side does not look at its targets."""
    lines = (
        "GET",
        BASE + target,
        f"X-Road-Client:{CONSUMER.path()}",
        "X-Road-Id:1",
        "x-road-request-id:1",
        "",
    )
    return "\r\n".join(lines).encode("utf-8", "surrogateescape")


def consumers_request(target: str) -> rest.RestRequest:
    headers = [("X-Road-Client", CONSUMER.path())]
    return rest.build_request("GET", BASE + target, headers, instance="MX", new_id=lambda: "1")


@pytest.mark.parametrize("target", REFUSED)
def test_target_with_two_readings_is_refused_on_both_sides_with_a_reason(target: str) -> None:
    for read in (consumers_request, lambda t: rest.parse_request(peers_part(t))):
        with pytest.raises(BadMessage) as refused:
            read(target)
        assert refused.value.kind in (Kind.BAD_REQUEST, Kind.INVALID_MESSAGE)
        assert len(refused.value.detail) > 20


@pytest.mark.parametrize("target", PASSING)
async def test_target_with_one_reading_reaches_the_service_byte_for_byte(target: str, tmp_path: Path) -> None:
    pair = GatewayPair(tmp_path)
    assert await pair.ask(target) == b"found"
    assert [call.target for call in pair.services.calls] == [target]
    assert rest.parse_request(peers_part(target)).called.raw == target


@pytest.mark.parametrize("identifier", [".", "..", "%2e%2e", "%2E"])
def test_identifier_that_servers_resolve_is_refused(identifier: str) -> None:
    with pytest.raises(BadMessage):
        rest.build_request(
            "GET",
            f"/r1/MX/GOB/1/{identifier}/x",
            [("X-Road-Client", CONSUMER.path())],
            instance="MX",
            new_id=lambda: "1",
        )


# Rights

REST = Service(ServiceId(PROVIDER, "s"), ServiceType.REST, "http://system.invalid")


class NoGroups:
    """A federation without groups."""

    def in_global_group(self, client: ClientId, group: GlobalGroupId) -> bool:
        """No."""
        del client, group
        return False


def allows(patterns: tuple[str, ...], path: str, method: str = "GET") -> bool:
    """Whether rights of GET to path patterns let a target through, from its parsing on."""
    rights = tuple(AccessRight(PROVIDER, CONSUMER, Endpoint("s", "GET", p)) for p in patterns)
    conf = ServerConf(PROVIDER_SERVER, (Client(PROVIDER),), (REST,), rights)
    try:
        target = parse_service_target(path)
        check_access(conf, NoGroups(), CONSUMER, REST, CalledEndpoint(method, target.path))
    except Fault:
        return False
    return True


GRANTED = (
    (("/ok",), "/ok"),
    (("/ok",), "/o%6B"),
    (("/ok",), "/ok?x=/secret"),
    (("/pets/*",), "/pets/1"),
    (("/pets/*",), "/pets/a%20b"),
    (("/pets/*",), "/pets/1;v=1"),
    (("/pets/*",), "/pets/100%25"),
    (("/deep/**",), "/deep/a%2Fb"),
    (("/deep/**",), "/deep/a/b;c/d+e"),
    (("/pets/*", "/pets/*/b"), "/pets/a%2Fb"),
    (("/a;v=1",), "/a;v=1"),
    (("**",), "/a//b"),
)
DENIED = (
    (("/ok",), "/ok;/secret"),
    (("/ok",), "/ok;v=1"),
    (("/ok",), "/ok%3Fx"),
    (("/ok",), "/ok%23x"),
    (("/ok",), "//ok"),
    (("/ok",), "/ok//"),
    (("/deep/**",), "/deep//x"),
    (("/deep/**",), "/deep/a%2F%2Fx"),
    (("/deep/**",), "/deep/;/x"),
    (("/pets/*",), "/pets/1%2Fsecret"),
    (("/pets/*",), "/pets/1%252Fsecret"),
    (("/pets/*",), "/pets/1%25252Fsecret"),
    (("/a/b",), "/a%2Fb"),
    (("/a/*/c",), "/a/x;%2Fy/c"),
    (("/a;v=1",), "/a"),
    (("/*/x",), "/secret;/x%23/x"),
)


@pytest.mark.parametrize(("patterns", "path"), GRANTED)
def test_right_covers_a_path_that_every_server_reads_within_it(patterns: tuple[str, ...], path: str) -> None:
    assert allows(patterns, path)
    assert not allows(patterns, path, "DELETE")


@pytest.mark.parametrize(("patterns", "path"), DENIED)
def test_right_does_not_cover_a_path_that_some_server_reads_outside_it(
    patterns: tuple[str, ...], path: str
) -> None:
    assert not allows(patterns, path)


# What frameworks of the field take another method or another path from than the request line's.
LEADING_ELSEWHERE = (
    ("X-HTTP-Method-Override", "DELETE", ""),
    ("x-http-method-override", "get, delete", ""),
    ("X-HTTP-Method", "DELETE", ""),
    ("X-Method-Override", "", ""),
    ("X_HTTP_Method_Override", "DELETE", ""),
    ("X-Original-URL", "/secret", ""),
    ("X-Rewrite-URL", "/ok", ""),
    ("X.Rewrite.Url", "/secret", ""),
    ("Accept", "text/plain", "?_method=DELETE"),
    ("Accept", "text/plain", "?a=1&%5fmethod=delete"),
    ("Accept", "text/plain", "?_METHOD=DELETE"),
)
HARMLESS = (
    ("X-HTTP-Method-Override", "get", ""),
    ("Accept", "text/plain", "?method=DELETE&_method=GET"),
    ("X-Original-Host", "a", ""),
)


def request_with(name: str, value: str, query: str) -> rest.RestRequest:
    headers = (("X-Road-Client", CONSUMER.path()), (name, value))
    return rest.build_request("GET", f"{BASE}/ok{query}", headers, instance="MX", new_id=lambda: "1")


def may_call(right: Endpoint, request: rest.RestRequest) -> bool:
    conf = ServerConf(
        PROVIDER_SERVER, (Client(PROVIDER),), (REST,), (AccessRight(PROVIDER, CONSUMER, right),)
    )
    called = RestProvider().endpoint_of(request)
    try:
        check_access(conf, NoGroups(), CONSUMER, REST, called)
    except Fault as fault:
        assert (request.overriding or "no") in fault.detail
        return False
    return True


@pytest.mark.parametrize(("name", "value", "query"), LEADING_ELSEWHERE)
def test_a_right_to_an_endpoint_is_none_to_where_a_header_may_lead(name: str, value: str, query: str) -> None:
    request = request_with(name, value, query)
    assert request.overriding is not None
    assert not may_call(Endpoint("s", "GET", "/ok"), request)
    assert not may_call(Endpoint("s", "GET", "**"), request)
    assert may_call(Endpoint("s"), request)


@pytest.mark.parametrize(("name", "value", "query"), HARMLESS)
def test_what_leads_nowhere_else_is_let_be(name: str, value: str, query: str) -> None:
    assert may_call(Endpoint("s", "GET", "/ok"), request_with(name, value, query))


def lenient_readings(path: str) -> set[str]:
    """The resources that lenient servers make of a raw path."""
    found = set()
    for decodings in range(5):
        for strips in (False, True):
            for cuts in (False, True):
                text = path.partition("#")[0]
                for _ in range(decodings):
                    text = re.sub(r";[^/]*", "", text) if strips else text
                    text = unquote(text)
                text = text.replace("\\", "/")
                text = re.split(r"[?#]", text, maxsplit=1)[0] if cuts else text
                text = re.sub(r";[^/]*", "", text) if strips else text
                kept: list[str] = []
                for segment in text.split("/"):
                    if segment.strip() == "..":
                        kept = kept[:-1]
                    elif segment.strip() not in ("", "."):
                        kept.append(segment)
                found.add("/" + "/".join(kept))
    return found


PIECES = st.sampled_from(
    [
        "/",
        "/",
        "pets",
        "1",
        "secret",
        "ok",
        ".",
        "..",
        ";",
        ";v=1",
        "#",
        "+",
        "\\",
        "%2e",
        "%2f",
        "%2F",
        "%252e",
        "%252f",
        "%5c",
        "%3b",
        "%3f",
        "%23",
        "%253b",
        "%2523",
        "%20",
        "%25",
        "25",
        "2f",
        "2e",
        "%c3%b1",
        "%00",
    ]
)


@given(st.lists(PIECES, max_size=9).map("".join))
def test_no_mutation_of_an_allowed_path_reaches_another_resource(tail: str) -> None:
    path = f"/pets/1{tail}"
    if allows(("/pets/*",), path):
        for resource in lenient_readings(path):
            assert re.fullmatch(r"/pets(/[^/]*)?", resource), (path, resource)


@given(st.lists(PIECES, max_size=9).map("".join))
def test_what_is_decided_on_is_what_is_called(tail: str) -> None:
    try:
        request = consumers_request(f"/pets{tail}")
    except BadMessage:
        return
    assert rest.service_target(request) == f"/pets{tail}"
    assert rest.parse_request(request.raw).called == request.called
    assert parse_service_target(rest.service_target(request)) == request.called


# Policies

PUBLIC = PolicyInput("c", "ARCO", "oss-v1", "GET", "/estado", {}, None)


def sacbe_policy() -> Policy:
    found = parse_document(build_policy("1.0.0", datetime(2020, 1, 1, tzinfo=UTC)))
    assert isinstance(found, Policy)
    return found


@pytest.mark.parametrize(
    "target",
    [
        "/arco/solicitudes/X#/../../../estado",
        "/arco%2f..%2festado",
        "/arco/solicitudes/X/../../../estado",
        "/arco/..;/estado",
        "/%2e/estado",
        "//estado",
        "/estado;x=1",
        "/estado;/arco/solicitudes/X",
        "/estado%3Fx",
        "/estado%23",
        "/estado%2Farco",
        "/x\\..\\estado",
        "/estado%00",
        "/ESTADO",
    ],
)
def test_public_reading_of_a_policy_cannot_be_borrowed(target: str) -> None:
    policy = sacbe_policy()
    assert isinstance(decide_request(policy, PUBLIC), Permit)
    assert not isinstance(decide_request(policy, replace(PUBLIC, target=target)), Permit)


# Forms of a target, and addresses that a target is put behind


def _origin_form(target: str) -> str:
    return origin_form(target.encode()).decode()


def test_absolute_form_means_its_path() -> None:
    assert _origin_form("http://gw:8080/r1/MX?x=1") == "/r1/MX?x=1"
    assert _origin_form("HTTPS://gw/listClients") == "/listClients"
    assert _origin_form("http://gw") == "/"
    assert _origin_form("http://[::1]:8080?x") == "/?x"
    for left in (
        "/r1/http://x",
        "*",
        "gw:443",
        "http:///r1",
        "http://user@gw/r1",
        "ftp://gw/r1",
        "http://a#b/r1",
    ):
        assert _origin_form(left) == left


@pytest.mark.parametrize(
    "url",
    [
        "http://h/a b",
        "http://h/q?k=1#f",
        "http://user:pw@h/",
        "http://h@x/",
        "http://h#f",
        "http://h\\x",
        "http://h/a\\b",
        "http://h/a/../b",
        "http://h/%2e%2e/b",
        "http://h/a\tb",
        "http://h\r\n/a",
        "http://h/año",
        "http://h/%zz",
        "http://h h/",
        "http://h:port/",
        "http://h:1:2/",
        "http:///a",
        "http://?x",
        "//h/a",
        "file:///etc/passwd",
        "http:/h/a",
        "http://h:0/",
        "http://h:00000/a",
    ],
)
def test_address_that_a_target_cannot_be_put_behind_is_not_registered(url: str) -> None:
    with pytest.raises(Refused) as refused:
        check_url(url)
    assert refused.value.code == "malformed_url"


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "https://h/",
        "http://a_b:80/x",
        "http://[::1]:1/",
        "http://h/x?wsdl",
        "http://h//x/v/",
        "http://h/?k=1",
    ],
)
def test_plain_address_is_registered(url: str) -> None:
    check_url(url)


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"headers": {"x-http-method-override": "DELETE"}},
        {"headers": {"x_original_url": "/arco/solicitudes/X"}},
        {"target": "/estado?_method=POST"},
    ],
)
def test_a_policy_refuses_what_may_lead_the_system_elsewhere(elsewhere: dict[str, object]) -> None:
    decision = decide_request(sacbe_policy(), replace(PUBLIC, **elsewhere))  # type: ignore[arg-type]
    assert isinstance(decision, Deny)
    assert decision.reason == "request_fields"


def test_forbidden_text_is_found_in_every_value_of_a_repeated_header_and_in_names() -> None:
    curp = "EEPA780514MMCJRN95"
    for headers in ({"x-note": f"a\n{curp}"}, {f"x-{curp.lower()}": "1"}):
        decision = decide_request(sacbe_policy(), replace(PUBLIC, headers=headers))
        assert isinstance(decision, Deny)
        assert decision.reason == "forbidden"
        assert curp not in decision.field.upper()


def test_evidence_of_what_is_refused_today_still_has_its_signer() -> None:
    for target in ("/secret#/../ok", "/a b", "/x/../y"):
        assert rest.signer_of(peers_part(target)) == (CONSUMER, "1")


@pytest.mark.parametrize("code", ["..", ".", "...", "", " "])
def test_service_code_that_servers_resolve_cannot_be_offered(code: str) -> None:
    with pytest.raises(Refused):
        check_code(code)
