"""The REST message protocol: HTTP in, canonical bytes out, and back.

The canonical bytes of a request are ``METHOD CRLF target CRLF`` and ``Name:Value CRLF`` for each header (no space
after the colon, no blank line); of a response ``status CRLF reason CRLF`` and headers likewise. They are the REST part
on the wire, what is signed, and ``message.xml`` in the evidence. Header order and duplicates are kept.

A consumer's own mistakes are faults of the kinds X-Road gives them. Stricter than X-Road, and alike for what a consumer
system sends and what a peer has signed: targets that two servers may read differently (see `schemas.target`), headers
that contradict each other, and header names that are none (see `schemas.headers`) are refused. Of several
``X-Road-Client`` headers X-Road takes the last one.

Spec: PR-REST 4; X-Road 7.8 code where the document differs (five identifier segments, lower-case
``x-road-request-id``).
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

import msgspec

from schemas.faults import BadMessage, Fault, Kind, Spelling
from schemas.headers import HOP_HEADERS, check_headers, overriding_of
from schemas.identifiers import (
    ClientId,
    ServerId,
    ServiceId,
    parse_client_path,
    parse_server_path,
    quote_path,
    unquote_segments,
)
from schemas.jsontext import dump_json
from schemas.message import Attachment, Message, MessageProtocol, digest_of
from schemas.target import ServiceTarget, check_characters, parse_service_target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Headers = tuple[tuple[str, str], ...]

METHODS = frozenset(("DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"))
WITHOUT_BODY = frozenset(("GET", "DELETE", "HEAD", "OPTIONS", "TRACE"))
# The bytes of a REST part at the most; a message whose head is larger is refused before it is signed.
MAX_PART_BYTES = 256 * 1024
CLIENT = "x-road-client"
SERVICE = "x-road-service"
ID = "x-road-id"
REQUEST_ID = "x-road-request-id"
REQUEST_HASH = "x-road-request-hash"
SECURITY_SERVER = "x-road-security-server"
USER_ID = "x-road-userid"
ISSUE = "x-road-issue"
REPRESENTED_PARTY = "x-road-represented-party"
ERROR = "x-road-error"


_NOT_KEPT_OF_REQUEST = HOP_HEADERS | {REQUEST_ID, REQUEST_HASH}
_NOT_KEPT_OF_RESPONSE = HOP_HEADERS | {ID, CLIENT, SERVICE, REQUEST_ID, REQUEST_HASH}


class RestRequest(msgspec.Struct, frozen=True):
    """A request; ``target`` is the whole of it as sent, ``called`` what follows the service code, read once."""

    raw: bytes
    method: str
    target: str
    headers: Headers
    client: ClientId
    service: ServiceId
    message_id: str
    request_id: str
    called: ServiceTarget
    security_server: ServerId | None = None
    user_id: str | None = None
    issue: str | None = None
    represented_party: str | None = None

    @property
    def service_path(self) -> str:
        """The path after the service code, as sent."""
        return self.called.path

    @property
    def query(self) -> str | None:
        """The text behind the first ``?`` of the target, as sent; None without one."""
        return self.called.query

    @property
    def overriding(self) -> str | None:
        """The header or parameter that may lead a system to another method or path than its request line says; see `overriding_of`."""
        return overriding_of(self.method, self.query, self.headers)

    def to_message(self, attachments: tuple[Attachment, ...] = ()) -> Message:
        """The protocol-neutral message, with the digest of its body if it has one."""
        return Message(
            MessageProtocol.REST,
            is_response=False,
            raw=self.raw,
            digest=digest_of(self.raw),
            client=self.client,
            service=self.service,
            message_id=self.message_id,
            request_id=self.request_id,
            attachments=attachments,
            security_server=self.security_server,
            user_id=self.user_id,
            issue=self.issue,
            represented_party=self.represented_party,
        )


class RestResponse(msgspec.Struct, frozen=True):
    """A response; ``request_hash`` is base64 and binds it to the request as the provider saw it."""

    raw: bytes
    status: int
    reason: str
    headers: Headers
    client: ClientId
    service: ServiceId
    message_id: str
    request_id: str
    request_hash: str

    def to_message(self, attachments: tuple[Attachment, ...] = ()) -> Message:
        """The protocol-neutral message, with the digest of its body if it has one."""
        return Message(
            MessageProtocol.REST,
            is_response=True,
            raw=self.raw,
            digest=digest_of(self.raw),
            client=self.client,
            service=self.service,
            message_id=self.message_id,
            request_id=self.request_id,
            attachments=attachments,
        )


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An error as a consumer system gets it."""

    status: int
    headers: Headers
    body: bytes


