"""What a description says, whatever its language: services, operations, and what is doubtful about it.

Pure. A description that cannot be used at all is a `Refused` with the admin API's code; what a person may decide to
accept is a warning.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import msgspec

from gateway.refusals import GatewayCode
from schemas import names
from schemas.faults import BadMessage
from schemas.names import check_text, spelled
from schemas.target import check_address
from serving.errors import Refused
from serving.language import N_

# X-Road's bound on a description; more is refused while it is being fetched.
MAX_BYTES = 10 * 1024 * 1024
# More operations than any provider's system has; what follows from each of them costs rows, rights and time.
MAX_OPERATIONS = 5_000
LONGEST_TITLE = 1024

# What stands for the address of a document that was handed in; its name follows.
UPLOADED = "urn:sacbe:uploaded:"

# Codes that the security server answers itself; no service may carry one.
RESERVED_CODES = frozenset(
    (
        "listClients",
        "listMethods",
        "allowedMethods",
        "getWsdl",
        "getOpenAPI",
        "getCatalogue",
        "getSecurityServerMetrics",
        "getSecurityServerOperationalData",
        "getSecurityServerHealthData",
    )
)

_URL_CHARACTERS = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:/?#[]@!$&'()*+,;=%"
)
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class DescribedService(msgspec.Struct, frozen=True):
    """A service as its description names it; ``url`` is empty when it names none."""

    code: str
    version: str | None = None
    title: str = ""
    url: str = ""


class ParsedDescription(msgspec.Struct, frozen=True):
    """A description as read: the services of a WSDL, or the one service (without a code) and operations of an OpenAPI."""

    services: tuple[DescribedService, ...]
    operations: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()


def check_size(content: bytes) -> None:
    """Refuse a document above the bound."""
    if len(content) > MAX_BYTES:
        raise Refused(
            GatewayCode.DESCRIPTION_TOO_LARGE,
            N_(
                "the description has {count} bytes; at most {max_bytes} are accepted",
                count=len(content),
                max_bytes=MAX_BYTES,
            ),
        )


def check_count(operations: int) -> None:
    """Refuse a description of more operations than the bound."""
    if operations > MAX_OPERATIONS:
        raise Refused(
            GatewayCode.DESCRIPTION_TOO_LARGE,
            N_(
                "the description has more than {max_operations} operations; divide it into several",
                max_operations=MAX_OPERATIONS,
            ),
        )


def read_title(title: object) -> str:
    """A title in one line. Refused (``invalid_service_title``) when it holds what no text may hold, or is too long."""
    text = " ".join(title.split()) if isinstance(title, str) else ""
    try:
        return check_text(text, f"the title {text[:60]!r}", longest=LONGEST_TITLE)
    except BadMessage as fault:
        raise Refused(GatewayCode.INVALID_SERVICE_TITLE, fault.detail) from fault


def check_code(code: str) -> None:
    """Refuse a service code that is reserved, blank, or holds characters that identifiers may not have."""
    if code in RESERVED_CODES:
        raise Refused(
            GatewayCode.SERVICE_CODE_RESERVED,
            N_(
                "the service code {code} is answered by the security server itself; choose another", code=code
            ),
            code,
        )
    try:
        names.check_code(code, f"{code!r} cannot be a service code: it")
    except BadMessage as fault:
        raise Refused(GatewayCode.INVALID_SERVICE_CODE, fault.detail) from fault


def check_url(url: str) -> None:
    """Refuse (``malformed_url``) what is no absolute HTTP or HTTPS address, as RFC 3986 writes them, without a fragment or a user.

    A query stays: a SOAP service or a description may be told by one.
    """
    reason = _url_problem(url)
    if reason is not None:
        raise Refused(GatewayCode.MALFORMED_URL, f"{url[:300]!r} {reason}", url[:300])


def check_base_url(url: str) -> None:
    """Refuse (``malformed_url``) what can be no REST service's address: paths are put behind it, so it has no query."""
    check_url(url)
    if "?" in url:
        raise Refused(
            GatewayCode.MALFORMED_URL,
            N_("{url!r} has a query, behind which no path can be put; leave it out", url=url[:300]),
            url[:300],
        )


def spelling_problem(address: str) -> str | None:
    """The reason why the characters of an address, whole or relative, are read differently by different programs; else None."""
    bad = [c for c in address if c not in _URL_CHARACTERS]
    if bad:
        return f"holds {spelled(''.join(bad))}, which an address has only percent-encoded"
    if "#" in address:
        return "has a fragment (#), which is never sent; leave it out"
    if _BROKEN_ESCAPE.search(address):
        return "has a % without two hexadecimal digits behind it"
    return None


def _url_problem(url: str) -> str | None:
    scheme, separator, rest = url.partition("://")
    if scheme not in ("http", "https") or not separator or not rest or rest.startswith(("/", "?", "#", ":")):
        return "is not an address that begins with http:// or https:// and names a host"
    problem = spelling_problem(url)
    if problem is not None:
        return problem
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as err:
        return f"is no address: {err}"
    if port == 0:
        return "names the port 0, at which nothing can listen"
    if "@" in parts.netloc:
        return "holds a user name or password, which every administrator would read; leave it out"
    if not host or "%" in host:
        return "names no host"
    try:
        check_address(url)  # what a target is put behind is held to the rules of a target
    except ValueError as err:
        return f"cannot be called: {err}"
    return None
