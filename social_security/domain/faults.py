"""Domain errors and refusals: rows of the error table, as they go into an ordinary, signed answer.

`DomainError` says which row and what came; its ``grounds``, where it is a formal refusal, are what a person needs to appeal. It is
an answer, not a fault of the transport: a refusal that leaves no evidence is worth nothing. `InputError` stays in this house: it
becomes a line of a report, or an answer in another protocol. Every text stands in Spanish and in English.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from social_security.domain import pack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

MESSAGE_LIMIT = 200
APPEAL_DAYS = 15  # LGPDPPSO 86: working days from the answer
FEDERAL_GUARANTOR = "MX/GAR/00-SABG"
REMEDY_ES = "Recurso de revisión ante la autoridad garante, artículos 86 y 95 de la LGPDPPSO"


@dataclass(frozen=True, slots=True)
class Appeal:
    """The authority before which a refusal may be appealed, and the last day for it."""

    authority: str
    last_day: date


@dataclass(frozen=True, slots=True)
class RefusalGrounds:
    """The parts of a formal refusal (``Negativa``) beside its cause: where to appeal, and the law it rests on."""

    appeal: Appeal
    basis: str
    cause: str | None = None
    committee: str | None = None


class DomainError(Exception):
    """A request that the domain does not carry out; ``field`` names where, never a value of a person.

    With ``grounds`` it is a formal refusal: its body is a ``Negativa`` of the service description, otherwise an ``Error``.
    ``subject`` is whom it is about, once she was found (`concerning`); it goes to her access log and never into the body.
    """

    def __init__(
        self,
        code: str,
        es: str = "",
        en: str = "",
        *,
        field: str | None = None,
        grounds: RefusalGrounds | None = None,
    ) -> None:
        self.row = pack.errors()[code]
        self.es = es or self.row.es
        self.en = en or self.row.en
        self.field = field
        self.grounds = grounds
        self.subject: str | bytes | None = None
        super().__init__(f"{code}: {self.en}")

    @property
    def code(self) -> str:
        """The code of the error table's row, as ``SS-404``."""
        return self.row.code

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return self.row.status

    @property
    def content_type(self) -> str:
        """The media type of the body."""
        return "application/problem+json" if self.grounds is None else "application/json"

    def to_json(self) -> dict[str, object]:
        """The body of the answer: ``Negativa`` of the service description with grounds, ``Error`` without."""
        if self.grounds is not None:
            return self._refusal(self.grounds)
        body: dict[str, object] = {
            "codigo": self.code,
            "mensaje": _sentence(self.row.es, self.es, self.row.action_es),
            "message": _sentence(self.row.en, self.en, self.row.action_en),
            "reintentable": self.row.may_be_retried,
        }
        if self.field is not None:
            body["campo"] = self.field
        return body

    def _refusal(self, grounds: RefusalGrounds) -> dict[str, object]:
        body: dict[str, object] = {
            "codigo": self.code,
            "fundamento": grounds.basis,
            "motivacion": f"{self.row.es}. {self.es}. {self.row.action_es}. / {self.row.en}. {self.en}. {self.row.action_en}.",
            "medioImpugnacion": REMEDY_ES,
            "autoridad": grounds.appeal.authority,
            "limiteImpugnacion": grounds.appeal.last_day.isoformat(),
        }
        if grounds.cause is not None:
            body["causa"] = grounds.cause
        if grounds.committee is not None:
            body["resolucionComite"] = grounds.committee
        return body


class InputError(ValueError):
    """A part of what came from outside is not taken: ``subject`` names it (a column, a reject code), the text says why.

    ``suggestion`` is what it should perhaps be, for a report that only its owner reads; ``es`` the reason in Spanish, for the
    people whose files are read.
    """

    def __init__(self, subject: str, reason: str, suggestion: str = "", *, es: str = "") -> None:
        super().__init__(reason)
        self.subject = subject
        self.suggestion = suggestion
        self.es = es or reason


def formal(error: DomainError, appeal: Appeal) -> DomainError:
    """The error as the table wants it: a row that is a refusal leaves with basis, reasons, authority and last day. Raises ValueError."""
    if error.grounds is not None or not error.row.is_refusal:
        return error
    if error.row.basis is None:
        raise ValueError(f"the error table names no legal basis for {error.code}")
    made = DomainError(error.code, error.es, error.en, grounds=RefusalGrounds(appeal, error.row.basis))
    made.subject = error.subject
    return made


@contextlib.contextmanager
def concerning(subject: str | bytes) -> Iterator[None]:
    """Whatever is refused within is about this person (an institute's PID, or the registry's internal id)."""
    try:
        yield
    except DomainError as error:
        error.subject = subject
        raise


def _sentence(general: str, special: str, action: str) -> str:
    whole = f"{general}. {action}." if special == general else f"{general}: {special}. {action}."
    return whole if len(whole) <= MESSAGE_LIMIT else f"{whole[: MESSAGE_LIMIT - 1]}…"
