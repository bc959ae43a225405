"""What the registry keeps: one row a person, her former and present CURP indexes, the pseudonym each member knows her by.

A link is more than a pseudonym: the institute holds her. It comes from her affiliation and ends with it; a look-up makes
none. Only linked institutes are told of vital events (`social_security.registry.events`).

No name, sex, address, phone, photo, salary or nationality. A CURP stands only as ciphertext and as keyed index. A test
refuses a column that the reference does not list.

Spec: the domain reference 5.2 (PersonaRegistro, VinculoInstituto), 2.5.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from social_security.domain.curp import parse_curp
from social_security.domain.faults import InputError
from social_security.domain.pseudonyms import Pid, Rid, curp_index, institute_pid
from social_security.registry.accesses import AccessStore, PersonAccess
from social_security.registry.curpstates import (
    CurpState,
    FeedOutcome,
    StateRow,
    curp_state,
    take_states,
)
from social_security.registry.events import EventReport, links_of, notify_joined, reconcile, reports_of
from social_security.registry.merging import (
    Merge,
    check_officer_key,
    find_merge,
    line_of,
    merge_records,
    merges_into,
    note_brought,
    settle_distinct,
    statement,
    unmerge_records,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from serving.storage.database import AnyDatabase
    from serving.storage.transactions import Transaction
    from social_security.domain.curp import Curp
    from social_security.keys import RegistryKeys

NO_CURP_LIFE = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Person:
    """A person as the registry knows her."""

    rid: Rid
    level: int
    vital_state: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """The document that an officer saw when she raised a level of assurance: its kind, issuer and the digest of its copy."""

    type: str
    issuer: str
    sha256: str


class RegistryStore:
    """Reads and writes the registry's database."""

    def __init__(self, database: AnyDatabase, keys: RegistryKeys) -> None:
        self._database = database
        self._keys = keys
        self._cipher = AESGCM(keys.cipher)

    def close(self) -> None:
        """Close the database of the registry."""
        self._database.close()

    # Persons

    def enrol(self, curp: Curp | None, level: int, at: date, *, rid: Rid | None = None) -> Rid:
        """Make a person, with a random RID unless an exercise fixes it; without CURP for 90 days. Raises `InputError` for another's CURP."""
        made = rid or Rid(secrets.token_bytes(16))
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO person (rid, curp_cipher, level, vital_state, no_curp_reason, no_curp_expires) "
                "VALUES (?, ?, ?, 'VIVA', ?, ?)",
                (
                    made,
                    None if curp is None else self._encrypt(made, curp.value),
                    level,
                    "SIN_CURP" if curp is None else None,
                    (at + NO_CURP_LIFE).isoformat() if curp is None else None,
                ),
            )
            if curp is not None:
                self._add_index(connection, curp, made)
        return made

    def enrol_many(self, people: Iterable[tuple[Rid, Curp, Sequence[str]]], level: int, at: date) -> int:
        """Enrol persons with the members that know them, in one transaction; how many they were."""
        count = 0
        with self._database.transaction() as connection:
            for rid, curp, known_to in people:
                connection.execute(
                    "INSERT INTO person (rid, curp_cipher, level, vital_state) VALUES (?, ?, ?, 'VIVA')",
                    (rid, self._encrypt(rid, curp.value), level),
                )
                self._add_index(connection, curp, rid)
                for table, column, value in (("pseudonym", "", ()), ("link", "has_history, ", (1,))):
                    connection.executemany(
                        f"INSERT INTO {table} (member, pid, rid, since, {column}key_version) "
                        f"VALUES (?, ?, ?, ?, {'?, ' * len(value)}?)",
                        [
                            (
                                member,
                                institute_pid(self._keys.pid, self._keys.version, rid, member),
                                rid,
                                at.isoformat(),
                                *value,
                                self._keys.version,
                            )
                            for member in known_to
                        ],
                    )
                count += 1
        return count

    def correct_curp(self, rid: Rid, curp: Curp) -> None:
        """Give a person another CURP, or back one she had; the former one keeps leading to her. Raises `InputError` for another's."""
        with self._database.transaction() as connection:
            connection.execute("UPDATE curp_index SET is_current = 0 WHERE rid = ?", (rid,))
            connection.execute(
                "UPDATE person SET curp_cipher = ?, no_curp_reason = NULL, no_curp_expires = NULL WHERE rid = ?",
                (self._encrypt(rid, curp.value), rid),
            )
            self._add_index(connection, curp, rid)

    def find_by_curp(self, curp: Curp) -> Person | None:
        """The person of a CURP, present or former."""
        found = "SELECT p.rid, p.level, p.vital_state FROM curp_index i JOIN person p ON p.rid = i.rid WHERE i.idx = ?"
        return self._person(found, (self.index_of(curp.value),))

    def index_of(self, curp: str) -> str:
        """The keyed digest under which a CURP is found."""
        return curp_index(self._keys.index, self._keys.version, curp)

    def holder_of(self, curp: Curp) -> Rid:
        """The internal id of whom a CURP leads to, which never leaves. Raises LookupError when it leads to nobody."""
        found = self.find_by_curp(curp)
        if found is None:
            raise LookupError("this CURP leads to nobody")
        return found.rid

    def state_of_curp(self, curp: Curp) -> CurpState | None:
        """The state of a CURP as RENAPO tells it; None when it leads to nobody here."""
        return curp_state(self._database, self._keys, curp)

    def take_curp_states(
        self,
        rows: Iterable[StateRow],
        now: datetime,
        accesses: Callable[[FeedOutcome], Iterable[PersonAccess]],
    ) -> FeedOutcome:
        """Note RENAPO's states of CURPs, in one transaction with the lines of the access logs of whom they are about."""
        with self._database.transaction() as connection:
            done = take_states(connection, self._keys, rows, now)
            AccessStore.put(connection, accesses(done))
        return done

    def find_by_pid(self, member: str, pid: Pid) -> Person | None:
        """The person whom a member knows under its own PID."""
        return self._person(
            "SELECT p.rid, p.level, p.vital_state FROM pseudonym l JOIN person p ON p.rid = l.rid "
            "WHERE l.member = ? AND l.pid = ?",
            (member, pid),
        )

    def raise_level(self, rid: Rid, level: int, evidence: Evidence, at: date) -> None:
        """Raise a person's level of assurance by an evidence. Raises ValueError when it would not rise."""
        with self._database.transaction() as connection:
            changed = connection.execute(
                "UPDATE person SET level = ? WHERE rid = ? AND level < ? RETURNING level", (level, rid, level)
            ).fetchall()
            if not changed:
                raise ValueError(f"the person's level is LOA{level} or higher already; nothing was written")
            connection.execute(
                "INSERT INTO evidence (rid, type, issuer, at, sha256) VALUES (?, ?, ?, ?, ?)",
                (rid, evidence.type, evidence.issuer, at.isoformat(), evidence.sha256),
            )

    def no_curp_until(self, rid: Rid) -> date | None:
        """The last day of a reference without CURP; None for a person who has one."""
        rows = self._database.query("SELECT no_curp_expires FROM person WHERE rid = ?", (rid,))
        return date.fromisoformat(rows[0][0]) if rows and rows[0][0] is not None else None

    # Links

    def pid_of(self, rid: Rid, member: str, at: date) -> Pid:
        """The PID by which a member knows a person, made the first time it is needed; that alone is no link."""
        with self._database.transaction() as connection:
            return self._pid(connection, rid, member, at)

    def link(self, rid: Rid, member: str, at: date, *, has_history: bool = False) -> Pid:
        """The member holds the person from a day on: it is affiliated, and told of what happens to her; its PID of her."""
        with self._database.transaction() as connection:
            return self._link(connection, rid, member, at, has_history=has_history)

    def end_link(self, member: str, pid: Pid, until: date) -> None:
        """The member no longer holds the person: no notices from now on, no reports by it. Raises LookupError."""
        with self._database.transaction() as connection:
            done = connection.execute(
                "UPDATE link SET until = ? WHERE member = ? AND pid = ? AND until IS NULL AND since <= ?",
                (until.isoformat(), member, pid, until.isoformat()),
            )
            if done.rowcount != 1:
                raise LookupError(f"{member} holds no such person on {until}")

    def hold(
        self,
        connection: Transaction,
        rid: Rid,
        member: str,
        pid: Pid,
        since: date,
        *,
        has_history: bool,
        now: datetime,
        is_announced: bool,
    ) -> None:
        """Note, as part of a transaction, that a member holds a person under a PID, and whether it certifies a history.

        ``is_announced`` says that nobody but the member itself has said so.
        """
        noted = now.isoformat() if is_announced else None
        was_linked = (member, pid) in links_of(connection, rid)
        connection.execute(
            "INSERT INTO link (member, pid, rid, since, has_history, key_version, noted_at) "
            "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (member, pid) DO UPDATE SET "
            "noted_at = CASE WHEN link.until IS NULL THEN link.noted_at ELSE excluded.noted_at END, "
            "until = NULL, has_history = excluded.has_history, "
            "since = CASE WHEN excluded.since < link.since THEN excluded.since ELSE link.since END",
            (member, pid, rid, since.isoformat(), int(has_history), self._keys.version, noted),
        )
        if not was_linked:
            notify_joined(connection, rid, member, pid, now)
        reconcile(connection, rid, now)

    def heir_pid(self, connection: Transaction, member: str, pid: Pid, heir: str, at: date) -> Pid:
        """The PID by which a successor knows whom a member knew as ``pid``, made when it is needed, as part of a transaction.

        Of the record that pseudonym was made for: where it has become part of another, both part again with what is theirs.
        Raises LookupError for a pseudonym that leads to nobody.
        """
        rows = connection.execute(
            "SELECT rid FROM pseudonym WHERE member = ? AND pid = ?", (member, pid)
        ).fetchall()
        if not rows:
            raise LookupError(f"{member} knows nobody by this pseudonym")
        rid = Rid(bytes(rows[0][0]))
        merges = merges_into(connection, rid)
        if not merges:
            return self._pid(connection, rid, heir, at)
        line = line_of(merges, member, pid)
        for (known,) in connection.execute(
            "SELECT pid FROM pseudonym WHERE rid = ? AND member = ? ORDER BY since, pid", (rid, heir)
        ).fetchall():
            if line_of(merges, heir, str(known)) == line:
                return Pid(known)
        own = line[0].other if line else rid
        made = self._new_pid(connection, rid, heir, at, of=own)
        note_brought(connection, line, heir, made)
        return made

    def pid_at_heir(self, member: str, pid: Pid, heir: str, at: date) -> Pid:
        """`heir_pid` in a transaction of its own. Raises LookupError."""
        with self._database.transaction() as connection:
            return self.heir_pid(connection, member, pid, heir, at)

    def _pid(self, connection: Transaction, rid: Rid, member: str, at: date) -> Pid:
        """Stored, never computed again: after a merge the PID that an institute keeps is not the one its RID would give."""
        rows = connection.execute(
            "SELECT p.pid FROM pseudonym p LEFT JOIN link l ON l.member = p.member AND l.pid = p.pid "
            "WHERE p.rid = ? AND p.member = ? ORDER BY CASE WHEN l.pid IS NULL THEN 2 WHEN l.until IS NULL THEN 0 "
            "ELSE 1 END, p.since, p.pid",
            (rid, member),
        ).fetchall()
        if rows:
            return Pid(rows[0][0])
        return self._new_pid(connection, rid, member, at, of=rid)

    def _new_pid(self, connection: Transaction, rid: Rid, member: str, at: date, *, of: Rid) -> Pid:
        """A pseudonym that leads to a record, made for it or ``of`` one that has become part of it."""
        pid = institute_pid(self._keys.pid, self._keys.version, of, member)
        connection.execute(
            "INSERT INTO pseudonym (member, pid, rid, key_version, since) VALUES (?, ?, ?, ?, ?)",
            (member, pid, rid, self._keys.version, at.isoformat()),
        )
        return pid

    def _link(self, connection: Transaction, rid: Rid, member: str, at: date, *, has_history: bool) -> Pid:
        pid = self._pid(connection, rid, member, at)
        moment, was_linked = datetime.combine(at, time(), UTC), (member, pid) in links_of(connection, rid)
        connection.execute(
            "INSERT INTO link (member, pid, rid, since, has_history, key_version) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (member, pid) DO UPDATE SET until = NULL, has_history = "
            "CASE WHEN excluded.has_history = 1 THEN 1 ELSE link.has_history END",
            (member, pid, rid, at.isoformat(), int(has_history), self._keys.version),
        )
        if not was_linked:
            notify_joined(connection, rid, member, pid, moment)
        reconcile(connection, rid, moment)
        return pid

    def holders(self, rid: Rid) -> list[str]:
        """The members that hold a history of the person."""
        rows = self._database.query(
            "SELECT DISTINCT member FROM link WHERE rid = ? AND has_history = 1 AND until IS NULL ORDER BY member",
            (rid,),
        )
        return [str(r[0]) for r in rows]

    def linked(self, rid: Rid) -> list[str]:
        """Every member that holds the person now."""
        return list(dict.fromkeys(member for member, _ in self.links(rid)))

    def links(self, rid: Rid) -> list[tuple[str, Pid]]:
        """The members that hold the person now, each with its own stored PID."""
        with self._database.transaction() as connection:
            return links_of(connection, rid)

    # Events and reviews

    def reports(self, rid: Rid) -> list[EventReport]:
        """The vital events that have been reported of a person."""
        with self._database.transaction() as connection:
            return reports_of(connection, rid)

    def reports_in(self, case: str) -> list[EventReport]:
        """The vital events of the person whom a case is about."""
        rows = self._database.query("SELECT rid FROM vital_case WHERE case_id = ?", (case,))
        return self.reports(Rid(bytes(rows[0][0]))) if rows else []

    def open_cases(self) -> list[tuple[str, str]]:
        """The cases about contradictory reports that wait for an officer, each with its reason."""
        rows = self._database.query(
            "SELECT case_id, reason FROM vital_case WHERE closed_at IS NULL ORDER BY case_id"
        )
        return [(str(r[0]), str(r[1])) for r in rows]

    def born(self, rid: Rid) -> date | None:
        """The birth date that the person's CURP tells; None without a CURP."""
        # Whatever transaction this is read in, the birth date of a record does not change in it.
        rows = self._database.query("SELECT curp_cipher FROM person WHERE rid = ?", (rid,))
        if not rows or rows[0][0] is None:
            return None
        stored = bytes(rows[0][0])
        curp = self._cipher.decrypt(stored[:12], stored[12:], rid).decode("ascii")
        return parse_curp(curp, date.max).born

    def note_review(self, rid: Rid, other: Rid) -> None:
        """Note that two records may be one person's; until an officer decides, her match is not conclusive."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE review SET decided_by = NULL, signature = NULL WHERE rid = ? AND other = ?",
                (other, rid),
            )
            connection.execute(
                "INSERT INTO review (rid, other) SELECT ?, ? WHERE NOT EXISTS "
                "(SELECT 1 FROM review WHERE rid = ? AND other = ?) "
                "ON CONFLICT (rid, other) DO UPDATE SET decided_by = NULL, signature = NULL",
                (rid, other, other, rid),
            )

    def is_under_review(self, rid: Rid) -> bool:
        """Whether an officer must decide who this is."""
        return bool(
            self._database.query(
                "SELECT 1 FROM review WHERE (rid = ? OR other = ?) AND decided_by IS NULL", (rid, rid)
            )
        )

    def are_under_review(self, rid: Rid, other: Rid) -> bool:
        """Whether an officer must decide whether these two are one person."""
        return bool(
            self._database.query(
                "SELECT 1 FROM review WHERE decided_by IS NULL AND ((rid = ? AND other = ?) OR (rid = ? AND other = ?))",
                (rid, other, other, rid),
            )
        )

    def merge(self, rid: Rid, other: Rid, officer: str, signature: str, at: datetime | None = None) -> int:
        """Make two records one, by an officer's decision whose signature the caller has verified; the merge's number."""
        with self._database.transaction() as connection:
            return merge_records(connection, rid, other, officer, signature, at or datetime.now(UTC))

    def distinct(self, rid: Rid, other: Rid, officer: str, signature: str) -> None:
        """Decide that two records under review are two persons', by a decision whose signature the caller has verified."""
        with self._database.transaction() as connection:
            settle_distinct(connection, rid, other, officer, signature)

    def unmerge(self, number: int, officer: str, signature: str, at: datetime) -> None:
        """Make the records of a merge two again, by an officer's decision whose signature the caller has verified."""
        with self._database.transaction() as connection:
            unmerge_records(connection, number, officer, signature, at)

    def merge_of(self, number: int) -> Merge:
        """A merge that has not been undone. Raises ValueError."""
        with self._database.transaction() as connection:
            return find_merge(connection, number)

    def add_officer(self, name: str, public_key: str) -> None:
        """Remember the key (PEM) with which an officer signs her decisions. Raises ValueError."""
        check_officer_key(public_key)
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO officer (name, public_key) VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET public_key = excluded.public_key",
                (name, public_key),
            )

    def officer_key(self, name: str) -> str | None:
        """The key with which an officer signs."""
        rows = self._database.query("SELECT public_key FROM officer WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else None

    def decision(self, act: str, officer: str, *records: Rid) -> bytes:
        """The bytes that an officer signs to merge records, or to part them again."""
        return statement(self._keys.index, act, officer, *records)

    @property
    def database(self) -> AnyDatabase:
        """The database, which the outbox shares."""
        return self._database

    # Recipients, notices, cases, quota

    def add_recipient(self, member: str, jwk: str) -> None:
        """Remember a member's public key for tokens."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO recipient (member, jwk) VALUES (?, ?) "
                "ON CONFLICT (member) DO UPDATE SET jwk = excluded.jwk",
                (member, jwk),
            )

    def add_first_recipient(self, member: str, jwk: str) -> str:
        """Remember a member's public key where none is known; the one that is known after it."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO recipient (member, jwk) VALUES (?, ?) ON CONFLICT (member) DO NOTHING",
                (member, jwk),
            )
            ((known,),) = connection.execute(
                "SELECT jwk FROM recipient WHERE member = ?", (member,)
            ).fetchall()
        return str(known)

    def recipient(self, member: str) -> str | None:
        """A member's public key as a JWK, for tokens to it; None when it has none here."""
        rows = self._database.query("SELECT jwk FROM recipient WHERE member = ?", (member,))
        return str(rows[0][0]) if rows else None

    def _person(self, sql: str, parameters: Sequence[object]) -> Person | None:
        rows = self._database.query(sql, parameters)
        return Person(Rid(bytes(rows[0][0])), int(rows[0][1]), str(rows[0][2])) if rows else None

    def _add_index(self, connection: Transaction, curp: Curp, rid: Rid) -> None:
        index = curp_index(self._keys.index, self._keys.version, curp.value)
        # RETURNING gives the owner also when the row was there: one statement, so two officers cannot both win.
        ((owner,),) = connection.execute(
            "INSERT INTO curp_index (idx, key_version, rid, is_current) VALUES (?, ?, ?, 1) "
            "ON CONFLICT (idx) DO UPDATE SET is_current = "
            "CASE WHEN curp_index.rid = excluded.rid THEN 1 ELSE curp_index.is_current END RETURNING rid",
            (index, self._keys.version, rid),
        ).fetchall()
        if bytes(owner) != rid:
            raise InputError("curp", "the registry knows another person under this CURP; nothing was written")

    def _encrypt(self, rid: Rid, curp: str) -> bytes:
        nonce = secrets.token_bytes(12)
        return nonce + self._cipher.encrypt(nonce, curp.encode("ascii"), rid)
