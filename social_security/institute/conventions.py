"""Portability conventions as an institute knows them: read from ONIESS through the gateway, and the last reading kept.

A pair of members without a convention in force is the normal case; the answer to it is a formal refusal (SS-403).

Spec: the domain reference 3.3, 5.2 (ConvenioPortabilidad); S04.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

from social_security.domain.history import Rules, parse_rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from social_security.wire.gatewayclient import GatewayClient
    from social_security.wire.publication import PublicationCopy

ONIESS = "MX/GOB/00-ONIESS"


@dataclass(frozen=True, slots=True)
class Convention:
    """A convention in the terms an institute needs."""

    id: str
    members: frozenset[str]
    benefits: frozenset[str]
    rules: Rules
    since: date
    until: date | None

    def covers(self, members: Sequence[str], day: date) -> bool:
        """Whether all members are in it and it is in force on a day."""
        return (
            set(members) <= self.members and self.since <= day and (self.until is None or day <= self.until)
        )


def parse_convention(value: dict[str, Any]) -> Convention:
    """A convention out of its public document."""
    return Convention(
        value["id"],
        frozenset(value["members"]),
        frozenset(value["benefits"]),
        parse_rules(value["rules"]),
        date.fromisoformat(value["since"]),
        None if value.get("until") is None else date.fromisoformat(value["until"]),
    )


class Conventions:
    """The conventions, read anew for each decision; when ONIESS is silent, those read last."""

    def __init__(self, gateway: GatewayClient, publication: PublicationCopy) -> None:
        self._gateway = gateway
        self.publication = publication
        self._known: list[Convention] = []

    async def read(self) -> list[Convention]:
        """The conventions of ONIESS's signed publication; without one, those that it gives out when it is asked."""
        published = self.publication.edition().published.get("conventions")
        if published is not None:
            self._known = [parse_convention(c) for c in published["conventions"]]
            return self._known
        response = await self._gateway.read("PORT", ONIESS, "GOBIERNO/oss-v1/convenios")
        if response.is_done:
            self._known = [parse_convention(c) for c in response.body.get("convenios", ())]
        return self._known

    def known(self) -> list[Convention]:
        """The conventions of the last reading that succeeded."""
        return self._known

    async def find(self, members: Sequence[str], day: date, id_: str | None = None) -> Convention | None:
        """A convention in force between the members, the named one if one is named."""
        for convention in await self.read():
            if convention.covers(members, day) and id_ in (None, convention.id):
                return convention
        return None
