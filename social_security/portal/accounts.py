"""Who may log in at a portal, and what the portal remembers of each: the pseudonym, the second proof, the folios.

An account is issued at the branch after a document has been checked in person, which is what makes its holder LOA2 (the
domain reference 5.3); Llave MX would be another way in and is not built. Names and files stay at the institute: a portal
knows an account name, the institute's own pseudonym (PID) and the folios that were filed here. Passwords stand as
argon2id, printed codes as SHA-256.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import date, datetime
from typing import TYPE_CHECKING

from serving.errors import OperatorError
from serving.language import N_
from serving.login.users import Logins
from serving.storage.database import open_database
from social_security.domain.curp import find_curp
from social_security.domain.pseudonyms import Pid, parse_pid
from social_security.portal import onetime
from social_security.portal.certificate import Certificate

if TYPE_CHECKING:
    from pathlib import Path

    from argon2 import PasswordHasher

    from serving.login.users import User

PERSON = "TITULAR"
# Who acts for a person by a mandate that the branch has seen: her pages, her PID, his own account.
REPRESENTATIVE = "REPRESENTANTE"
GUARANTOR = "GARANTE"
# The institute's own people, each by the role that their messages carry.
UNIT = "UNIDAD_TRANSPARENCIA"
COMMITTEE = "COMITE_TRANSPARENCIA"
COUNTER = "ANALISTA_AFILIACION"
STAFF = (UNIT, COMMITTEE, COUNTER)
# Those of ONIESS, and of the registry.
OPERATOR = "OPERADOR_ALTA"
OFFICER = "OFICIAL_REGISTRO"
LISTED_CODES = 10
# Crockford's alphabet: no letter that is read for another.
_LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
STEPS = (
    """
    CREATE TABLE second_proof (
        name TEXT PRIMARY KEY,
        secret BLOB NOT NULL,
        last_counter INTEGER NOT NULL
    );
    CREATE TABLE listed_code (
        digest TEXT PRIMARY KEY,
        name TEXT NOT NULL
    );
    CREATE TABLE folio (
        folio TEXT NOT NULL,
        name TEXT NOT NULL,
        members TEXT NOT NULL,
        filed_at TEXT NOT NULL,
        what TEXT NOT NULL,
        PRIMARY KEY (folio)
    );
    """,
    # Certificates that were issued here: what they say in numbers, and nothing of whom.
    """
    CREATE TABLE certificate (
        code TEXT PRIMARY KEY,
        issued_at TEXT NOT NULL,
        days INTEGER NOT NULL,
        overlap INTEGER NOT NULL,
        complete INTEGER NOT NULL,
        sha256 TEXT NOT NULL
    );
    """,
    # By which document an account acts for its person, and up to which day.
    """
    CREATE TABLE mandate (
        name TEXT PRIMARY KEY,
        sha256 TEXT NOT NULL,
        until TEXT NOT NULL
    );
    """,
    # Whose an account's name is for ever, by the digest of her PID: folios and a mandate go by the name.
    # And the end of the PID that a certificate is about, as it stands on the paper; of earlier certificates it is not known.
    """
    CREATE TABLE holder (
        name TEXT PRIMARY KEY,
        sha256 TEXT NOT NULL
    );
    ALTER TABLE certificate ADD COLUMN pid_end TEXT NOT NULL DEFAULT '';
    """,
)


@dataclass(frozen=True, slots=True, repr=False)
class NewAccount:
    """The proofs of a new account, shown this once: password, URI of the one-time code, listed codes."""

    password: str
    uri: str
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mandate:
    """The digest of the document by which somebody acts for a person, and its last day."""

    sha256: str
    until: date


@dataclass(frozen=True, slots=True)
class Filed:
    """A request that a person filed here, and at which members."""

    folio: str
    members: tuple[str, ...]
    filed_at: datetime
    what: str


class Accounts:
    """The accounts of one portal, in its folder."""

    def __init__(self, folder: Path, hasher: PasswordHasher | None = None) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.logins = Logins(folder / "accounts.sqlite", hasher)
        self._database = open_database(folder / "portal.sqlite", STEPS)
        (folder / "portal.sqlite").chmod(0o600)

    def close(self) -> None:
        """Close the databases of logins and of the portal."""
        self.logins.close()
        self._database.close()

    def issue(self, name: str, pid: str | None, issuer: str, role: str | None = None) -> NewAccount:
        """A new account, or new proofs for one that is there: a person's with her PID, else of a role, a guarantor's unless it is named.

        Raises `OperatorError`: a name that has been another's is not given, nor one of who works here to a person.
        """
        if find_curp(name.upper()):
            raise OperatorError(N_("an account name must not be a CURP: it would stand in logs"))
        if pid is not None:
            parse_pid(pid)
        self._claim(name, pid)
        password, secret = _printed(5), secrets.token_bytes(20)
        codes = tuple(_printed(4) for _ in range(LISTED_CODES))
        chosen_role = role or (GUARANTOR if pid is None else PERSON)
        self.logins.save_user(name, password, [chosen_role], [] if pid is None else [pid])
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO second_proof (name, secret, last_counter) VALUES (?, ?, 0) "
                "ON CONFLICT (name) DO UPDATE SET secret = excluded.secret, last_counter = 0",
                (name, secret),
            )
            connection.execute("DELETE FROM listed_code WHERE name = ?", (name,))
            connection.executemany(
                "INSERT INTO listed_code (digest, name) VALUES (?, ?)",
                [(onetime.listed_digest(onetime.as_typed(c)), name) for c in codes],
            )
        return NewAccount(password, onetime.enrolment_uri(secret, name, issuer), codes)

    def _claim(self, name: str, pid: str | None) -> None:
        """Bind a name to a person, or to nobody in particular, before the account is made; what goes by the name is then hers alone."""
        own, user = _digest(pid), self.logins.user(name)
        with self._database.transaction() as connection:
            row = connection.execute("SELECT sha256 FROM holder WHERE name = ?", (name,)).fetchone()
            known = None if row is None else str(row[0])
            if known is None and user is not None:
                known = _digest(next(iter(user.scope), None))
            elif (
                known is None and connection.execute("SELECT 1 FROM folio WHERE name = ?", (name,)).fetchone()
            ):
                known = "of an account that was removed before holders were noted"
            if known not in (None, own):
                raise OperatorError(
                    N_(
                        "the account name {name} is, or was, another's: her requests go by it. Choose another name",
                        name=name,
                    )
                )
            # On disk now: the name is hers; a crash here leaves it to the same command again.
            connection.execute(
                "INSERT INTO holder (name, sha256) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", (name, own)
            )

    def remove(self, name: str) -> None:
        """Forget an account and its proofs; sessions end. Folios stay, and whose the name was, so that nobody gets one again."""
        self.logins.remove_user(name)
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM second_proof WHERE name = ?", (name,))
            connection.execute("DELETE FROM listed_code WHERE name = ?", (name,))
            connection.execute("DELETE FROM mandate WHERE name = ?", (name,))

    def note_mandate(self, name: str, mandate: Mandate) -> None:
        """Note by which document, and how long, a representative's account acts; without one it opens nothing."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO mandate (name, sha256, until) VALUES (?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET sha256 = excluded.sha256, until = excluded.until",
                (name, mandate.sha256, mandate.until.isoformat()),
            )

    def mandate(self, name: str) -> Mandate | None:
        """The mandate of an account, or None."""
        rows = self._database.query("SELECT sha256, until FROM mandate WHERE name = ?", (name,))
        return Mandate(rows[0][0], date.fromisoformat(rows[0][1])) if rows else None

    def prove(self, name: str, password: str, code: str, now: datetime) -> User | None:
        """The user whose password and code these are, or None; the code is used up. Slow on purpose: in a thread."""
        user = self.logins.verify_password(name, password)
        typed = onetime.as_typed(code)
        if user is None or not self._take_code(name, typed, now):
            return None
        return user

    def _take_code(self, name: str, code: str, now: datetime) -> bool:
        with self._database.transaction() as connection:
            if len(code) != onetime.DIGITS:
                done = connection.execute(
                    "DELETE FROM listed_code WHERE digest = ? AND name = ?",
                    (onetime.listed_digest(code), name),
                )
                return done.rowcount == 1
            row = connection.execute(
                "SELECT secret, last_counter FROM second_proof WHERE name = ?", (name,)
            ).fetchone()
            counter = None if row is None else onetime.find_counter(bytes(row[0]), code, now, int(row[1]))
            if counter is None:
                return False
            done = connection.execute(
                "UPDATE second_proof SET last_counter = ? WHERE name = ? AND last_counter < ?",
                (counter, name, counter),
            )
            return done.rowcount == 1

    def listed_left(self, name: str) -> int:
        """The number of printed codes that an account has left."""
        ((count,),) = self._database.query("SELECT count(*) FROM listed_code WHERE name = ?", (name,))
        return int(count)

    # Certificates

    def note_certificate(self, c: Certificate) -> None:
        """Note a certificate before it is handed out, so that every one that is out can be checked."""
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO certificate (code, issued_at, days, overlap, complete, sha256, pid_end) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (c.code, c.issued_at.isoformat(), c.days, c.overlap, int(c.is_complete), c.sha256, c.pid_end),
            )

    def certificate(self, code: str) -> Certificate | None:
        """The certificate of a code, or None."""
        rows = self._database.query(
            "SELECT code, issued_at, days, overlap, complete, sha256, pid_end FROM certificate WHERE code = ?",
            (code,),
        )
        if not rows:
            return None
        r = rows[0]
        return Certificate(r[0], datetime.fromisoformat(r[1]), int(r[2]), int(r[3]), bool(r[4]), r[5], r[6])

    # Folios

    def note_folio(self, name: str, filed: Filed) -> bool:
        """Note a request of a person; False when the folio is in use."""
        with self._database.transaction() as connection:
            done = connection.execute(
                "INSERT INTO folio (folio, name, members, filed_at, what) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT (folio) DO NOTHING",
                (filed.folio, name, ",".join(filed.members), filed.filed_at.isoformat(), filed.what),
            )
            return done.rowcount == 1

    def drop_folio(self, name: str, folio: str) -> None:
        """Forget a request that no member took."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM folio WHERE name = ? AND folio = ?", (name, folio))

    def folios(self, name: str) -> list[Filed]:
        """The requests that a person filed here, newest first."""
        rows = self._database.query(
            "SELECT folio, members, filed_at, what FROM folio WHERE name = ? ORDER BY filed_at DESC, folio",
            (name,),
        )
        return [_filed(r) for r in rows]

    def folio(self, name: str, folio: str) -> Filed | None:
        """One of a person's own requests; anybody else's is None."""
        rows = self._database.query(
            "SELECT folio, members, filed_at, what FROM folio WHERE name = ? AND folio = ?", (name, folio)
        )
        return _filed(rows[0]) if rows else None


def pid_of(user: User) -> Pid:
    """The pseudonym of a person's account."""
    (pid,) = user.scope
    return parse_pid(pid)


def _digest(pid: str | None) -> str:
    """Whose a name is: of a person her PID's digest, else empty."""
    return "" if pid is None else hashlib.sha256(pid.encode("ascii")).hexdigest()


def _filed(row: tuple[str, str, str, str]) -> Filed:
    return Filed(row[0], tuple(row[1].split(",")), datetime.fromisoformat(row[2]), row[3])


def _printed(groups: int) -> str:
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(groups))
