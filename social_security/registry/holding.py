"""Which institute holds whom, as institutes themselves tell by message, and which member may ask at all, as ONIESS tells.

An institute announces whom it has affiliated and of whom it certifies a history, and takes either back, in batches; each person
sees it in her access log. A member that is suspended asks nothing but for the persons' own rights; one that has left asks
nothing, and whom it held is held by its successor from that day on, with one transaction for all of them.

Spec: the domain reference 5.2 (VinculoInstituto), 5.5 (Onboarding); F02, F07.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Protocol

from social_security.domain.faults import DomainError
from social_security.domain.pseudonyms import Pid, Rid, parse_pid
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.storage.transactions import Transaction
    from social_security.registry.store import RegistryStore

ONIESS: Final = "MX/GOB/00-ONIESS"
# Until an institute's own announcement is this old, its word alone declares nobody dead.
SETTLED_AFTER: Final = timedelta(days=30)
ACTIVE, SUSPENDED, LEFT = "ACTIVA", "SUSPENDIDA", "BAJA"
# What a person asks through her suspended institute goes on: its fault is not hers.
_HER_RIGHTS: Final = frozenset(("PUR-ARCO", "PUR-BITACORA"))
_HERSELF: Final = frozenset(("TITULAR", "REPRESENTANTE"))


@dataclass(frozen=True, slots=True)
class Holding:
    """That an institute holds a person from a day on, whether it certifies a history of hers, and the last day if it ended."""

    pid: Pid
    since: date
    has_history: bool
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    """A member's state as ONIESS told it last. ``successor`` holds the persons of one that left."""

    member: str
    state: str
    since: date
    successor: str | None


class HoldingRegistry(Protocol):
    """The registry as these operations need it: its store, and the access log of the persons they touch."""

    @property
    def store(self) -> RegistryStore:
        """The database of the national registry."""
        ...

    def note_accesses(self, request: DomainRequest, rids: Sequence[Rid], categories: tuple[str, ...]) -> None:
        """Append a row to the access log of each person whose record a request used."""
        ...


def register_links(registry: HoldingRegistry, request: DomainRequest) -> DomainAnswer:
    """``registrarVinculos``: note whom the caller holds, all of the batch at once; the PIDs that it does not know.

    Raises SS-103 for days that are reversed, to come or before her birth, and then nothing is written.
    """
    holdings = [_parse(entry, request.today, n) for n, entry in enumerate(request.body["vinculos"])]
    known, unknown = take_holdings(registry.store, request.context.member, holdings, request.now)
    registry.note_accesses(request, known, ("afiliacion",))
    return DomainAnswer({"aplicados": len(known), "desconocidos": unknown}, categories=("afiliacion",))


def _parse(entry: dict[str, Any], today: date, number: int) -> Holding:
    since = date.fromisoformat(entry["desde"])
    until = None if entry.get("hasta") is None else date.fromisoformat(entry["hasta"])
    if since > today or (until is not None and not since <= until <= today):
        raise DomainError(
            "SS-103",
            f"se espera desde ≤ hasta ≤ {today}; llegó {since} a {until or 'sin fin'}",
            f"desde ≤ hasta ≤ {today} was expected; {since} to {until or 'no end'} came",
            field=f"vinculos.{number}",
        )
    return Holding(parse_pid(entry["pid"]), since, bool(entry["historia"]), until)


def take_holdings(
    store: RegistryStore, member: str, holdings: Sequence[Holding], now: datetime
) -> tuple[list[Rid], list[Pid]]:
    """Write a batch in one transaction: whom it was about, and the PIDs that lead to nobody. Raises SS-103."""
    known: list[Rid] = []
    unknown: list[Pid] = []
    with store.database.transaction() as connection:
        for holding in holdings:
            rows = connection.execute(
                "SELECT rid FROM pseudonym WHERE member = ? AND pid = ?", (member, holding.pid)
            ).fetchall()
            if not rows:
                unknown.append(holding.pid)
                continue
            rid = Rid(bytes(rows[0][0]))
            born = store.born(rid)
            if born is not None and holding.since < born:
                raise DomainError(
                    "SS-103",
                    f"desde {holding.since} es anterior al nacimiento de {holding.pid}",
                    f"desde {holding.since} is before the birth of {holding.pid}",
                    field="vinculos",
                )
            known.append(rid)
            store.hold(
                connection,
                rid,
                member,
                holding.pid,
                holding.since,
                has_history=holding.has_history,
                now=now,
                is_announced=True,
            )
            if holding.until is not None:
                connection.execute(
                    "UPDATE link SET until = ? WHERE member = ? AND pid = ?",
                    (holding.until.isoformat(), member, holding.pid),
                )
    return known, unknown


def check_membership(store: RegistryStore, request: DomainRequest) -> None:
    """Refuse a member that is suspended or has left (SS-603), but for what a person asks of her own data, and for the end of a case.

    A case that ended gives its benefit back whoever held it: otherwise she could claim it nowhere.
    """
    found = membership(store, request.context.member)
    if found is None or found.state == ACTIVE:
        return
    if request.operation.name == "registrarCaso" and request.body.get("estado") in ("CERRADO", "NEGADO"):
        return
    is_hers = request.context.purpose in _HER_RIGHTS and request.context.role in _HERSELF
    if found.state == SUSPENDED and is_hers:
        return
    raise DomainError("SS-603", *_why(found), field="X-Road-Client")


