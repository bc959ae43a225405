"""The two ways in which a rule or a command says no, for every server here.

`Refused` is the no of a rule to whoever asked for a change, with a code from a table that gives its HTTP status. `OperatorError`
is said to a person at a terminal and has no code. What travels between security servers is `schemas.faults.Fault`.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Self

import msgspec

from serving.language import SOURCE_LANGUAGE, as_it_is

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.language import Text, Translatable


class RefusalCode(enum.StrEnum):
    """A table of codes, each with its HTTP status: ``MEMBER_NOT_FOUND = "member_not_found", 404, N_("there is no such member")``.

    The member is the code as the API writes it; `status` is the status its answer has, `words` what a person reads (the code
    itself where each refusal has words of its own). One table an API, beside its rules.
    """

    status: int
    words: Translatable

    def __new__(cls, code: str, status: int, words: Text | None = None) -> Self:
        """A member of the table, from the code and what is written beside it."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.status = status
        member.words = as_it_is(code) if words is None else words
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
    ``warnings`` what a person may accept by calling again. On the wire and in logs the text is English (``str``); a command
    says ``text`` in its reader's language: ``words``, where a person reads something else than a program.
    """

    def __init__(
        self,
        code: RefusalCode,
        detail: str | Translatable,
        *metadata: str,
        warnings: Sequence[Caution] = (),
        words: Translatable | None = None,
    ) -> None:
        plain = as_it_is(detail) if isinstance(detail, str) else detail
        super().__init__(plain.into(SOURCE_LANGUAGE))
        self.text: Translatable = plain if words is None else words
        self.code = code
        self.metadata = metadata
        self.warnings = tuple(warnings)


class OperatorError(ValueError):
    """A command, a start or a change of settings cannot be done as things stand; the text says why, on which side, and what to do.

    As of `Refused`: English in logs and APIs (``str``), ``text`` for a command or a page to say in its reader's language.
    """

    def __init__(self, detail: str | Translatable) -> None:
        self.text: Translatable = as_it_is(detail) if isinstance(detail, str) else detail
        super().__init__(self.text.into(SOURCE_LANGUAGE))

    def into(self, language: str) -> str:
        """The text in a language, so that a text may hold an error among its values."""
        return self.text.into(language)
