"""What a description says, whatever its language: services, operations, and what is doubtful about it.

Pure. A description that cannot be used at all is a `ChangeRefused` with the admin API's code; what a person may decide to
accept is a warning.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.clients.records import ChangeRefused
from schemas.identifiers import suspicious_characters
from schemas.target import check_address

# X-Road's bound on a description; more is refused while it is being fetched.
MAX_BYTES = 10 * 1024 * 1024

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


@dataclass(frozen=True, slots=True)
class DescribedService:
    """A service as its description names it; ``url`` is empty when it names none."""

    code: str
    version: str | None = None
    title: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class ParsedDescription:
    """What was read: the services of a WSDL, or the one service (without a code) and operations of an OpenAPI."""

    services: tuple[DescribedService, ...]
    operations: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()


def check_size(content: bytes) -> None:
    """Refuse a document above the bound."""
    if len(content) > MAX_BYTES:
        raise ChangeRefused(
            "description_too_large",
            f"the description has {len(content)} bytes; at most {MAX_BYTES} are accepted",
        )


def check_code(code: str) -> None:
    """Refuse a service code that is reserved, blank, or holds characters that identifiers may not have."""
    if code in RESERVED_CODES:
        raise ChangeRefused(
            "service_code_reserved",
            f"the service code {code} is answered by the security server itself; choose another",
            code,
        )
    if not code.strip() or not code.strip(".") or suspicious_characters(code):
        raise ChangeRefused(
            "invalid_service_code",
            f"{code!r} cannot be a service code: it is blank, nothing but dots, or holds one of : ; / \\ %",
        )


def check_url(url: str) -> None:
    """Refuse what is no absolute HTTP or HTTPS address that every reader reads alike.

    A service's target is put behind this address as it came, so a fragment would swallow it, and a dot segment move it.
    """
    try:
        check_address(url)
    except ValueError as err:
        raise ChangeRefused(
            "malformed_url", f"{url!r} is no address of a service or description: {err}", url
        ) from err