def check_recipient(store: RegistryStore, member: str) -> None:
    """Refuse a token for a member that has left, naming who holds its persons now (SS-603)."""
    found = membership(store, member)
    if found is not None and found.state == LEFT:
        raise DomainError("SS-603", *_why(found), field="destino")


def _why(found: Membership) -> tuple[str, str]:
    heir_es = f"; sus personas las tiene {found.successor}" if found.successor else ""
    heir_en = f"; {found.successor} holds its persons" if found.successor else ""
    return (
        f"{found.member} está {found.state} desde el {found.since}{heir_es}",
        f"{found.member} is {found.state} since {found.since}{heir_en}",
    )


def membership(store: RegistryStore, member: str) -> Membership | None:
    """A member's state as ONIESS notified it last; None before its first notification."""
    rows = store.database.query("SELECT state, since, successor FROM membership WHERE member = ?", (member,))
    return Membership(member, rows[0][0], date.fromisoformat(rows[0][1]), rows[0][2]) if rows else None


def take_membership(registry: HoldingRegistry, request: DomainRequest) -> DomainAnswer:
    """``notificarMembresia``: ONIESS tells a member's state; the persons of one that leaves go to its successor. Twice is once.

    Raises `DomainError` (SS-210).
    """
    if request.context.member != ONIESS:
        raise DomainError(
            "SS-210", f"sólo {ONIESS} avisa, no {request.context.member}",
            f"only {ONIESS} tells, not {request.context.member}", field="X-Road-Client",
        )  # fmt: skip
    body = request.body
    notified = Membership(
        body["miembro"], body["estado"], date.fromisoformat(body["fecha"]), body.get("sucesor")
    )
    with registry.store.database.transaction() as connection:
        rows = connection.execute(
            "SELECT notice_id FROM membership WHERE member = ?", (notified.member,)
        ).fetchall()
        if rows and rows[0][0] == body["idAviso"]:
            return DomainAnswer({"recibida": True})
        connection.execute(
            "INSERT INTO membership (member, state, since, successor, notice_id) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (member) DO UPDATE SET state = excluded.state, since = excluded.since, "
            "successor = excluded.successor, notice_id = excluded.notice_id",
            (
                notified.member,
                notified.state,
                notified.since.isoformat(),
                notified.successor,
                body["idAviso"],
            ),
        )
        heirs = (
            _hand_over(registry.store, connection, notified, request.now) if notified.state == LEFT else []
        )
    registry.note_accesses(request, heirs, ("afiliacion",))
    return DomainAnswer({"recibida": True})


def _hand_over(
    store: RegistryStore, connection: Transaction, notified: Membership, now: datetime
) -> list[Rid]:
    """Let the successor hold whom the leaving member holds, with its histories; whom. All or none of them."""
    if notified.successor is None:
        raise DomainError("SS-100", "la baja nombra sucesor", "leaving names a successor", field="sucesor")
    rows = connection.execute(
        "SELECT rid, has_history, pid FROM link WHERE member = ? AND until IS NULL", (notified.member,)
    ).fetchall()
    moved = [Rid(bytes(r[0])) for r in rows]
    for (_, has_history, own), rid in zip(rows, moved, strict=True):
        pid = store.heir_pid(connection, notified.member, Pid(own), notified.successor, notified.since)
        if has_history or not _holds(connection, notified.successor, pid):
            store.hold(
                connection,
                rid,
                notified.successor,
                pid,
                notified.since,
                has_history=bool(has_history),
                now=now,
                is_announced=False,
            )
    connection.execute(
        "UPDATE link SET until = ? WHERE member = ? AND until IS NULL",
        (notified.since.isoformat(), notified.member),
    )
    # Its cases end with it; what they held is free to be claimed through the successor at once.
    # The day on which she applied stays, for the case that is opened anew.
    connection.execute(
        "UPDATE case_entry SET first_day = coalesce(first_day, applied, substr(at, 1, 10)) WHERE member = ? "
        "AND state NOT IN ('CERRADO', 'NEGADO') AND (held_until IS NULL OR held_until >= ?)",
        (notified.member, notified.since.isoformat()),
    )
    connection.execute(
        "UPDATE case_entry SET state = 'CERRADO', held_until = NULL WHERE member = ? AND state NOT IN ('CERRADO', 'NEGADO')",
        (notified.member,),
    )
    return moved


def _holds(connection: Transaction, member: str, pid: Pid) -> bool:
    return bool(
        connection.execute(
            "SELECT 1 FROM link WHERE member = ? AND pid = ? AND until IS NULL", (member, pid)
        ).fetchall()
    )


def is_fresh(connection: Transaction, member: str, pid: str, now: datetime) -> bool:
    """Whether a member announced itself, only lately, that it holds this person: anybody could do so after a look-up."""
    rows = connection.execute(
        "SELECT noted_at FROM link WHERE member = ? AND pid = ? AND until IS NULL", (member, pid)
    ).fetchall()
    return bool(rows) and rows[0][0] is not None and now - datetime.fromisoformat(rows[0][0]) < SETTLED_AFTER