def build_request(
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]],
    *,
    instance: str,
    new_id: Callable[[], str],
) -> RestRequest:
    """The message of a consumer system's HTTP request.

    ``target`` is the raw request target. ``x-road-request-id`` is always new; ``x-road-id`` is kept, or made as
    ``<instance>-<uuid>``. Raises `BadMessage`.
    """
    kept = [(n, v) for n, v in headers if n.lower() not in _NOT_KEPT_OF_REQUEST]
    check_headers(kept, Kind.BAD_REQUEST)
    request_id = new_id()
    kept.append((REQUEST_ID, request_id))
    if not any(n.lower() == ID for n, _ in kept):
        kept.append((ID, f"{instance}-{new_id()}"))
    raw = _render(method, target, kept)
    if len(raw) > MAX_PART_BYTES:
        raise BadMessage(
            Kind.BAD_REQUEST,
            f"the request's head has {len(raw)} bytes; at most {MAX_PART_BYTES} are accepted",
        )
    return _request(raw, method, target, tuple(kept), request_id)


def parse_request(raw: bytes) -> RestRequest:
    """Read the canonical bytes of a request. Raises `BadMessage`."""
    method, target, headers = _parse(raw)
    if not any(n == REQUEST_ID for n, _ in headers):
        raise BadMessage(Kind.MISSING_HEADER, f"the REST request part lacks {REQUEST_ID} (in lower case)")
    request_id = next(v for n, v in reversed(headers) if n == REQUEST_ID)
    return _request(raw, method, target, headers, request_id)


def build_response(
    status: int,
    reason: str,
    headers: Iterable[tuple[str, str]],
    request: RestRequest,
    request_hash: str,
) -> RestResponse:
    """The message of a provider's HTTP answer, bound to its request.

    Raises `Fault` for an answer that no consumer's gateway would take, before anything is signed.
    """
    check_final(status)
    kept = [(n, v) for n, v in headers if n.lower() not in _NOT_KEPT_OF_RESPONSE]
    kept += [
        (ID, request.message_id),
        (CLIENT, quote_path(request.client.components)),
        (SERVICE, quote_path(request.service.components)),
        (REQUEST_ID, request.request_id),
        (REQUEST_HASH, request_hash),
    ]
    reason = "".join(c for c in reason if c >= " " and c != "\x7f")
    try:
        check_headers(kept, Kind.INVALID_MESSAGE)
        raw = _render(str(status), reason, kept)
    except BadMessage as fault:
        raise Fault(Kind.HTTP_ERROR, f"the service's answer cannot be passed on: {fault}") from fault
    if len(raw) > MAX_PART_BYTES:
        raise Fault(
            Kind.HTTP_ERROR,
            f"the head of the service's answer has {len(raw)} bytes; gateways take {MAX_PART_BYTES}",
        )
    return RestResponse(
        raw,
        status,
        reason,
        tuple(kept),
        request.client,
        request.service,
        request.message_id,
        request.request_id,
        request_hash,
    )


def check_final(status: int) -> None:
    """Refuse a service's status that is no final one: 1xx, which may switch protocols, and what HTTP does not know."""
    if not 200 <= status <= 599:
        raise Fault(
            Kind.HTTP_ERROR, f"the service answered HTTP {status}; a final status, 200 to 599, was expected"
        )


def parse_response(raw: bytes) -> RestResponse:
    """Read the canonical bytes of a response. Raises `BadMessage`."""
    status, reason, headers = _parse(raw)
    if not (status.isascii() and status.isdigit() and len(status) == 3 and status[0] in "2345"):
        raise BadMessage(
            Kind.INVALID_MESSAGE,
            f"the REST response part begins with {status[:20]!r}; a final status, 200 to 599, was expected",
        )
    if any(c < " " or c == "\x7f" for c in reason):
        raise BadMessage(Kind.INVALID_MESSAGE, "the REST response part has control characters in its reason")
    values = {n.lower(): v for n, v in headers}
    return RestResponse(
        raw,
        int(status),
        reason,
        headers,
        parse_client_path(_needed(values, CLIENT)),
        _service_of(_needed(values, SERVICE)),
        _needed(values, ID),
        _needed(values, REQUEST_ID),
        _needed(values, REQUEST_HASH),
    )


