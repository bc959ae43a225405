"""Regular expressions that others write and this side runs over texts of strangers: only those whose cost is bounded.

A backtracking engine tries, from each place of a text, every way in which the repeats of an expression can share it. `check_cost`
counts these ways beforehand: the product of what each repeat and each alternative leaves open. ``(a+)+`` leaves open without end,
``[A-Z]{4}[0-9]{6}`` nothing.
"""

from __future__ import annotations

import re
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import TYPE_CHECKING, Any

from schemas.faults import BadMessage, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable

# From one place of a text; a pattern of dates, codes and sexes has some hundreds.
MOST_WAYS = 10_000
_REPEATS = frozenset({_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT})


def check_cost(pattern: str, *, longest: int | None = None) -> None:
    """Refuse a pattern that is no regular expression, or that a text could make try more ways than `MOST_WAYS` from one place.

    ``longest`` is how many characters the text has at most when it is matched whole, from its beginning alone; without it
    the text has no bound, and no repeat may be without one. Raises `BadMessage`.
    """
    try:
        ways = _ways(_parser.parse(pattern), MOST_WAYS if longest is None else longest)
    except (re.error, RecursionError, OverflowError) as err:
        raise BadMessage(
            Kind.INVALID_MESSAGE, f"the pattern {pattern[:200]!r} is no regular expression: {err}"
        ) from err
    if ways > MOST_WAYS:
        raise BadMessage(
            Kind.INVALID_MESSAGE,
            f"the pattern {pattern[:200]!r} leaves open more than {MOST_WAYS} ways to fit from one place, so a text can make "
            "it run without end: give its repeats (* + {n,}) an upper bound, as {0,40}, and do not nest them",
        )


def _ways(items: Iterable[tuple[Any, Any]], unbounded: int) -> int:
    """The ways in which a sequence fits from one place, counted up to just above `MOST_WAYS`."""
    found = 1
    for kind, details in items:
        found = min(found * _ways_of(kind, details, unbounded), MOST_WAYS + 1)
    return found


def _ways_of(kind: object, details: Any, unbounded: int) -> int:
    if kind in _REPEATS:
        least, most, repeated = details
        times = int(least) + unbounded if most is _constants.MAXREPEAT else int(most)
        each = _ways(repeated, unbounded)
        lengths = times - int(least) + 1
        return lengths if each == 1 else min(each ** min(times, 64) * lengths, MOST_WAYS + 1)
    if kind is _constants.SUBPATTERN:
        return _ways(details[-1], unbounded)
    if kind is _constants.BRANCH:
        return sum(_ways(one, unbounded) for one in details[1])
    if kind is _constants.ATOMIC_GROUP:
        return _ways(details, unbounded)
    if kind in (_constants.ASSERT, _constants.ASSERT_NOT):
        return _ways(details[1], unbounded)
    if kind is _constants.GROUPREF_EXISTS:
        return sum(_ways(one, unbounded) for one in details[1:] if one is not None)
    return 1
