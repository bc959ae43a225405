"""Commitments of the governing body: who owes what until when, towards which indicator, and how it stands.

Each is entered and settled by ONIESS's own operators, every change is kept, and what stands is a public reading: a term that
has passed shows as overdue by the calendar's day, whatever anybody entered.

Spec: the domain reference 5.8; F25.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any, Final

from social_security.domain.faults import DomainError
from social_security.domain.indicators import INDICATORS
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from serving.storage.database import AnyDatabase
    from social_security.oniess.store import OniessStore

COMMITMENTS_STEP: Final = """
    CREATE TABLE commitment (
        number INTEGER PRIMARY KEY,
        text TEXT NOT NULL,
        owner TEXT NOT NULL,
        due TEXT NOT NULL,
        indicator TEXT NOT NULL,
        state TEXT NOT NULL,
        note TEXT NOT NULL,
        evidence TEXT NOT NULL
    );
    CREATE TABLE commitment_event (
        number BIGINT NOT NULL,
        at TEXT NOT NULL,
        state TEXT NOT NULL,
        due TEXT NOT NULL,
        by_user TEXT NOT NULL,
        note TEXT NOT NULL
    );
    CREATE INDEX commitment_event_number ON commitment_event (number);
"""
_NEEDED: Final = ("descripcion", "responsable", "vence")


def note_commitment(store: OniessStore, request: DomainRequest) -> DomainAnswer:
    """``anotarCompromiso``: a new commitment, or another state, date or note of one. Raises SS-300, SS-400, SS-600."""
    body = request.body
    number = int(body["idCompromiso"][4:]) if "idCompromiso" in body else None
    if number is None:
        return _add(store, request)
    before = next((c for c in commitments(store.database) if c["numero"] == number), None)
    if before is None:
        raise DomainError("SS-300", field="idCompromiso")
    if before["estado"] != "ABIERTO":
        raise DomainError(
            "SS-400", f"ya está {before['estado']}", f"it is {before['estado']} already", field="estado"
        )
    if "descripcion" in body or "responsable" in body:
        raise DomainError(
            "SS-400",
            "lo comprometido y su responsable no cambian: cancele y anote otro",
            "what was committed to and its owner do not change: cancel it and note another",
            field="descripcion",
        )
    state = body.get("estado", "ABIERTO")
    if state == "CUMPLIDO" and "evidenciaSha256" not in body:
        raise DomainError(
            "SS-600", "cumplido exige evidencia", "a met one needs evidence", field="evidenciaSha256"
        )
    due = _due(body.get("vence", before["vence"]), request.today if "vence" in body else date.min)
    with store.database.transaction() as connection:
        connection.execute(
            "UPDATE commitment SET state = ?, due = ?, note = ?, evidence = ? WHERE number = ? AND state = 'ABIERTO'",
            (state, due, body.get("nota", before["nota"]), body.get("evidenciaSha256", ""), number),
        )
        _note(connection, number, request, state, due)
    return DomainAnswer({"idCompromiso": _id(number), "estado": state})


def commitments(database: AnyDatabase, today: date | None = None) -> list[dict[str, Any]]:
    """Every commitment, the next to end first; ``vencido`` says that its term has passed with nothing shown."""
    rows = database.query(
        "SELECT number, text, owner, due, indicator, state, note, evidence FROM commitment ORDER BY due, number"
    )
    found = []
    for number, text, owner, due, indicator, state, note, evidence in rows:
        row = {
            "numero": int(number),
            "idCompromiso": _id(int(number)),
            "descripcion": text,
            "responsable": owner,
            "vence": due,
            "estado": state,
            "nota": note,
        }
        row |= {"indicador": indicator} if indicator else {}
        row |= {"evidenciaSha256": evidence} if evidence else {}
        if today is not None:
            row["vencido"] = state == "ABIERTO" and date.fromisoformat(due) < today
        found.append(row)
    return found


def _add(store: OniessStore, request: DomainRequest) -> DomainAnswer:
    body = request.body
    missing = [n for n in _NEEDED if not str(body.get(n, "")).strip()]
    if missing:
        raise DomainError(
            "SS-600", f"faltan {', '.join(missing)}", f"missing: {', '.join(missing)}", field=missing[0]
        )
    if body["responsable"] not in (*store.members(), request.context.member):
        raise DomainError(
            "SS-300",
            f"{body['responsable']} no es miembro",
            f"{body['responsable']} is no member",
            field="responsable",
        )
    if body.get("indicador", INDICATORS[0].id) not in {i.id for i in INDICATORS}:
        raise DomainError("SS-300", "no hay tal indicador", "there is no such indicator", field="indicador")
    due = _due(body["vence"], request.today)
    with store.database.transaction() as connection:
        ((number,),) = connection.execute(
            "INSERT INTO commitment (text, owner, due, indicator, state, note, evidence) "
            "VALUES (?, ?, ?, ?, 'ABIERTO', ?, '') RETURNING number",
            (
                body["descripcion"].strip(),
                body["responsable"],
                due,
                body.get("indicador", ""),
                body.get("nota", ""),
            ),
        ).fetchall()
        _note(connection, int(number), request, "ABIERTO", due)
    return DomainAnswer({"idCompromiso": _id(int(number)), "estado": "ABIERTO"}, 201)


def _due(text: str, earliest: date) -> str:
    due = date.fromisoformat(text)
    if due < earliest:
        raise DomainError(
            "SS-103",
            f"{due} ya pasó; hoy es {earliest}",
            f"{due} has passed; today is {earliest}",
            field="vence",
        )
    return due.isoformat()


def _note(connection: Any, number: int, request: DomainRequest, state: str, due: str) -> None:
    connection.execute(
        "INSERT INTO commitment_event (number, at, state, due, by_user, note) VALUES (?, ?, ?, ?, ?, ?)",
        (number, request.now.isoformat(), state, due, request.context.user, request.body.get("nota", "")),
    )


def _id(number: int) -> str:
    return f"COM-{number:04d}"
