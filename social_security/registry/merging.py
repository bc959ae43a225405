"""Two records made one, and two again: what moves, who decides, and what institutes are told.

Everything that leads to the absorbed record moves: its CURP indexes, the pseudonyms institutes know her by, their links,
the vital events reported of her, her cases, her evidence; the level is the higher of the two. What moved is written down
by key, so that unmerging gives back exactly that, and what has come since under the absorbed pseudonyms. Pseudonyms never
change: an institute that stored one keeps it. A record that has been absorbed is nobody's until it is given back: it is
neither merged again nor separated from below a merge that came after it.

A decision is an officer's signature over `statement`, verified with the key that the registry holds of her.

Spec: the domain reference 5.2 (VinculoInstituto), 5.7; S13.
"""

from __future__ import annotations

import hmac
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from schemas.jsontext import dump_json, load_json
from social_security.domain.calendars import national_day
from social_security.domain.eventchain import canonical
from social_security.domain.pseudonyms import Rid
from social_security.registry.events import (
    MERGED,
    PARTED,
    EventReport,
    add_report,
    in_force,
    links_of,
    notify_all,
    open_case,
    reconcile,
    reports_of,
)

if TYPE_CHECKING:
    from datetime import datetime

    from serving.storage.transactions import Transaction

# Table -> the columns that name a row, and those that are given back with it.
_KEYS = {
    "curp_index": ("idx", "is_current"),
    "pseudonym": ("member", "pid"),
    "link": ("member", "pid"),
    "vital_report": ("sender", "event_id"),
    "case_entry": ("case_id",),
    "evidence": ("type", "issuer", "at", "sha256"),
}


@dataclass(frozen=True, slots=True)
class Merge:
    """A merge as it was decided; ``moved`` holds the rows by table, and both former levels."""

    id: int
    rid: Rid
    other: Rid
    moved: dict[str, Any]


def statement(index_key: bytes, act: str, officer: str, *records: Rid) -> bytes:
    """The bytes that an officer signs: act, her id, and the records by a keyed digest that tells nothing outside the registry."""
    refs = [hmac.digest(index_key, b"OSSMX-DECISION\x1f" + rid, "sha256").hex() for rid in records]
    return canonical({"acto": act, "decide": officer, "registros": refs})


def check_officer_key(pem: str) -> None:
    """Refuse what is no Ed25519 or ECDSA public key in PEM. Raises ValueError."""
    key = load_pem_public_key(pem.encode())
    if not isinstance(key, ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey):
        raise ValueError("an officer signs with Ed25519 or ECDSA")


def verify_decision(pem: str, signature_hex: str, signed: bytes) -> None:
    """Refuse a signature that is not the officer's over the statement. Raises ValueError."""
    check_officer_key(pem)
    key = load_pem_public_key(pem.encode())
    try:
        signature = bytes.fromhex(signature_hex)
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, signed)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
    except (ValueError, InvalidSignature):
        raise ValueError("the signature is not the officer's over this statement") from None


def merge_records(
    connection: Transaction, rid: Rid, other: Rid, officer: str, signature: str, at: datetime
) -> int:
    """Make two records one; the number of the merge. What leads to ``other`` leads to ``rid`` from now on. Raises ValueError."""
    if rid == other:
        raise ValueError("these are one record already")
    for record in (rid, other):
        _check_not_absorbed(connection, record)
    _check_keeps_curp(connection, rid, other)
    links = [links_of(connection, r) for r in (rid, other)]
    moved: dict[str, Any] = {"levels": [_level(connection, rid), _level(connection, other)]}
    for table, columns in _KEYS.items():
        rows = connection.execute(
            f"SELECT {', '.join(columns)} FROM {table} WHERE rid = ?",
            (other,),
        ).fetchall()
        moved[table] = [list(r) for r in rows]
        connection.execute(f"UPDATE {table} SET rid = ? WHERE rid = ?", (rid, other))
    for idx, _current in moved["curp_index"]:
        connection.execute("UPDATE curp_index SET is_current = 0 WHERE idx = ?", (idx,))
    connection.execute("UPDATE person SET level = ? WHERE rid = ?", (max(moved["levels"]), rid))
    moved["reviews"] = _settle_reviews(connection, rid, other, officer, signature)
    ((number,),) = connection.execute(
        "INSERT INTO merged (rid, other, decided_by, signature, at, moved) VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
        (rid, other, officer, signature, at.isoformat(), dump_json(moved)),
    ).fetchall()
    days = {d.day for d in in_force(reports_of(connection, rid))}
    if len(days) > 1:
        open_case(connection, rid, "los registros que se unen llevan fallecimientos de días distintos", at)
    _report_merge(connection, rid, [*links[0], *links[1]], MERGED, at)
    reconcile(connection, rid, at)
    return int(number)


