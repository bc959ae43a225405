"""Domain errors and refusals: rows of the error table, as they go into an ordinary, signed answer.

`DomainError` says which row and what came; `FormalRefusal` adds what a person needs to appeal. Both are answers, not faults of
the road: a refusal that leaves no evidence is worth nothing. Every text stands in Spanish and in English.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from social_security.domain import pack

if TYPE_CHECKING:
    from datetime import date

MESSAGE_LIMIT = 200
APPEAL_DAYS = 15  # LGPDPPSO 86: working days from the answer
FEDERAL_GUARANTOR = "MX/GAR/00-SABG"
REMEDY_ES = "Recurso de revisión ante la autoridad garante, artículos 86 y 95 de la LGPDPPSO"


class DomainError(Exception):
    """A request that the domain does not carry out; ``field`` names where, never a value of a person."""

    def __init__(self, code: str, es: str = "", en: str = "", *, field: str | None = None) -> None:
        self.row = pack.errors()[code]
        self.es = es or self.row.es
        self.en = en or self.row.en
        self.field = field
        super().__init__(f"{code}: {self.en}")

    @property
    def code(self) -> str:
        """The row's code."""
        return self.row.code

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return self.row.status

    def to_json(self) -> dict[str, object]:
        """The body of the answer (``Error`` of the service description)."""
        body: dict[str, object] = {
            "codigo": self.code,
            "mensaje": _said(self.row.es, self.es, self.row.action_es),
            "message": _said(self.row.en, self.en, self.row.action_en),
            "reintentable": self.row.may_be_retried,
        }
        if self.field is not None:
            body["campo"] = self.field
        return body

    @property
    def content_type(self) -> str:
        """The media type of the body."""
        return "application/problem+json"


@dataclass(frozen=True, slots=True)
class Appeal:
    """Where and until when a refusal may be appealed."""

    authority: str
    last_day: date


class FormalRefusal(DomainError):  # noqa: N818  the domain's word
    """A formal refusal (``Negativa``): cause, basis, reasons, remedy, authority and last day."""

    def __init__(
        self,
        code: str,
        appeal: Appeal,
        basis: str,
        es: str,
        en: str,
        *,
        cause: str | None = None,
        committee: str | None = None,
    ) -> None:
        super().__init__(code, es, en)
        self.appeal = appeal
        self.basis = basis
        self.cause = cause
        self.committee = committee

    def to_json(self) -> dict[str, object]:
        """The body of the answer (``Negativa`` of the service description)."""
        body: dict[str, object] = {
            "codigo": self.code,
            "fundamento": self.basis,
            "motivacion": f"{self.row.es}. {self.es}. {self.row.action_es}. / {self.row.en}. {self.en}. {self.row.action_en}.",
            "medioImpugnacion": REMEDY_ES,
            "autoridad": self.appeal.authority,
            "limiteImpugnacion": self.appeal.last_day.isoformat(),
        }
        if self.cause is not None:
            body["causa"] = self.cause
        if self.committee is not None:
            body["resolucionComite"] = self.committee
        return body

    @property
    def content_type(self) -> str:
        """The media type of the body."""
        return "application/json"


def formal(error: DomainError, appeal: Appeal) -> DomainError:
    """The error as the table wants it: a row that is a refusal leaves with basis, reasons, authority and last day."""
    if isinstance(error, FormalRefusal) or not error.row.is_refusal:
        return error
    if error.row.basis is None:
        raise ValueError(f"the error table names no legal basis for {error.code}")
    return FormalRefusal(error.code, appeal, error.row.basis, error.es, error.en)


def _said(general: str, special: str, action: str) -> str:
    whole = f"{general}. {action}." if special == general else f"{general}: {special}. {action}."
    return whole if len(whole) <= MESSAGE_LIMIT else f"{whole[: MESSAGE_LIMIT - 1]}…"
