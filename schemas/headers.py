"""HTTP headers of a message: legal names and values, and no header that decides anything said in two ways.

The same rules hold for a consumer system's request, for the signed part of a peer and for a system's answer. A header
that decides (who asks, for what, about which message) is one whose name begins with `DECIDING`; two of them with different
values are refused, for what reads the first and what reads the last would act differently. A name that a CGI-like server
cannot tell from a deciding or a framing one (``X_Road_Client``) is refused too.

Spec: RFC 9110 5.1, 5.3, 5.5; RFC 9112 5.1, 5.2; RFC 3875 4.1.18 (header names as variables).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from schemas.faults import BadMessage, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


# Never part of a message: they belong to one HTTP connection. A received message that holds one is refused.
HOP_HEADERS = frozenset(
    (
        "transfer-encoding",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "upgrade",
        "connection",
        "user-agent",
        "host",
        "content-length",
        "server",
        "expect",
    )
)
# X-Road's own, those of the social security domain's context, and this gateway's.
DECIDING = ("x-road-", "x-oss-", "x-sacbe-")
# Message log, monitoring and quotas keep these as text: a value no database takes would fail the records written with it.
KEPT = "x-road-"
# What only a gateway says to a consumer system; a provider's system that says it is not heard.
GATEWAYS_OWN = frozenset(
    ("x-road-error", "x-road-service", "x-road-security-server", "x-road-request-hash", "x-sacbe-policy")
)
# What frameworks take another method or another path from than those of the request line.
_OTHER_METHOD = frozenset(("x-http-method-override", "x-http-method", "x-method-override"))
_OTHER_TARGET = frozenset(("x-original-url", "x-rewrite-url", "x-override-url"))
_METHOD_PARAMETER = "_method"
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BAD_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# RFC 9112 3.2 with RFC 3986 3.2.2: a name (which may be empty), an IPv4 or a bracketed address, and a port.
_HOST = re.compile(
    r"(?:\[(?:[0-9A-Fa-f:.]+(?:%25[\w.~%-]+)?|[vV][0-9A-Fa-f]+\.[\w.~!$&'()*+,;=:-]+)\]|(?:[\w.~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*)(?::\d*)?",
    re.ASCII,
)
_NOT_ALPHANUMERIC = re.compile(r"[^0-9a-z]")
_SHOWN = 80


def problem_of_host(values: Sequence[str], *, may_be_missing: bool) -> str:
    """The problem with a request's header Host, empty when there is none; ``values`` are all that the request has.

    A request of HTTP/1.0 may lack it. Whoever answers gives 400 (RFC 9112 3.2, a MUST).
    """
    if not values:
        return "" if may_be_missing else "the header Host is missing; HTTP/1.1 asks for exactly one"
    if len(values) > 1:
        return f"the header Host came {len(values)} times; exactly one was expected"
    if _HOST.fullmatch(values[0]) is None:
        return f"the header Host is {values[0][:_SHOWN]!r}; a name or an address was expected, with or without a port"
    return ""


def is_name(name: str) -> bool:
    """Whether a name is a token."""
    return _NAME.fullmatch(name) is not None


def is_value(value: str) -> bool:
    """Whether a value has no control character but tabs within, and no white space at its ends, which HTTP takes off."""
    return _BAD_IN_VALUE.search(value) is None and value == value.strip(" \t")


def twin_of(name: str) -> str | None:
    """The deciding or framing name that a server takes ``name`` for which keeps letters and digits only; else None."""
    lower, folded = name.lower(), _folded(name)
    if folded == lower:
        return None
    return folded if folded in HOP_HEADERS or folded.startswith(DECIDING) else None


@lru_cache(maxsize=1024)
def _folded(name: str) -> str:
    """A name as a server has it that keeps letters and digits only."""
    return _NOT_ALPHANUMERIC.sub("-", name.lower())


def check_headers(headers: Sequence[tuple[str, str]], kind: Kind) -> None:
    """Refuse illegal names and values and whatever could be read in two ways. Raises `BadMessage` of the kind given.

    Contradictions are ``duplicate_header_field`` whatever ``kind`` is. Headers that repeat word for word pass.
    """
    decided: dict[str, str] = {}
    contradicted: str | None = None
    for name, value in headers:
        details = _known_header(name)
        if details is None:
            raise BadMessage(
                kind, f"{name[:_SHOWN]!r} is no header name; letters, digits and hyphens make one"
            )
        if not is_value(value):
            raise BadMessage(
                kind, f"the header {name[:_SHOWN]} holds control characters, or white space at its ends"
            )
        lower, decides, twin = details
        if decides:
            if lower.startswith(KEPT) and not _is_text(value):
                raise BadMessage(
                    kind,
                    f"the header {name[:_SHOWN]} holds bytes that are no UTF-8; it is kept as text: send UTF-8",
                )
            if decided.setdefault(lower, value) != value and contradicted is None:
                contradicted = name
        if twin is not None:
            raise BadMessage(
                kind, f"the header {name[:_SHOWN]} can be mistaken for {twin}; give it another name"
            )
    if contradicted is not None:
        raise _contradiction(contradicted)


@lru_cache(maxsize=1024)
def _known_header(name: str) -> tuple[str, bool, str | None] | None:
    """A header's name in lower case, whether it decides, and what it can be mistaken for; None for what is no header name."""
    if not is_name(name):
        return None
    lower = name.lower()
    return lower, is_deciding(lower), twin_of(name)


def _is_text(value: str) -> bool:
    """Whether no byte of the value had to be kept as a lone surrogate."""
    return value.isascii() or not any("\ud800" <= c <= "\udfff" for c in value)


def _contradiction(name: str) -> BadMessage:
    return BadMessage(
        Kind.DUPLICATE_HEADER_FIELD,
        f"the header {name[:_SHOWN]} came more than once with different values; send it once",
    )


def is_deciding(lower_name: str) -> bool:
    """Whether a header of this name (in lower case) decides something on the road, or how the body is read."""
    return lower_name.startswith(DECIDING) or lower_name in ("content-type", "content-encoding")


def overriding_of(method: str, query: str | None, headers: Iterable[tuple[str, str]]) -> str | None:
    """The header, or the parameter of the query, by which a system may act on another method or path than was decided on.

    A header that says the request's own method leads nowhere else, and counts for none.
    """
    for name, value in headers:
        folded = _folded(name)
        if folded in _OTHER_TARGET or (folded in _OTHER_METHOD and value.upper() != method.upper()):
            return name
    for name, value in parse_qsl(query, keep_blank_values=True) if query else ():
        if name.strip().lower() == _METHOD_PARAMETER and value.upper() != method.upper():
            return _METHOD_PARAMETER
    return None


def without_gateways_own(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers of a provider's system, without what only a gateway may say and without framing, twins included."""
    return [(n, v) for n, v in headers if not _speaks_for_gateway(n)]


def _speaks_for_gateway(name: str) -> bool:
    lower = name.lower()
    return lower in GATEWAYS_OWN or lower in HOP_HEADERS or twin_of(name) is not None
