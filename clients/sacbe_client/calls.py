"""A call as a value: method, URL, headers and body to send; and the answer that came, read or refused. Pure.

Spec: PR-REST 4.1 to 4.6.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode, urlsplit

from sacbe_client.errors import CallError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from sacbe_client.identifiers import ClientId, ServiceId

# pchar and "/" of RFC 3986: what a path may hold as it stands. Anything else is encoded by the caller, or given as segments.
_PATH: Final = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*", re.ASCII)
_DOTS: Final = re.compile(r"(?:\.|%2[eE]){1,2}", re.ASCII)
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+\-.^_`|~]+", re.ASCII)
# Headers that the call itself sets: what a caller says beside them would contradict it.
_OWN: Final = {
    "x-road-client",
    "x-road-id",
    "x-road-userid",
    "x-road-issue",
    "x-road-security-server",
    "host",
    "content-length",
    "transfer-encoding",
}


@dataclass(frozen=True, slots=True)
class OutgoingCall:
    """One attempt: what goes to the own gateway. ``message_id`` names it in the logs of both gateways."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    message_id: str


@dataclass(frozen=True, slots=True)
class Answer:
    """The provider's answer, whatever its status. ``headers`` in their order and case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    message_id: str

    def header(self, name: str, default: str | None = None) -> str | None:
        """The first header of a name, any case."""
        return next((v for n, v in self.headers if n.lower() == name.lower()), default)

    def json(self) -> Any:
        """The body as JSON. Raises `ValueError` when it is none."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Caller:
    """A system at its own gateway. ``gateway`` is an address as ``http://gateway:8080``; raises `ValueError` for any other form."""

    gateway: str
    client: ClientId

    def __post_init__(self) -> None:
        base = urlsplit(self.gateway)
        extra = base.path not in ("", "/") or base.query or base.fragment or base.username
        if base.scheme not in ("http", "https") or not base.hostname or extra:
            raise ValueError(
                f"the gateway's address is http://host:port or https://host:port, not {self.gateway[:200]!r}"
            )

    @property
    def base(self) -> str:
        """Scheme, host and port, without a slash at the end."""
        return self.gateway.rstrip("/")


@dataclass(frozen=True, slots=True)
class Context:
    """Who within the client asks (``user_id``), for which case (``issue``), and through which server if one is named."""

    user_id: str | None = None
    issue: str | None = None
    security_server: str | None = None

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers that say it, those that are set."""
        named = (
            ("X-Road-UserId", self.user_id),
            ("X-Road-Issue", self.issue),
            ("X-Road-Security-Server", self.security_server),
        )
        return tuple((name, value) for name, value in named if value is not None)


def build_call(
    caller: Caller,
    service: ServiceId,
    method: str = "GET",
    path: str | Sequence[str] = (),
    *,
    query: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    context: Context | None = None,
) -> OutgoingCall:
    """A call of a REST service, with a new message id.

    ``path`` is what follows the service: a sequence of segments, which are encoded here, or a string, which must be encoded
    already. Raises `ValueError` for what the two sides could read differently: fragments, dot segments, characters that a path
    cannot hold, headers that contradict the call.
    """
    target = f"/r1/{service.path}{_render_path(path)}"
    if pairs := header_pairs(query):
        target += f"?{urlencode(pairs, quote_via=quote)}"
    message_id = str(uuid.uuid4())
    own = (
        ("X-Road-Client", caller.client.path),
        ("X-Road-Id", message_id),
        *(context.headers if context else ()),
    )
    given = header_pairs(headers)
    _check_headers(given, own)
    return OutgoingCall(method.upper(), f"{caller.base}{target}", (*own, *given), body, message_id)


def header_pairs(given: Mapping[str, str] | Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Names and values as pairs, from a mapping or from pairs."""
    return tuple(given.items()) if isinstance(given, Mapping) else tuple(given)


def _render_path(path: str | Sequence[str]) -> str:
    if not isinstance(path, str):
        segments = [quote(segment, safe="") for segment in path]
    else:
        if not _PATH.fullmatch(path):
            raise ValueError(
                f"the path {path[:200]!r} holds what a path cannot; give it as segments, which are encoded"
            )
        segments = path.removeprefix("/").split("/") if path else []
    if any(_DOTS.fullmatch(segment.partition(";")[0]) for segment in segments):
        raise ValueError(
            f"a segment of the path {path!r:.200} is a dot segment: a server would read another path"
        )
    return "".join(f"/{segment}" for segment in segments)


def _check_headers(given: Iterable[tuple[str, str]], own: Iterable[tuple[str, str]]) -> None:
    for name, value in (*given, *own):
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{name[:80]!r} is not the name of a header")
        if any((ord(c) < 32 and c != "\t") or ord(c) == 127 for c in value):
            raise ValueError(f"the value of {name} has control characters")
    for name, _ in given:
        if name.lower() in _OWN:
            raise ValueError(f"{name} is set by the call itself; give it as the argument that has its name")


def read_answer(status: int, headers: Iterable[tuple[str, str]], body: bytes, message_id: str) -> Answer:
    """The provider's answer. Raises `CallError` when a gateway answered in its place (``X-Road-Error``)."""
    answer = Answer(status, tuple(headers), body, message_id)
    code = answer.header("X-Road-Error")
    if code is None:
        return answer
    error: dict[str, object] = {}
    try:
        read = json.loads(body)
        error = read if isinstance(read, dict) else {}
    except ValueError:
        pass
    raise CallError(
        str(error.get("type") or code),
        str(error.get("message") or "the gateway gave no words"),
        detail=str(error.get("detail") or ""),
        status=status,
    )
