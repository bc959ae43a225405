"""Whether a failed call may be sent again without doing anything twice. Pure.

Sent again is only what cannot have changed anything: a method that reads (RFC 9110 9.2.1), or a call whose connection to the own
gateway was never made. After a timeout nobody knows whether the service acted; such a call is repeated for reading methods only.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from sacbe_client.errors import CallError

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# What passes by itself: the network, a peer that restarts, a service that is slow.
PASSING: Final = frozenset(
    {"network_error", "io_error", "no_connection", "timeout", "maintenance_mode", "http_error"}
)


@dataclass(frozen=True, slots=True)
class RetryRule:
    """``attempts`` in all; before attempt n+1 a pause of ``first_pause_s`` * 2**(n-1), shortened at random by up to a half."""

    attempts: int = 3
    first_pause_s: float = 0.25

    def pause_after(self, attempt: int, method: str, error: CallError) -> float | None:
        """Seconds until the next attempt, or None when there must be none. ``attempt`` counts from 1."""
        never_sent = error.kind == "no_connection"
        if (
            attempt >= self.attempts
            or error.kind not in PASSING
            or not (never_sent or method.upper() in READING)
        ):
            return None
        return (
            self.first_pause_s * 2.0 ** (attempt - 1) * random.uniform(0.5, 1)
        )  # spreads load, hides nothing


NEVER: Final = RetryRule(attempts=1)
