"""The states that RENAPO gives a CURP, as its feed tells them, and what each means when somebody is looked up by that CURP.

A CURP stands here only as keyed index, so a feed is matched row by row and what it says of strangers is counted and forgotten.
A state is RENAPO's word about one CURP; it neither kills a person nor makes two records one. What it calls deceased without an
act that the registry holds becomes a case, what it calls a duplicate of another person's CURP becomes a review, both for an
officer.

Spec: the domain reference 2.3, 5.7 (buscarBeneficiario); F04, F36.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from social_security.domain.pseudonyms import Rid, curp_index
from social_security.registry.events import in_force, open_case, reports_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime

    from serving.storage.database import AnyDatabase
    from serving.storage.transactions import Transaction
    from social_security.domain.curp import Curp
    from social_security.keys import RegistryKeys

CURP_STATES_STEP = """
    ALTER TABLE curp_index ADD COLUMN renapo_code TEXT;
    ALTER TABLE curp_index ADD COLUMN renapo_since TEXT;
"""


class CurpState(enum.StrEnum):
    """Whether a CURP may identify a person now."""

    ACTIVE = "ACTIVA"
    # The same person has another CURP now; this one still leads to her.
    HISTORICAL = "HISTORICA"
    DECEASED = "FALLECIDA"
    DUPLICATED = "DUPLICADA"
    CANCELLED = "CANCELADA"


# RENAPO's own codes (estatus de la CURP) and the state each stands for.
CODES: Final[dict[str, CurpState]] = {
    "AN": CurpState.ACTIVE,  # alta normal
    "AH": CurpState.ACTIVE,  # alta con homonimia
    "CRA": CurpState.ACTIVE,  # CURP reactivada
    "RCN": CurpState.ACTIVE,  # registro de cambio que no afecta a la CURP
    "RCC": CurpState.ACTIVE,  # registro de cambio que afecta a la CURP
    "BCC": CurpState.HISTORICAL,  # baja por cambio en la CURP
    "BD": CurpState.DECEASED,  # baja por defunción
    "BDA": CurpState.DUPLICATED,  # baja por duplicidad
    "BAP": CurpState.CANCELLED,  # baja por documento apócrifo
    "BSU": CurpState.CANCELLED,  # baja sin uso
    "BJD": CurpState.CANCELLED,  # baja judicial
    "BDM": CurpState.CANCELLED,  # baja administrativa
    "BDP": CurpState.CANCELLED,  # baja por adopción
}


@dataclass(frozen=True, slots=True)
class StateRow:
    """One row of RENAPO's feed: a CURP, its code, since when, and the CURP that stands for it now where there is one."""

    curp: Curp
    code: str
    since: date
    now_curp: Curp | None = None


@dataclass(slots=True)
class FeedOutcome:
    """The outcome of a feed of CURP states: rows that changed something, that did not, of nobody here, and those an officer must decide."""

    noted: int = 0
    same: int = 0
    unknown: int = 0
    reviews: int = 0
    cases: list[str] = field(default_factory=list)
    # Whose record it touched, for their access logs.
    touched: list[Rid] = field(default_factory=list)


def curp_state(database: AnyDatabase, keys: RegistryKeys, curp: Curp) -> CurpState | None:
    """The state of a CURP; None when it leads to nobody here. Until RENAPO says otherwise, the present one is active."""
    rows = database.query(
        "SELECT is_current, renapo_code FROM curp_index WHERE idx = ?",
        (curp_index(keys.index, keys.version, curp.value),),
    )
    if not rows:
        return None
    is_current, code = rows[0]
    state = CurpState.ACTIVE if code is None else CODES[code]
    # Active at RENAPO and no longer hers here: an officer corrected it before the feed told so.
    return CurpState.HISTORICAL if state is CurpState.ACTIVE and not is_current else state


def take_states(
    connection: Transaction, keys: RegistryKeys, rows: Iterable[StateRow], now: datetime
) -> FeedOutcome:
    """Note what RENAPO says of the CURPs known here, with what follows from it. The same feed twice changes nothing."""
    done = FeedOutcome()
    for row in rows:
        index = curp_index(keys.index, keys.version, row.curp.value)
        found = connection.execute(
            "SELECT rid, renapo_code FROM curp_index WHERE idx = ?", (index,)
        ).fetchall()
        if not found:
            done.unknown += 1
            continue
        rid, before = Rid(bytes(found[0][0])), found[0][1]
        if before == row.code:
            done.same += 1
            continue
        connection.execute(
            "UPDATE curp_index SET renapo_code = ?, renapo_since = ? WHERE idx = ?",
            (row.code, row.since.isoformat(), index),
        )
        done.noted += 1
        done.touched.append(rid)
        state = CODES[row.code]
        if state is CurpState.DECEASED and not in_force(reports_of(connection, rid)):
            reason = f"RENAPO da la CURP de baja por defunción desde el {row.since} y no consta el acta"
            done.cases.append(open_case(connection, rid, reason, now))
        if row.now_curp is not None and state in (CurpState.DUPLICATED, CurpState.HISTORICAL):
            done.reviews += _follow(connection, keys, rid, row.now_curp)
    return done


def _follow(connection: Transaction, keys: RegistryKeys, rid: Rid, now_curp: Curp) -> int:
    """Let the CURP that stands now lead to the person; when it leads to another record, both go under review (1)."""
    index = curp_index(keys.index, keys.version, now_curp.value)
    ((owner,),) = connection.execute(
        "INSERT INTO curp_index (idx, key_version, rid, is_current) VALUES (?, ?, ?, 0) "
        "ON CONFLICT (idx) DO UPDATE SET rid = curp_index.rid RETURNING rid",
        (index, keys.version, rid),
    ).fetchall()
    if bytes(owner) == rid:
        return 0
    connection.execute(
        "INSERT INTO review (rid, other) VALUES (?, ?) ON CONFLICT (rid, other) DO NOTHING",
        (rid, bytes(owner)),
    )
    return 1
