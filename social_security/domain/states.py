"""The state machines of the domain as tables: (state, event) -> who may cause it, and the state after.

Pure. One screen a machine; guards that need more than state and author stand with the service that owns the case.

Spec: the domain reference 5.5.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final

from social_security.domain.faults import DomainError


class Author(enum.StrEnum):
    """Who causes an event of a portability case."""

    RESPONSIBLE = "responsible"
    COUNTERPARTY = "counterparty"
    PERSON = "person"
    CLOCK = "clock"
    # Institutes, whatever their part in the case; never in a person's role.
    PARTICIPANT = "participant"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Move:
    """One row: who may, and the state after; ``SAME`` and ``BEFORE`` are worked out by the case."""

    author: Author
    to: str


SAME: Final = "="
BEFORE: Final = "<"
CLOSED: Final = frozenset(("CERRADA", "RECHAZADA", "DESISTIDA", "VENCIDA"))
# States in which the case holds the benefit at the registry: it is open, and no authority is looking at it.
_LOCKED_OUT: Final = CLOSED | {"BORRADOR", "RECURRIDA"}
_R, _C, _P, _I = Author.RESPONSIBLE, Author.COUNTERPARTY, Author.PERSON, Author.PARTICIPANT
_OPEN: Final = (
    "PRESENTADA",
    "ADMITIDA",
    "HISTORIA_SOLICITADA",
    "HISTORIA_RECIBIDA",
    "ACLARACION",
    "TOTALIZADA",
    "PROYECTO_RESOLUCION",
    "CONFORMIDAD_TITULAR",
    "TRANSFERIDA",
    "RESUELTA",
)
_WITH_HISTORY: Final = _OPEN[3:]
# An appeal is the person's whatever became of the case, but for one that she herself gave up.
_APPEALED: Final = (*_OPEN, "RECHAZADA", "VENCIDA", "CERRADA")
PORTABILITY: Final[dict[tuple[str, str], Move]] = {
    ("BORRADOR", "PRESENTAR"): Move(_R, "PRESENTADA"),
    ("PRESENTADA", "ADMITIR"): Move(_R, "ADMITIDA"),
    **{(state, "RECHAZAR"): Move(_I, "RECHAZADA") for state in _OPEN},
    ("ADMITIDA", "SOLICITAR_HISTORIA"): Move(_R, "HISTORIA_SOLICITADA"),
    # Stays until every counterparty has delivered; the case says which of the two.
    ("HISTORIA_SOLICITADA", "ENTREGAR_HISTORIA"): Move(_C, "HISTORIA_RECIBIDA"),
    ("HISTORIA_RECIBIDA", "PEDIR_ACLARACION"): Move(_R, "ACLARACION"),
    # A rectification reaches the case whenever it comes, of the responsible institute's own periods too; totals are made anew.
    ("HISTORIA_SOLICITADA", "ACLARAR"): Move(_I, SAME),
    **{(state, "ACLARAR"): Move(_I, "HISTORIA_RECIBIDA") for state in _WITH_HISTORY},
    ("HISTORIA_RECIBIDA", "TOTALIZAR"): Move(_R, "TOTALIZADA"),
    ("TOTALIZADA", "PROYECTAR"): Move(_R, "PROYECTO_RESOLUCION"),
    ("PROYECTO_RESOLUCION", "CONFORMAR"): Move(_P, "CONFORMIDAD_TITULAR"),
    ("PROYECTO_RESOLUCION", "INCONFORMAR"): Move(_P, "ACLARACION"),
    # Stays until every counterparty has confirmed.
    ("CONFORMIDAD_TITULAR", "CONFIRMAR_TRANSFERENCIA"): Move(_C, "TRANSFERIDA"),
    ("TRANSFERIDA", "RESOLVER"): Move(_R, "RESUELTA"),
    ("RESUELTA", "CERRAR"): Move(_R, "CERRADA"),
    **{(state, "DESISTIR"): Move(_P, "DESISTIDA") for state in _OPEN},
    **{(state, "INVALIDAR"): Move(Author.ANY, BEFORE) for state in _OPEN},
    **{(state, "VENCER"): Move(Author.CLOCK, "VENCIDA") for state in _OPEN},
    **{(state, "RECURRIR"): Move(_P, "RECURRIDA") for state in _APPEALED},
    # What the authority resolved: the case goes on from its admission, is decided, or stays refused; or she gives it up.
    ("RECURRIDA", "ADMITIR"): Move(_R, "ADMITIDA"),
    ("RECURRIDA", "RESOLVER"): Move(_R, "RESUELTA"),
    ("RECURRIDA", "RECHAZAR"): Move(_R, "RECHAZADA"),
    ("RECURRIDA", "DESISTIR"): Move(_P, "DESISTIDA"),
    ("RECURRIDA", "ACLARAR"): Move(_I, SAME),
    **{(state, "RECORDAR"): Move(Author.ANY, SAME) for state in (*_OPEN, "RECURRIDA")},
    **{(state, "AGREGAR_PARTICIPANTE"): Move(_R, SAME) for state in (*_OPEN, "RECURRIDA")},
}
# Events that every counterparty must cause before the state changes.
BY_ALL: Final = frozenset(("ENTREGAR_HISTORIA", "CONFIRMAR_TRANSFERENCIA"))

# ARCO: state -> states that may follow it.
ARCO: Final[dict[str, frozenset[str]]] = {
    "RECIBIDA": frozenset(
        ("PREVENIDA", "INCOMPETENCIA", "TRAMITE_ESPECIFICO", "RECONDUCIDA", "EN_TRAMITE", "FALTA_RESPUESTA")
    ),
    "PREVENIDA": frozenset(("NO_PRESENTADA", "EN_TRAMITE")),
    "EN_TRAMITE": frozenset(("AMPLIADA", "PROCEDENTE", "IMPROCEDENTE", "INEXISTENCIA", "FALTA_RESPUESTA")),
    "AMPLIADA": frozenset(("PROCEDENTE", "IMPROCEDENTE", "INEXISTENCIA", "FALTA_RESPUESTA")),
    "PROCEDENTE": frozenset(("EFECTIVA", "RECURRIDA")),
    # Carried out because a guarantor ordered it: then the decision is complied with too.
    "EFECTIVA": frozenset(("RECURRIDA", "CUMPLIDA")),
    "IMPROCEDENTE": frozenset(("RECURRIDA",)),
    "INEXISTENCIA": frozenset(("RECURRIDA",)),
    # A late answer is still owed; it comes as late as it comes, and says so.
    "FALTA_RESPUESTA": frozenset(("RECURRIDA", "PROCEDENTE", "IMPROCEDENTE", "INEXISTENCIA")),
    "RECURRIDA": frozenset(("CONCILIACION", "RESUELTA_RR")),
    "CONCILIACION": frozenset(("RESUELTA_RR", "EFECTIVA", "CUMPLIDA")),
    "RESUELTA_RR": frozenset(("EFECTIVA", "CUMPLIDA")),
}
ARCO_ENDED: Final = frozenset(
    ("NO_PRESENTADA", "INCOMPETENCIA", "TRAMITE_ESPECIFICO", "RECONDUCIDA", "CUMPLIDA")
)

# What a request is given on its way, beside what its person filed.
ARCO_ADDED: Final = frozenset(("aclaracion", "entrega", "ejecutado", "agravios", "informes"))

ADMISSION: Final[dict[str, frozenset[str]]] = {
    "RECIBIDA": frozenset(("VERIFICANDO_IDENTIDAD", "NEGADA")),
    "VERIFICANDO_IDENTIDAD": frozenset(("VERIFICANDO_ORIGEN", "PREVENIDA", "NEGADA", "ADMITIDA_PROVISIONAL")),
    "VERIFICANDO_ORIGEN": frozenset(("PREVENIDA", "ADMITIDA", "ADMITIDA_PROVISIONAL", "NEGADA")),
    "PREVENIDA": frozenset(("VERIFICANDO_ORIGEN", "NEGADA", "CADUCADA")),
    "ADMITIDA_PROVISIONAL": frozenset(("ADMITIDA", "NEGADA", "CADUCADA", "ADMITIDA_PROVISIONAL")),
}

# Onboarding: the state follows from the gates that are open, in this order.
ONBOARDING: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("SOLICITADA", ()),
    ("DOCUMENTOS", ("documentos", "contactos")),
    ("EVALUACION", ("seguridad", "impacto", "avisos")),
    ("CONVENIO", ("convenio",)),
    ("CERTIFICADOS", ("certificados",)),
    ("CONFORMIDAD", ("conformidad", "titular")),
)
MEMBER: Final[dict[str, frozenset[str]]] = {
    "CONFORMIDAD": frozenset(("ACTIVA",)),
    "ACTIVA": frozenset(("SUSPENDIDA", "BAJA")),
    "SUSPENDIDA": frozenset(("ACTIVA", "BAJA")),
}


def holds_lock(state: str) -> bool:
    """Whether a case in this state keeps others from being opened for the same benefit and person."""
    return state not in _LOCKED_OUT


def portability_move(state: str, event: str) -> Move:
    """The row for an event in a state. Raises `DomainError` SS-400."""
    move = PORTABILITY.get((state, event))
    if move is None:
        raise not_allowed(state, event)
    return move


def check_follows(machine: dict[str, frozenset[str]], state: str, next_state: str) -> None:
    """Refuse a state that may not follow. Raises `DomainError` SS-400."""
    if next_state not in machine.get(state, frozenset()):
        raise not_allowed(state, next_state)


def onboarding_state(gates: dict[str, str]) -> str:
    """The state of an application by its gates: the last stage all of whose gates before it are approved."""
    reached = "SOLICITADA"
    done: set[str] = {g for g, state in gates.items() if state == "APROBADA"}
    for state, needed in ONBOARDING:
        reached = state
        if not set(needed) <= done:
            break
    return reached


def not_allowed(state: str, event: str) -> DomainError:
    """The refusal of a move that no table has."""
    return DomainError("SS-400", f"de {state} no se pasa con {event}", f"{event} does not follow {state}")
