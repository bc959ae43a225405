"""Identifiers of clients and services, in the form that headers and paths carry.

Each component stands percent-encoded between slashes, so that a slash within a code cannot be read as a boundary.

Spec: PR-REST 4.2 and 4.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote, unquote


def _encoded(*components: str) -> str:
    return "/".join(quote(component, safe="") for component in components)


def _check(kind: str, components: tuple[str, ...]) -> None:
    for component in components:
        if not component.strip() or any(ord(c) < 32 or ord(c) == 127 for c in component):
            raise ValueError(
                f"a component of a {kind} identifier is blank or has control characters: {component!r}"
            )


@dataclass(frozen=True, slots=True)
class ClientId:
    """A member's subsystem (or the member itself, without ``subsystem``). Raises `ValueError` for a blank component."""

    instance: str
    member_class: str
    member: str
    subsystem: str | None = None

    def __post_init__(self) -> None:
        _check("client", self.components)

    @property
    def components(self) -> tuple[str, ...]:
        """The three or four components, decoded."""
        base = (self.instance, self.member_class, self.member)
        return base if self.subsystem is None else (*base, self.subsystem)

    @property
    def path(self) -> str:
        """The form of ``X-Road-Client``: ``MX/GOB/15-ISSEMYM/AFIL``, each component percent-encoded."""
        return _encoded(*self.components)


@dataclass(frozen=True, slots=True)
class ServiceId:
    """A service of a client; ``version`` exists for SOAP services only. Raises `ValueError` for a blank component."""

    client: ClientId
    code: str
    version: str | None = None

    def __post_init__(self) -> None:
        _check("service", self.components)

    @property
    def components(self) -> tuple[str, ...]:
        """The client's components, the service's code, and its version if it has one; decoded."""
        base = (*self.client.components, self.code)
        return base if self.version is None else (*base, self.version)

    @property
    def path(self) -> str:
        """The form that follows ``/r1/``: ``MX/GOB/00-RNSS/INDICE/persons``, each component percent-encoded."""
        return _encoded(*self.components)


def parse_client(text: str) -> ClientId:
    """A client from ``INSTANCE/CLASS/MEMBER/SUBSYSTEM`` or without subsystem, percent-encoded where needed."""
    components = [unquote(component, errors="strict") for component in text.split("/")]
    if len(components) not in (3, 4):
        raise ValueError(
            f"a client identifier has three or four components between slashes; {text[:200]!r} has {len(components)}"
        )
    return ClientId(*components)


def parse_service(text: str) -> ServiceId:
    """A REST service from ``INSTANCE/CLASS/MEMBER/SUBSYSTEM/CODE``, percent-encoded where needed."""
    components = [unquote(component, errors="strict") for component in text.split("/")]
    if len(components) != 5:
        raise ValueError(
            f"a service identifier has five components between slashes; {text[:200]!r} has {len(components)}"
        )
    return ServiceId(ClientId(*components[:4]), components[4])