def signer_of(raw: bytes) -> tuple[ClientId, str]:
    """The client whose signature kept evidence needs, and its message id. Raises `BadMessage`.

    Evidence is read as it was written, by older and foreign gateways too: what would be refused on the road today still
    has its signer. Of repeated headers the last counts, as in X-Road.
    """
    _, _, headers = _split(raw)
    values = {n.lower(): v for n, v in headers}
    if is_response_part(raw):
        return _service_of(_needed(values, SERVICE)).client, _needed(values, ID)
    return parse_client_path(_needed(values, CLIENT)), _needed(values, ID)


def is_response_part(raw: bytes) -> bool:
    """Whether canonical bytes are a response: they begin with a status, requests with a method."""
    return raw[:1].isdigit() and raw[:1] != b"0"


def compute_request_hash(request_digest: bytes, body_digest: bytes | None) -> str:
    """The value of ``x-road-request-hash``: base64 of H(request part), or of H(H(request part) ‖ H(body))."""
    value = request_digest if body_digest is None else digest_of(request_digest + body_digest)
    return base64.b64encode(value).decode("ascii")


def check_answers(request: RestRequest, response: RestResponse, request_hash: str) -> None:
    """Refuse a response that is not the answer to this very request (``inconsistent_response``)."""
    for what, requested, answered in (
        ("client", request.client.path(), response.client.path()),
        ("service", request.service.path(), response.service.path()),
        (ID, request.message_id, response.message_id),
        (REQUEST_ID, request.request_id, response.request_id),
        (REQUEST_HASH, request_hash, response.request_hash),
    ):
        if requested != answered:
            raise BadMessage(
                Kind.INCONSISTENT_RESPONSE,
                f"the response's {what} is {answered[:200]!r}; the request's is {requested[:200]!r}",
            )


def consumer_headers(response: RestResponse) -> list[tuple[str, str]]:
    """The headers to pass on to the consumer system; first of all the last ``Date``.

    ``X-Road-Error`` is this gateway's word to its consumer systems: what a provider's answer says in it is not passed on.
    """
    dates = [v for n, v in response.headers if n.lower() == "date"]
    passed = [(n, v) for n, v in response.headers if n.lower() not in ("date", ERROR)]
    return [("Date", dates[-1]), *passed] if dates else passed


def service_headers(request: RestRequest) -> list[tuple[str, str]]:
    """The headers to pass on to the provider's system: every signed one."""
    return list(request.headers)


def service_target(request: RestRequest) -> str:
    """The rest of the target behind the service code: path and query, still percent-encoded."""
    return request.called.raw


def service_url(base_url: str, target: str) -> str:
    """Service URL and target, with one slash where both sides have one."""
    return base_url + (target[1:] if base_url.endswith("/") and target.startswith("/") else target)


def forwards_body(method: str) -> bool:
    """Whether a request's body reaches the provider's system; it is signed and logged in any case."""
    return method.upper() not in WITHOUT_BODY


def render_error(fault: Fault, accept: str | None, spelling: Spelling) -> HttpAnswer:
    """An error answer: 400 for the consumer's own mistakes, 500 otherwise; XML when ``Accept`` asks for it first.

    Spec: PR-REST 4.6.
    """
    code = fault.code_in(spelling)
    status = 500 if fault.code.startswith("server.") else 400
    content_type = _error_type(accept)
    fields = {"type": code, "message": fault.detail, "detail": fault.id}
    if content_type == "application/json":
        body = dump_json(fields, ensure_ascii=False, separators=(",", ":"))
    else:
        inner = "".join(f"<{name}>{escape(_xml_text(value))}</{name}>" for name, value in fields.items())
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<error>{inner}</error>'
        content_type += ";charset=utf-8"
    header_code = "".join(c if " " <= c <= "~" else "?" for c in code)
    return HttpAnswer(
        status,
        (("X-Road-Error", header_code), ("Content-Type", content_type)),
        body.encode("utf-8", "replace"),
    )


def _error_type(accept: str | None) -> str:
    for entry in (accept or "").split(","):
        media = entry.partition(";")[0].strip().lower()
        if media in ("text/xml", "text/*"):
            return "text/xml"
        if media == "application/xml":
            return "application/xml"
        if media == "application/json":
            return "application/json"
    return "application/json"


def _xml_text(text: str) -> str:
    return "".join(c for c in text if c in "\t\n\r" or c >= " ")


