"""Which databases this version may open: those of the kind that is expected, that have seen no step it does not know."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

from serving.errors import OperatorError
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


def check_version(done: int, steps: Sequence[str], where: str) -> None:
    """Refuse a database that has seen more steps than this version knows. Raises `OperatorError`."""
    if done > len(steps):
        raise OperatorError(
            N_(
                "{where} was written by a newer version (step {done}; this one knows {known}): install that version again, or restore a backup that this version made; nothing was changed",
                where=where,
                done=done,
                known=len(steps),
            )
        )


def check_kind(done: int, steps: Sequence[str], tables: Collection[str], where: str) -> None:
    """Refuse a database whose ``tables`` are not those that ``done`` of these steps made: another program's. Raises `OperatorError`."""
    first = _lasting_tables(tuple(steps))
    wrong = first - set(tables) if done else first & set(tables)
    if not wrong:
        return
    names = ", ".join(sorted(wrong))
    if done:
        raise OperatorError(
            N_(
                "{where} holds something else: the tables {names} are not there, which it would have; restore a backup, or name the database of this server or an empty one. Nothing was changed",
                where=where,
                names=names,
            )
        )
    raise OperatorError(
        N_(
            "{where} holds something else: the tables {names} are there, and nothing says that they are this server's; restore a backup, or name an empty database. Nothing was changed",
            where=where,
            names=names,
        )
    )


@lru_cache(maxsize=64)
def _lasting_tables(steps: tuple[str, ...]) -> frozenset[str]:
    """The tables that the first step makes, without those that a later one takes away or makes anew."""
    if not steps:
        return frozenset()
    made = re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)", steps[0])
    gone = re.findall(r"(?:DROP TABLE (?:IF EXISTS )?|RENAME TO )(\w+)", "".join(steps))
    return frozenset(name.lower() for name in made) - {name.lower() for name in gone}
