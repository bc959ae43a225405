"""A transaction of either database as its users see it: SQL with ``?`` placeholders, rows as tuples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable


class Rows(Protocol):
    """The result of one statement: rows as tuples."""

    @property
    def rowcount(self) -> int:
        """The number of rows that a change touched."""
        ...

    def fetchone(self) -> Any:
        """The next row, or None."""
        ...

    def fetchall(self) -> list[Any]:
        """Every row that is left."""
        ...


class Transaction(Protocol):
    """Statements that take effect together or not at all."""

    def execute(self, sql: str, parameters: tuple[Any, ...] | list[Any] = (), /) -> Rows:
        """Run one statement with ``?`` placeholders; its rows."""
        ...

    def executemany(self, sql: str, parameters: Iterable[tuple[Any, ...]], /) -> object:
        """Run one statement once for each row of parameters."""
        ...
