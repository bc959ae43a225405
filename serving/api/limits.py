"""Who may call an admin API how often: rates for each address, address lists, and locks after wrong logins.

Pure bookkeeping over a monotonic time that the caller passes in. Memory is bounded: addresses not seen for a minute are
forgotten, and when too many are about, the oldest go first.
"""

from __future__ import annotations

import ipaddress
from collections import OrderedDict, deque
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable

REMEMBERED = 10_000


class RateLimit:
    """At most so many requests a second and a minute from one address."""

    def __init__(self, per_second: int, per_minute: int) -> None:
        self._per_second = per_second
        self._per_minute = per_minute
        self._seen: OrderedDict[str, deque[float]] = OrderedDict()

    def admits(self, address: str, now_s: float) -> bool:
        """Whether one more request is within the limits; it is counted when it is. A limit of 0 is none."""
        times = self._seen.pop(address, None) or deque()
        self._seen[address] = times
        while len(self._seen) > REMEMBERED:
            self._seen.popitem(last=False)
        while times and times[0] <= now_s - 60:
            times.popleft()
        if self._per_minute and len(times) >= self._per_minute:
            return False
        if self._per_second and sum(1 for t in times if t > now_s - 1) >= self._per_second:
            return False
        times.append(now_s)
        return True


class AddressList(msgspec.Struct, frozen=True):
    """Networks that may call; IPv4 addresses in IPv6 form are understood."""

    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]

    @classmethod
    def parse(cls, text: str) -> AddressList:
        """A comma-separated list of networks or addresses. Raises ValueError."""
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return cls(tuple(ipaddress.ip_network(part, strict=False) for part in parts))

    def admits(self, address: str) -> bool:
        """Whether an address is in the list; one that cannot be read is not."""
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed.version == n.version and parsed in n for n in self.networks)


class _Failures(msgspec.Struct):
    times: deque[float] = msgspec.field(default_factory=deque)
    locked_until: float = 0.0


class LoginLock:
    """Locks a name for an address after some wrong passwords, and the name for all after many more."""

    def __init__(self, attempts: int, lock_s: float, *, everywhere_factor: int = 10) -> None:
        self._attempts = attempts
        self._lock_s = lock_s
        self._factor = everywhere_factor
        self._failures: OrderedDict[tuple[str, str], _Failures] = OrderedDict()

    def is_locked(self, name: str, address: str, now_s: float) -> bool:
        """Whether a login of ``name`` from ``address`` must be refused unread."""
        return any(self._failures[k].locked_until > now_s for k in self._keys(name, address))

    def failed(self, name: str, address: str, now_s: float) -> None:
        """Count a wrong password for a name and an address; ``now_s`` is a monotonic time in seconds."""
        for key, attempts in zip(self._all_keys(name, address), self._limits(), strict=True):
            found = self._failures.pop(key, None) or _Failures()
            self._failures[key] = found
            while found.times and found.times[0] <= now_s - self._lock_s:
                found.times.popleft()
            found.times.append(now_s)
            if len(found.times) >= attempts:
                found.locked_until = now_s + self._lock_s
                found.times.clear()
        while len(self._failures) > REMEMBERED:
            self._failures.popitem(last=False)

    def succeeded(self, name: str, address: str) -> None:
        """A right password ends the count for that address."""
        self._failures.pop((name, address), None)

    def _limits(self) -> tuple[int, int]:
        return self._attempts, self._attempts * self._factor

    def _all_keys(self, name: str, address: str) -> tuple[tuple[str, str], tuple[str, str]]:
        return (name, address), (name, "")

    def _keys(self, name: str, address: str) -> Iterable[tuple[str, str]]:
        return (key for key in self._all_keys(name, address) if key in self._failures)
