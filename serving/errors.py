"""The two ways in which a rule or a command says no, for every server here.

`Refused` is the no of a rule to whoever asked for a change, with a code from a table that gives its HTTP status. `OperatorError`
is said to a person at a terminal and has no code. What travels between security servers is `schemas.faults.Fault`.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Self

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence


class RefusalCode(enum.StrEnum):
    """A table of codes, each with its HTTP status: ``MEMBER_NOT_FOUND = "member_not_found", 404``.

    The member is the code as the API writes it; `status` is the status its answer has. One table an API, beside its rules.
    """

    status: int

    def __new__(cls, code: str, status: int) -> Self:
        """A member of the table, from the code and the status written beside it."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.status = status
        return member


class Caution(msgspec.Struct, frozen=True):
    """Something a person may decide to accept: the call is carried out when it is repeated with ``ignore_warnings``.

    ``code`` is the admin API's word, ``metadata`` what it is about.
    """

    code: str
    metadata: tuple[str, ...] = ()


class Refused(ValueError):
    """A rule does not allow what was asked; nothing has changed.

    ``code`` gives the status, the text says what was expected and what came, ``metadata`` are the API's details in order and
    ``warnings`` what a person may accept by calling again.
    """

    def __init__(
        self, code: RefusalCode, detail: str, *metadata: str, warnings: Sequence[Caution] = ()
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.metadata = metadata
        self.warnings = tuple(warnings)


class OperatorError(ValueError):
    """A command or a start cannot be done as things stand; the text says why, on which side, and what to do."""
