"""Who calls, for whom and why: the headers that the gateway has proved, as values. Pure.

The gateway delivers the headers of a message as they were signed. Which headers carry purpose and legal basis is said by the data
policy of the instance (its ``vocabulary``); those of the social-security policy are the default.

Spec: PR-REST 4.3 (headers); the instance's data policy.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sacbe_client.identifiers import ClientId, ServiceId, parse_client, parse_service

if TYPE_CHECKING:
    from collections.abc import Iterable

_PREFIXES: Final = ("x-road-", "x-oss-", "x_road_", "x_oss_")


class BadCallError(ValueError):
    """The headers are not those of a call that a gateway delivers; the message says which and what was expected."""


@dataclass(frozen=True, slots=True)
class ContextHeaders:
    """The names of the headers that carry purpose, legal bases (comma separated), role and policy version."""

    purpose: str = "X-OSS-Proposito"
    legal_basis: str = "X-OSS-Fundamento"
    role: str = "X-OSS-Rol"
    policy: str = "X-OSS-Politica"


@dataclass(frozen=True, slots=True)
class IncomingCall:
    """One call. ``service`` is None for a server that does not name it (X-Road before 7); ``issue`` is the case it belongs to."""

    client: ClientId
    service: ServiceId | None
    message_id: str
    user_id: str | None = None
    issue: str | None = None
    purpose: str | None = None
    legal_bases: tuple[str, ...] = ()
    role: str | None = None
    policy: str | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)


def read_call(headers: Iterable[tuple[str, str]], names: ContextHeaders | None = None) -> IncomingCall:
    """The call that a request's headers tell of (any order, any case). Raises `BadCallError`.

    A deciding header that comes twice is refused, and so is its twin with underscores, which CGI and WSGI cannot tell apart.
    """
    names = names or ContextHeaders()
    pairs = tuple(headers)
    deciding = {n.lower() for n in (names.purpose, names.legal_basis, names.role, names.policy)}
    counted = Counter(n.lower().replace("_", "-") for n, _ in pairs)
    for name, _ in pairs:
        folded = name.lower().replace("_", "-")
        if not (folded.startswith(_PREFIXES) or folded in deciding):
            continue
        if "_" in name or counted[folded] > 1:
            raise BadCallError(
                f"the header {name[:80]!r} comes more than once, or with underscores; a gateway delivers it once"
            )
    values = {n.lower(): v.strip() for n, v in pairs}

    def value(name: str) -> str | None:
        return values.get(name.lower()) or None

    client, message_id = value("X-Road-Client"), value("X-Road-Id")
    if client is None or message_id is None:
        raise BadCallError(
            "X-Road-Client and X-Road-Id are needed; a request without them did not pass a gateway"
        )
    service = value("X-Road-Service")
    try:
        return IncomingCall(
            client=parse_client(client),
            service=parse_service(service) if service else None,
            message_id=message_id,
            user_id=value("X-Road-UserId"),
            issue=value("X-Road-Issue"),
            purpose=value(names.purpose),
            legal_bases=tuple(b.strip() for b in (value(names.legal_basis) or "").split(",") if b.strip()),
            role=value(names.role),
            policy=value(names.policy),
            headers=pairs,
        )
    except ValueError as error:
        raise BadCallError(str(error)) from error