def unmerge_records(
    connection: Transaction, number: int, officer: str, signature: str, at: datetime
) -> Merge:
    """Make the records of a merge two again. Raises ValueError when it was undone before, never was, or another came on top."""
    merge = find_merge(connection, number)
    _check_not_absorbed(connection, merge.rid)
    back = merge.moved
    for table, columns in _KEYS.items():
        for row in back[table]:
            keys = columns if table != "curp_index" else columns[:1]
            where = " AND ".join(f"{c} = ?" for c in keys)
            connection.execute(
                f"UPDATE {table} SET rid = ? WHERE rid = ? AND {where}",
                (merge.other, merge.rid, *row[: len(keys)]),
            )
    for idx, current in back["curp_index"]:
        connection.execute("UPDATE curp_index SET is_current = ? WHERE idx = ?", (current, idx))
    _give_back_since(connection, merge)
    _give_back_first_days(connection, merge)
    _give_back_levels(connection, merge)
    for third in back.get("reviews", ()):
        connection.execute(
            "UPDATE review SET decided_by = NULL, signature = NULL WHERE (rid = ? AND other = ?) OR (rid = ? AND other = ?)",
            (merge.other, bytes.fromhex(third), bytes.fromhex(third), merge.other),
        )
    connection.execute(
        "UPDATE merged SET undone_by = ?, undone_signature = ?, undone_at = ? WHERE id = ?",
        (officer, signature, at.isoformat(), number),
    )
    for record in (merge.rid, merge.other):
        _report_merge(connection, record, links_of(connection, record), PARTED, at)
        reconcile(connection, record, at)
    return merge


def find_merge(connection: Transaction, number: int) -> Merge:
    """A merge that has not been undone. Raises ValueError."""
    rows = connection.execute(
        "SELECT rid, other, moved FROM merged WHERE id = ? AND undone_at IS NULL", (number,)
    ).fetchall()
    if not rows:
        raise ValueError(f"there is no merge {number} that could be undone")
    rid, other, moved = rows[0]
    return Merge(number, Rid(bytes(rid)), Rid(bytes(other)), load_json(moved))


def settle_distinct(connection: Transaction, rid: Rid, other: Rid, officer: str, signature: str) -> None:
    """Decide that two records under review are two persons': both are conclusive again. Raises ValueError without a review."""
    done = connection.execute(
        "UPDATE review SET decided_by = ?, signature = ? WHERE decided_by IS NULL "
        "AND ((rid = ? AND other = ?) OR (rid = ? AND other = ?))",
        (officer, signature, rid, other, other, rid),
    )
    if done.rowcount == 0:
        raise ValueError("these records are not under review")


def merges_into(connection: Transaction, record: Rid) -> list[Merge]:
    """The merges that stand and have made other records, and those that had become part of them, part of this one."""
    rows = connection.execute(
        "SELECT id, other, moved FROM merged WHERE rid = ? AND undone_at IS NULL ORDER BY id", (record,)
    ).fetchall()
    found = [Merge(int(r[0]), record, Rid(bytes(r[1])), load_json(r[2])) for r in rows]
    return [below for merge in found for below in (merge, *merges_into(connection, merge.other))]


def line_of(merges: list[Merge], member: str, pid: str) -> list[Merge]:
    """Those of a record's merges that brought a pseudonym into it, oldest first; none when it was the record's own."""
    brought = [m for m in merges if [member, pid] in m.moved["pseudonym"]]
    return sorted(brought, key=lambda m: m.id)


def note_brought(connection: Transaction, line: list[Merge], member: str, pid: str) -> None:
    """Note a new pseudonym of an absorbed record with the merges that brought it: unmerging gives it back with the others."""
    for merge in line:
        merge.moved["pseudonym"].append([member, pid])
        connection.execute("UPDATE merged SET moved = ? WHERE id = ?", (dump_json(merge.moved), merge.id))


def _check_not_absorbed(connection: Transaction, record: Rid) -> None:
    """Refuse a record that a standing merge has made part of another."""
    rows = connection.execute(
        "SELECT id FROM merged WHERE other = ? AND undone_at IS NULL", (record,)
    ).fetchall()
    if rows:
        raise ValueError(f"merge {rows[0][0]} made this record part of another; undo that one first")


