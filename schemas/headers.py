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
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BAD_IN_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NOT_ALPHANUMERIC = re.compile(r"[^0-9a-z]")
_SHOWN = 80


def is_name(name: str) -> bool:
    """Whether a name is a token."""
    return _NAME.fullmatch(name) is not None


def is_value(value: str) -> bool:
    """Whether a value has no control character but tabs within, and no white space at its ends, which HTTP takes off."""
    return _BAD_IN_VALUE.search(value) is None and value == value.strip(" \t")


def twin_of(name: str) -> str | None:
    """The deciding or framing name that a server takes ``name`` for which keeps letters and digits only; else None."""
    lower = name.lower()
    folded = _NOT_ALPHANUMERIC.sub("-", lower)
    if folded == lower:
        return None
    return folded if folded in HOP_HEADERS or folded.startswith(DECIDING) else None


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
    """Of a name: in lower case, whether it decides, and what it can be mistaken for; None when it is no name."""
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


def without_gateways_own(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The headers of a provider's system, without what only a gateway may say and without framing, twins included."""
    return [(n, v) for n, v in headers if not _speaks_for_gateway(n)]


def _speaks_for_gateway(name: str) -> bool:
    lower = name.lower()
    return lower in GATEWAYS_OWN or lower in HOP_HEADERS or twin_of(name) is not None