def _render(first: str, second: str, headers: Iterable[tuple[str, str]]) -> bytes:
    lines = [first, second, *(f"{n}:{v}" for n, v in headers)]
    text = "\r\n".join(lines)
    # One pass over the whole: the only line breaks are the ones between the lines.
    if text.count("\r") != len(lines) - 1 or text.count("\n") != len(lines) - 1 or "\0" in text:
        raise BadMessage(Kind.BAD_REQUEST, "a header or the request target holds a line break or a zero byte")
    return (text + "\r\n").encode("utf-8", "surrogateescape")


def _parse(raw: bytes) -> tuple[str, str, Headers]:
    first, second, headers = _split(raw)
    check_headers(headers, Kind.INVALID_MESSAGE)
    return first, second, headers


def _split(raw: bytes) -> tuple[str, str, Headers]:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("utf-8", "surrogateescape")
    if not text.endswith("\r\n"):
        raise BadMessage(Kind.INVALID_MESSAGE, "the REST part does not end with CRLF")
    lines = text[:-2].split("\r\n")
    if len(lines) < 2:
        raise BadMessage(Kind.INVALID_MESSAGE, "the REST part needs two lines before its headers")
    headers: list[tuple[str, str]] = []
    for line in lines[2:]:
        name, colon, value = line.partition(":")
        if not colon or not name:
            raise BadMessage(Kind.INVALID_MESSAGE, f"{line[:80]!r} is not a header of the form Name:Value")
        if name.lower() in HOP_HEADERS:
            raise BadMessage(Kind.INVALID_MESSAGE, f"the header {name!r} may not be part of a message")
        headers.append((name, value))
    if "\n" in text.replace("\r\n", "") or "\r" in text.replace("\r\n", ""):
        raise BadMessage(Kind.INVALID_MESSAGE, "the REST part has a line break that is not CRLF")
    return lines[0], lines[1], tuple(headers)


def _request(raw: bytes, method: str, target: str, headers: Headers, request_id: str) -> RestRequest:
    if method not in METHODS:
        raise BadMessage(Kind.INVALID_HTTP_METHOD, f"{method[:20]!r} is not a method of the REST protocol")
    service, called = _parse_target(target)
    values = {n.lower(): v for n, v in headers}
    named = values.get(SERVICE)  # nothing asks for it in a request; a system may look at it all the same
    if named is not None and _service_of(named) != service:
        raise BadMessage(
            Kind.BAD_REQUEST, f"the header {SERVICE} names another service than the path: {named[:120]!r}"
        )
    server = values.get(SECURITY_SERVER)
    return RestRequest(
        raw,
        method,
        target,
        headers,
        parse_client_path(_needed(values, CLIENT)),
        service,
        _needed(values, ID),
        request_id,
        called,
        None if server is None else parse_server_path(server),
        values.get(USER_ID),
        values.get(ISSUE),
        _represented_party(values.get(REPRESENTED_PARTY)),
    )


def _parse_target(target: str) -> tuple[ServiceId, ServiceTarget]:
    check_characters(target)
    path, mark, query = target.partition("?")
    segments = path.split("/", 7)
    if len(segments) < 7 or segments[0] or segments[1] != "r1":
        raise BadMessage(
            Kind.BAD_REQUEST,
            "the path must be /r1/{instance}/{class}/{member}/{subsystem}/{service}[/...]; "
            f"{max(len(segments) - 2, 0)} of the five identifiers came",
        )
    identifiers = unquote_segments("/".join(segments[2:7]))
    if any(identifier in (".", "..") for identifier in identifiers):
        raise BadMessage(Kind.BAD_REQUEST, "an identifier in the path is '.' or '..', which servers resolve")
    rest = f"/{segments[7]}" if len(segments) == 8 else ""
    return _service_from(identifiers), parse_service_target(f"{rest}{mark}{query}")


def _service_of(path: str) -> ServiceId:
    segments = unquote_segments(path)
    if len(segments) != 5:
        raise BadMessage(Kind.INVALID_MESSAGE, f"{SERVICE} must have five segments; got {len(segments)}")
    return _service_from(segments)


@lru_cache(maxsize=1024)
def _service_from(segments: tuple[str, ...]) -> ServiceId:
    return ServiceId(ClientId(*segments[:4]), segments[4])


def _needed(values: dict[str, str], name: str) -> str:
    value = values.get(name)
    if not value:
        raise BadMessage(Kind.MISSING_HEADER, f"the header {name} is missing or empty")
    return value


def _represented_party(value: str | None) -> str | None:
    if value is None:
        return None
    segments = unquote_segments(value)
    if len(segments) not in (1, 2) or not all(s.strip() for s in segments):
        raise BadMessage(Kind.BAD_REQUEST, f"{REPRESENTED_PARTY} must be [class/]code")
    return value
