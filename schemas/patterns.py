"""Regular expressions that others write and this side runs over texts of strangers: only those whose cost is bounded.

A backtracking engine tries, from each place of a text, every way in which the repeats of an expression can share it. `check_cost`
counts these ways beforehand: the product of what each repeat and each alternative leaves open. ``(a+)+`` leaves open without end,
``[A-Z]{4}[0-9]{6}`` nothing.

The count reads the expression itself, after `re` has said that it is one. What it does not read (comments, conditions, the flag
``x``, under which blanks mean nothing) is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from schemas.faults import BadMessage, Kind

# From one place of a text; a pattern of dates, codes and sexes has some hundreds.
MOST_WAYS = 10_000
# A class of characters up to its end: a bracket that stands first, or behind a backslash, does not end it.
_CLASS = re.compile(r"\[\^?\]?(?:\\.|[^\\\]])*+\]", re.DOTALL)
# Alternatives of one character each; they are a class where none is there twice.
_CHARACTERS = re.compile(r"[^\\^$.()|\[](?:\|[^\\^$.()|\[])+")
# ``{2}``, ``{2,}``, ``{,5}`` or ``{2,5}``; other braces are characters like any.
_BRACES = re.compile(r"\{(?:(?P<exactly>\d+)|(?P<least>\d*),(?P<most>\d*))\}")
# What may stand behind the bracket of a group: its kind, its name, or flags that hold inside of it.
_GROUP = re.compile(r"\((?:\?(?:[:=!>]|<[=!]|P<\w+>|[aiLmsu-]+:))?+(?!\?)")
# Groups that are none: flags that hold from here on, and what another group took.
_MARK = re.compile(r"\(\?(?:P=\w+|[aiLmsu]+)\)")


def check_cost(pattern: str, *, longest: int | None = None) -> None:
    """Refuse a pattern that is no regular expression, or that a text could make try more ways than `MOST_WAYS` from one place.

    ``longest`` is how many characters the text has at most when it is matched whole, from its beginning alone; without it
    the text has no bound, and no repeat may be without one. Raises `BadMessage`.
    """
    try:
        if re.compile(pattern).flags & re.VERBOSE:
            raise ValueError("the flag x is not taken here")
        ways = _Count(pattern, MOST_WAYS if longest is None else longest).alternatives()
    except (re.error, RecursionError, OverflowError, ValueError) as err:
        raise BadMessage(
            Kind.INVALID_MESSAGE, f"the pattern {pattern[:200]!r} is no regular expression: {err}"
        ) from err
    if ways > MOST_WAYS:
        raise BadMessage(
            Kind.INVALID_MESSAGE,
            f"the pattern {pattern[:200]!r} leaves open more than {MOST_WAYS} ways to fit from one place, so a text can make "
            "it run without end: give its repeats (* + {n,}) an upper bound, as {0,40}, and do not nest them",
        )


@dataclass(slots=True)
class _Count:
    """Reads a valid expression once, from ``at`` on; every count stops just above `MOST_WAYS`.

    ``unbounded`` is how often a repeat without an upper bound may repeat.
    """

    pattern: str
    unbounded: int
    at: int = 0

    def alternatives(self) -> int:
        """The ways of everything up to the end, or up to the bracket that ends the group; the bracket is not read."""
        began, found = self.at, [self._sequence()]
        while self._next() == "|":
            self.at += 1
            found.append(self._sequence())
        # One character of several is a class, and fits in one way: ``a|b`` is ``[ab]``.
        is_class = _CHARACTERS.fullmatch(self.pattern, began, self.at) is not None
        is_class = is_class and len(set(self.pattern[began : self.at : 2])) == len(found)
        return 1 if is_class else min(sum(found), MOST_WAYS + 1)

    def _sequence(self) -> int:
        ways = 1
        while self._next() not in ("", "|", ")"):
            ways = min(ways * self._repeated(), MOST_WAYS + 1)
        return ways

    def _repeated(self) -> int:
        each = self._one()
        least, most = self._bounds()
        if self._next() in ("?", "+") and (least, most) != (1, 1):
            self.at += 1  # as few as possible, or never fewer again: no more ways than as many as possible
        if (least, most) == (1, 1):
            return each
        lengths = most - least + 1
        return lengths if each == 1 else min(each ** min(most, 64) * lengths, MOST_WAYS + 1)

    def _one(self) -> int:
        """One character, class, escape or group."""
        kind = self._next()
        if kind == "[":
            self._skip(_CLASS)
        elif kind == "\\":
            self.at += (
                2  # digits and braces behind it are read as characters, which fit in one way as it does
            )
        elif kind != "(":
            self.at += 1
        elif not self._skip(_MARK):
            if not self._skip(_GROUP):
                raise ValueError(f"{self.pattern[self.at : self.at + 3]!r} is not taken here")
            ways = self.alternatives()
            self.at += 1
            return ways
        return 1

    def _bounds(self) -> tuple[int, int]:
        """The least and the most times that what stood before may repeat; once, where no repeat is written."""
        sign = self._next()
        if sign in ("*", "+", "?"):
            self.at += 1
            least = 1 if sign == "+" else 0
            return least, 1 if sign == "?" else least + self.unbounded
        braces = _BRACES.match(self.pattern, self.at)
        if braces is None:
            return 1, 1
        self.at = braces.end()
        if braces["exactly"] is not None:
            return int(braces["exactly"]), int(braces["exactly"])
        least = int(braces["least"] or 0)
        return least, int(braces["most"]) if braces["most"] else least + self.unbounded

    def _next(self) -> str:
        return self.pattern[self.at : self.at + 1]

    def _skip(self, what: re.Pattern[str]) -> bool:
        found = what.match(self.pattern, self.at)
        if found is not None:
            self.at = found.end()
        return found is not None
