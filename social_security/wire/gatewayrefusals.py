"""What the member's own gateway refused: read from it, kept here by its number, so that persons and ONIESS learn of it.

A refusal at the gateway never reaches the system. `GatewayRefusals.take` reads those that are new (``getPolicyRefusals`` of
the gateway) and gives each, once, to whoever finds out whom it was about. Counts by rule and member are public: they are of
members, not of persons.

Spec: the domain reference 5.2 (RegistroAcceso: refused attempts are shown too), F28; S09, S10.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from social_security.domain import pack
from social_security.domain.faults import DomainError
from social_security.wire import soapwords
from social_security.wire.policydocument import REFUSAL_CODES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from serving.storage.database import AnyDatabase
    from serving.storage.transactions import Transaction
    from social_security.wire.gatewayclient import GatewayClient

REFUSALS_STEP = """
    CREATE TABLE gateway_refusal (
        number BIGINT PRIMARY KEY,
        at TEXT NOT NULL,
        event TEXT NOT NULL,
        reason TEXT NOT NULL,
        rule TEXT NOT NULL,
        client TEXT NOT NULL,
        message_id TEXT NOT NULL
    );
"""
_PAGE = 1000
# What is not a violation of the policy: an order that holds, and a version that has just changed.
_NO_VIOLATION = frozenset(("suspended", "version"))


@dataclass(frozen=True, slots=True)
class GatewayRefusal:
    """One refusal as the gateway told it; ``claims`` are what the request said of itself."""

    number: int
    at: datetime
    event: str
    reason: str
    rule: str
    client: str
    message_id: str
    claims: Mapping[str, str]

    @property
    def member(self) -> str:
        """The asking member, as ``MX/GOB/30-IPE``."""
        return self.client.rpartition("/")[0]

    @property
    def code(self) -> str:
        """The row of the error table that the refusal was answered with."""
        return REFUSAL_CODES[self.reason]

    @property
    def action(self) -> str:
        """The refused operation in plain Spanish, by its title in the pack when the rule names one."""
        name = self.rule.removeprefix("oss:perm-").removeprefix("oss:soap-")
        operation = pack.operations().get(soapwords.OPERATIONS.get(name, name))
        return "Solicitud rechazada por la pasarela" if operation is None else operation.es


class GatewayRefusals:
    """The refusals known here, and how new ones are read."""

    def __init__(self, database: AnyDatabase, gateway: GatewayClient, member: str, subsystem: str) -> None:
        self._database = database
        self._gateway = gateway
        self._member = member
        self._subsystem = subsystem

    async def take(self, note: Callable[[Transaction, GatewayRefusal], None]) -> int:
        """Read what is new; ``note`` is called once for each, in the transaction that keeps it. How many there were.

        A system without a gateway has none to ask. Raises `DomainError` SS-901 when the gateway does not tell: a list that
        lacks its refusals must not pass for a whole one.
        """
        if not self._gateway.is_set:
            return 0
        taken = 0
        while True:
            found = await self._page()
            for refusal in found:
                with self._database.transaction() as connection:
                    done = connection.execute(
                        "INSERT INTO gateway_refusal (number, at, event, reason, rule, client, message_id) "
                        "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (number) DO NOTHING",
                        (
                            refusal.number,
                            refusal.at.isoformat(),
                            refusal.event,
                            refusal.reason,
                            refusal.rule,
                            refusal.client,
                            refusal.message_id,
                        ),
                    )
                    if done.rowcount == 1:
                        note(connection, refusal)
                        taken += 1
            if len(found) < _PAGE:
                return taken

    def violations(self) -> list[dict[str, Any]]:
        """For each member and rule, how often its requests, or answers here, broke it: with the first and last message."""
        rows = self._database.query(
            "SELECT client, rule, reason, message_id, at FROM gateway_refusal ORDER BY number"
        )
        found: dict[tuple[str, str, str], dict[str, Any]] = {}
        for client, rule, reason, message_id, at in rows:
            if reason in _NO_VIOLATION:
                continue
            # An answer with too much is the provider's own violation.
            member = self._member if reason == "answer_fields" else str(client).rpartition("/")[0]
            row = found.setdefault(
                (member, rule, reason),
                {
                    "miembro": member,
                    "regla": rule,
                    "codigo": REFUSAL_CODES[reason],
                    "casos": 0,
                    "primero": message_id,
                },
            )
            row["casos"] += 1
            row["ultimo"], row["ultimoEl"] = message_id, at
        return [found[key] for key in sorted(found)]

    def counted(self, period: str) -> int:
        """The number of violations among the refusals of a month (``YYYY-MM``)."""
        rows = self._database.query("SELECT reason FROM gateway_refusal WHERE at LIKE ?", (f"{period}%",))
        return sum(r[0] not in _NO_VIOLATION for r in rows)

    async def _page(self) -> Sequence[GatewayRefusal]:
        ((last,),) = self._database.query("SELECT coalesce(max(number), 0) FROM gateway_refusal")
        place = f"{self._subsystem}/getPolicyRefusals?after={last}"
        response = await self._gateway.read(self._subsystem, self._member, place)
        if not response.is_done:
            raise DomainError(
                "SS-901",
                "la pasarela no dijo qué rechazó",
                "the gateway did not tell what it refused",
            )
        return [_parse(entry) for entry in response.body["refusals"]]


def _parse(entry: Mapping[str, Any]) -> GatewayRefusal:
    return GatewayRefusal(
        int(entry["number"]),
        datetime.fromisoformat(entry["at"]),
        str(entry["event"]),
        str(entry["reason"]),
        str(entry["rule"]),
        str(entry["client"]),
        str(entry["messageId"]),
        {str(k): str(v) for k, v in entry["told"].items()},
    )