def _check_keeps_curp(connection: Transaction, rid: Rid, other: Rid) -> None:
    """Refuse to let a record without CURP stay when the other has one: its reference would end, and she with it."""
    has = [
        bool(
            connection.execute(
                "SELECT 1 FROM person WHERE rid = ? AND curp_cipher IS NOT NULL", (record,)
            ).fetchall()
        )
        for record in (rid, other)
    ]
    if has == [False, True]:
        raise ValueError("the record that stays has no CURP and the other has: name them the other way round")


def _give_back_levels(connection: Transaction, merge: Merge) -> None:
    """Both levels as they would be without this merge: of the one that stayed, those absorbed since still count."""
    own, others = merge.moved["levels"]
    reached = max(own, others)
    left = own
    for number, text in connection.execute(
        "SELECT id, moved FROM merged WHERE rid = ? AND id > ? AND undone_at IS NULL ORDER BY id",
        (merge.rid, merge.id),
    ).fetchall():
        moved = load_json(text)
        if moved["levels"][0] == reached:
            moved["levels"][0] = left
            connection.execute("UPDATE merged SET moved = ? WHERE id = ?", (dump_json(moved), number))
        reached, left = max(reached, moved["levels"][1]), max(left, moved["levels"][1])
    if _level(connection, merge.rid) == reached:
        connection.execute("UPDATE person SET level = ? WHERE rid = ?", (left, merge.rid))
    connection.execute("UPDATE person SET level = ? WHERE rid = ?", (others, merge.other))


def _give_back_since(connection: Transaction, merge: Merge) -> None:
    """What came after the merge under the absorbed record's pseudonyms is the absorbed person's."""
    theirs = {(m, p) for m, p in merge.moved["pseudonym"]}
    for member, pid in theirs:
        for table, column in (("link", "member"), ("vital_report", "sender"), ("case_entry", "member")):
            connection.execute(
                f"UPDATE {table} SET rid = ? WHERE rid = ? AND {column} = ? AND pid = ?",
                (merge.other, merge.rid, member, pid),
            )
    stay = connection.execute("SELECT DISTINCT member FROM pseudonym WHERE rid = ?", (merge.rid,)).fetchall()
    for member in {m for m, _ in theirs} - {str(r[0]) for r in stay}:
        # A case from before its pseudonym was noted: its member knows one of the two only, or it stays.
        connection.execute(
            "UPDATE case_entry SET rid = ? WHERE rid = ? AND member = ? AND pid IS NULL",
            (merge.other, merge.rid, member),
        )


def _give_back_first_days(connection: Transaction, merge: Merge) -> None:
    """The first day of one's ended case, which a case of the other's had taken over while they were one, may be taken again."""
    connection.execute(
        "UPDATE case_entry SET taken_by = NULL WHERE rid IN (?, ?) AND EXISTS "
        "(SELECT 1 FROM case_entry t WHERE t.case_id = case_entry.taken_by AND t.rid <> case_entry.rid)",
        (merge.rid, merge.other),
    )


def _settle_reviews(connection: Transaction, rid: Rid, other: Rid, officer: str, signature: str) -> list[str]:
    """Close the review of the two, and ask of the one that stays what was asked of the other; of which third records."""
    connection.execute(
        "UPDATE review SET decided_by = ?, signature = ? WHERE (rid = ? AND other = ?) OR (rid = ? AND other = ?)",
        (officer, signature, rid, other, other, rid),
    )
    rows = connection.execute(
        "SELECT rid, other FROM review WHERE decided_by IS NULL AND (rid = ? OR other = ?)", (other, other)
    ).fetchall()
    thirds = [bytes(two) if bytes(one) == other else bytes(one) for one, two in rows]
    for third in thirds:
        connection.execute(
            "INSERT INTO review (rid, other) VALUES (?, ?) ON CONFLICT (rid, other) DO NOTHING", (rid, third)
        )
    # The same question, now asked of the record that stays: it is not asked twice, or the third would never be found again.
    connection.execute(
        "UPDATE review SET decided_by = ?, signature = ? WHERE decided_by IS NULL AND (rid = ? OR other = ?)",
        (officer, signature, other, other),
    )
    return [third.hex() for third in thirds]


def _report_merge(connection: Transaction, rid: Rid, links: list[Any], kind: str, at: datetime) -> None:
    event = str(uuid.uuid4())
    body = {"tipo": kind, "fechaEvento": national_day(at).isoformat()}
    add_report(connection, EventReport("", event, rid, "", {"idEvento": event, **body}, event), at)
    notify_all(connection, links, event, body, at)


def _level(connection: Transaction, rid: Rid) -> int:
    rows = connection.execute("SELECT level FROM person WHERE rid = ?", (rid,)).fetchall()
    return int(rows[0][0])
