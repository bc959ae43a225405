"""A breach of security: the record, the notices to persons and authority, and the open cases that need a person's eyes.

Notices say the nature of the incident, the data compromised, what the person can do, what was done at once, and where to
learn more (LGPDPPSO 35). They are made in the transaction that keeps the record: there is no record without its notices.
Sending them is the institute's own channel; `sent` marks those that went out.

Spec: the domain reference 3.4 (LGPDPPSO 33 to 35), F34; S14.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from serving.storage.database import AnyDatabase
    from social_security.institute.stores.cases import Case

BREACH_STEP = """
    CREATE TABLE breach (
        number INTEGER PRIMARY KEY,
        happened_on TEXT NOT NULL,
        recorded_at TEXT NOT NULL,
        reason TEXT NOT NULL,
        nature TEXT NOT NULL,
        data TEXT NOT NULL,
        advice TEXT NOT NULL,
        measures TEXT NOT NULL,
        contact TEXT NOT NULL
    );
    CREATE TABLE breach_notice (
        breach BIGINT NOT NULL REFERENCES breach (number),
        addressee TEXT NOT NULL,
        text TEXT NOT NULL,
        sent_at TEXT,
        PRIMARY KEY (breach, addressee)
    );
"""
FIELDS = ("fecha", "motivo", "naturaleza", "datos", "recomendaciones", "medidas", "contacto")


@dataclass(frozen=True, slots=True)
class Breach:
    """A breach of data in the words that persons and the authority are given."""

    day: str
    reason: str
    nature: str
    data: str
    advice: str
    measures: str
    contact: str


def parse_breach(value: Mapping[str, Any]) -> Breach:
    """A breach out of an officer's document. Raises ValueError with what is missing."""
    missing = [name for name in FIELDS if not str(value.get(name, "")).strip()]
    if missing:
        raise ValueError(f"the record lacks {', '.join(missing)}")
    return Breach(*(str(value[name]) for name in FIELDS))


class BreachStore:
    """The breaches in the institute's database."""

    def __init__(self, database: AnyDatabase) -> None:
        self._database = database

    def add(self, breach: Breach, authority: str, now: datetime) -> int:
        """Record a breach with a notice to the authority and one to every person here; its number."""
        text = (
            f"Incidente del {breach.day}: {breach.nature} Datos: {breach.data} Qué puede hacer: {breach.advice} "
            f"Qué hicimos: {breach.measures} Más información: {breach.contact}"
        )
        with self._database.transaction() as connection:
            ((number,),) = connection.execute(
                "INSERT INTO breach (happened_on, recorded_at, reason, nature, data, advice, measures, contact) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?) RETURNING number",
                (
                    breach.day,
                    now.isoformat(),
                    breach.reason,
                    breach.nature,
                    breach.data,
                    breach.advice,
                    breach.measures,
                    breach.contact,
                ),
            ).fetchall()
            persons = connection.execute("SELECT pid FROM affiliation ORDER BY pid").fetchall()
            connection.executemany(
                "INSERT INTO breach_notice (breach, addressee, text) VALUES (?, ?, ?)",
                [(number, addressee, text) for addressee in (authority, *(r[0] for r in persons))],
            )
        return int(number)

    def notices(self, number: int) -> list[tuple[str, str]]:
        """Addressee and text of every notice that has not been sent yet."""
        rows = self._database.query(
            "SELECT addressee, text FROM breach_notice WHERE breach = ? AND sent_at IS NULL ORDER BY addressee",
            (number,),
        )
        return [(str(r[0]), str(r[1])) for r in rows]

    def sent(self, number: int, now: datetime) -> None:
        """Note that the notices went out."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE breach_notice SET sent_at = ? WHERE breach = ? AND sent_at IS NULL",
                (now.isoformat(), number),
            )


def open_with(cases: list[Case], member: str) -> list[Case]:
    """The open cases in which a member takes part: a person must decide what becomes of each."""
    return [c for c in cases if c.is_open and member in c.participants]
