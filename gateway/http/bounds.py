"""How much of one listener strangers may hold, and who makes room for whom.

Connections stand in one of four rows, oldest first. Room is made in this order: connections without a request under way that
never carried a good one; bodies that drip; connections without a request that did carry one. Whoever waits for an answer is
never closed: then the newcomer is.
"""

from __future__ import annotations

import enum
import resource
from typing import TYPE_CHECKING, Protocol

import msgspec

from serving.process.load import NO_LIMITS, LoadLimits, ProcessLoad

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_DRIPPING_S = 2.0
_DRIPPING_BYTES_S = 1024.0
_LOOKED_AT = 64
# Of the files a process may open: two data-plane listeners take this part each at the most.
_PART_OF_FILES = 0.3


class Bounds(msgspec.Struct, frozen=True):
    """The limits of one listener: seconds, bytes a second, and numbers at a time; ``per_address`` 0 is half of ``connections``.

    While the process is above ``load`` an address has one connection and one request under way, so that whoever asks much waits
    for whoever asks little.
    """

    connections: int = 4096
    keepalive_s: float = 90.0
    per_address: int = 0
    requests: int = 2048
    head_s: float = 30.0
    handshake_s: float = 15.0
    least_bytes_s: float = 256.0
    load: LoadLimits = NO_LIMITS

    def within_files(self) -> Bounds:
        """No more connections than this process may open files for."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY:
            return self
        return msgspec.structs.replace(
            self, connections=max(1, min(self.connections, int(soft * _PART_OF_FILES)))
        )

    def of_one_address(self) -> int:
        """The most connections of one address."""
        return self.per_address or max(1, self.connections // 2)


class RoomRow(enum.IntEnum):
    """The order in which connections make room for new ones: the first rows are closed first."""

    STRANGER = enum.auto()  # no request under way, and none was good
    KNOWN = enum.auto()  # no request under way
    TAKING = enum.auto()  # a body comes in
    ANSWERING = enum.auto()


class Guest(Protocol):
    """A connection, as far as room is concerned."""

    address: str

    def abort(self) -> None:
        """Close the connection at once, without an answer."""
        ...

    def stop(self) -> None:
        """Take no more requests on this connection."""
        ...

    def tick(self, now: float) -> None:
        """Close the connection if a time has run out; ``now`` is the loop's time in seconds."""
        ...

    def drips(self, now: float, after_s: float, below_bytes_s: float) -> bool:
        """Whether a body has come below ``below_bytes_s`` bytes a second after ``after_s`` seconds; ``now`` is the loop's time."""
        ...


class Room:
    """The connections of one listener."""

    def __init__(self, bounds: Bounds, load: ProcessLoad | None = None) -> None:
        self.bounds = bounds.within_files()
        self._load = load or ProcessLoad()
        self._rows: dict[RoomRow, dict[Guest, None]] = {row: {} for row in RoomRow}
        self._row_of: dict[Guest, RoomRow] = {}
        self._of_address: dict[str, dict[Guest, None]] = {}

    def __len__(self) -> int:
        return len(self._row_of)

    def __iter__(self) -> Iterator[Guest]:
        return iter(tuple(self._row_of))

    @property
    def under_way(self) -> int:
        """Requests that are read or answered."""
        return len(self._rows[RoomRow.TAKING]) + len(self._rows[RoomRow.ANSWERING])

    def enter(self, guest: Guest, now: float) -> bool:
        """Let a connection in; False when there is no room for it."""
        of_address = self._of_address.setdefault(guest.address, {})
        share = 1 if self._load.is_above(self.bounds.load) else self.bounds.of_one_address()
        if len(of_address) >= share and not self._evict(of_address, now):
            return False
        if len(self) >= self.bounds.connections and not self._evict(None, now):
            return False
        self._of_address.setdefault(guest.address, {})[guest] = None
        self._row_of[guest] = RoomRow.STRANGER
        self._rows[RoomRow.STRANGER][guest] = None
        return True

    def move(self, guest: Guest, row: RoomRow) -> None:
        """A connection stands elsewhere now."""
        before = self._row_of.get(guest)
        if before is None or before is row:
            return
        del self._rows[before][guest]
        self._rows[row][guest] = None
        self._row_of[guest] = row

    def leave(self, guest: Guest) -> None:
        """Take a closed connection out of the count of its row and address."""
        row = self._row_of.pop(guest, None)
        if row is None:
            return
        del self._rows[row][guest]
        of_address = self._of_address.get(guest.address, {})
        of_address.pop(guest, None)
        if not of_address:
            self._of_address.pop(guest.address, None)

    def refusal_of_request(self, guest: Guest, now: float) -> str:
        """Why one more request may not be under way, empty when it may; a body that drips makes room for it."""
        if self._load.is_above(self.bounds.load):
            busy = (RoomRow.TAKING, RoomRow.ANSWERING)
            others = (g for g in self._of_address.get(guest.address, {}) if g is not guest)
            if any(self._row_of[g] in busy for g in others):
                return "the server is busy, and a request of this address is under way; try again"
        if self.under_way < self.bounds.requests or self._close(
            self._dripping(self._rows[RoomRow.TAKING], now)
        ):
            return ""
        return f"{self.bounds.requests} requests are under way; try again"

    def take_bounds(self, bounds: Bounds) -> None:
        """Bound what comes from now on otherwise."""
        self.bounds = bounds.within_files()

    def _evict(self, among: dict[Guest, None] | None, now: float) -> bool:
        """Close the one who may be spared first, of one address or of all."""
        if among is None:
            victim = (
                next(iter(self._rows[RoomRow.STRANGER]), None)
                or self._dripping(self._rows[RoomRow.TAKING], now)
                or next(iter(self._rows[RoomRow.KNOWN]), None)
            )
        else:
            victim = (
                self._first(among, RoomRow.STRANGER)
                or self._dripping((g for g in among if self._row_of[g] is RoomRow.TAKING), now)
                or self._first(among, RoomRow.KNOWN)
            )
        return self._close(victim)

    def _first(self, among: Iterable[Guest], row: RoomRow) -> Guest | None:
        return next((g for g in among if self._row_of[g] is row), None)

    def _dripping(self, taking: Iterable[Guest], now: float) -> Guest | None:
        """The first of the oldest bodies that comes too slowly."""
        looked = zip(range(_LOOKED_AT), taking, strict=False)
        return next((g for _, g in looked if g.drips(now, _DRIPPING_S, _DRIPPING_BYTES_S)), None)

    def _close(self, victim: Guest | None) -> bool:
        if victim is None:
            return False
        self.leave(victim)
        victim.abort()
        return True
