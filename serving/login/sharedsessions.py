"""Browser sessions in the database that several nodes share: a login at one of them is one at every other, and so is a form that was sent,
and a login that waits at another server."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from schemas.jsontext import decode_json, encode_json
from serving.login.sessions import (
    MOST_WAITING,
    FormState,
    LiveSession,
    Session,
    WaitingLogin,
    digest_of,
)
from serving.login.users import User

if TYPE_CHECKING:
    from serving.storage.database import AnyDatabase


# A form is known for so long after it was sent; what a node was carrying out as it was killed may be sent again then.
FORM_KEPT_MS = 600_000
# No setting lets a login wait longer.
WAITING_KEPT_MS = 3_600_000


class SharedSessions:
    """Browser sessions that every node knows. Times are the database's, so those that are passed in are not used."""

    def __init__(self, database: AnyDatabase, idle_s: float) -> None:
        self._database = database
        self._idle_ms = int(idle_s * 1000)

    def begin(self, user: User, now_s: float) -> tuple[str, Session]:
        """A new session and the value of its cookie."""
        return self._keep(Session(user.name, user.stamp, secrets.token_hex(16), now_s), None)

    def begin_vouched(self, user: User, now_s: float, life_s: float) -> tuple[str, Session]:
        """The same for somebody whom another server vouches for; it ends after ``life_s`` whatever happens."""
        session = Session(user.name, user.stamp, secrets.token_hex(16), now_s, user, now_s + life_s)
        return self._keep(session, int(life_s * 1000))

    def _keep(self, session: Session, life_ms: int | None) -> tuple[str, Session]:
        token = secrets.token_hex(32)
        with self._database.transaction() as transaction:
            transaction.execute(
                "DELETE FROM session WHERE used_ms < now_ms() - ? OR ends_ms < now_ms()",
                (self._idle_ms,),
            )
            transaction.execute(
                "INSERT INTO session (token, name, stamp, csrf, vouched, used_ms, ends_ms) "
                "VALUES (?, ?, ?, ?, ?, now_ms(), now_ms() + CAST(? AS BIGINT))",  # a life of NULL has no end
                (
                    digest_of(token),
                    session.name,
                    session.stamp,
                    session.csrf,
                    _user_text(session.vouched),
                    life_ms,
                ),
            )
        return token, session

    def find(self, token: str, now_s: float, *, prolong: bool = True) -> Session | None:
        """The live session of a cookie, or None."""
        found = self._database.query(
            "SELECT name, stamp, csrf, vouched, now_ms() - used_ms FROM session WHERE token = ? "
            "AND used_ms >= now_ms() - ? AND (ends_ms IS NULL OR ends_ms > now_ms())",
            (digest_of(token), self._idle_ms),
        )
        if not found:
            return None
        name, stamp, csrf, vouched, idle_ms = found[0]
        if prolong and idle_ms >= 1000:  # at most a change a second
            with self._database.transaction() as transaction:
                transaction.execute(
                    "UPDATE session SET used_ms = now_ms() WHERE token = ?",
                    (digest_of(token),),
                )
        return Session(name, stamp, csrf, now_s, _user(vouched))

    def end(self, token: str) -> None:
        """Forget a session by its token, at every node; one that is unknown is no error."""
        with self._database.transaction() as transaction:
            transaction.execute("DELETE FROM session WHERE token = ?", (digest_of(token),))

    def live(self, now_s: float) -> list[LiveSession]:
        """Every live session at any node, the one used last first; ``now_s`` is not used, for times are the database's."""
        found = self._database.query(
            "SELECT name, now_ms() - used_ms, vouched FROM session WHERE used_ms >= now_ms() - ? "
            "AND (ends_ms IS NULL OR ends_ms > now_ms()) ORDER BY used_ms DESC",
            (self._idle_ms,),
        )
        return [LiveSession(name, idle_ms / 1000, vouched is not None) for name, idle_ms, vouched in found]

    def end_of(self, name: str) -> None:
        """Forget every session of somebody, at every node."""
        with self._database.transaction() as transaction:
            transaction.execute("DELETE FROM session WHERE name = ?", (name,))

    def begin_form(self, sending: str) -> FormState:
        """Take a form that was sent to be carried out at this node (NEW), unless another node has it."""
        digest = digest_of(sending)
        with self._database.transaction() as transaction:
            transaction.execute("DELETE FROM sent_form WHERE sent_ms < now_ms() - ?", (FORM_KEPT_MS,))
            # Of two nodes at once the later one waits here for the earlier one's commit, and inserts nothing.
            taken = transaction.execute(
                "INSERT INTO sent_form (sending, sent_ms, is_done) VALUES (?, now_ms(), 0) "
                "ON CONFLICT (sending) DO NOTHING RETURNING sending",
                (digest,),
            )
            if taken.fetchall():
                return FormState.NEW
        found = self._database.query("SELECT is_done FROM sent_form WHERE sending = ?", (digest,))
        return FormState.DONE if found and found[0][0] else FormState.RUNNING

    def end_form(self, sending: str, *, is_done: bool) -> None:
        """Note at every node that a form was carried out; one that was refused may be sent again."""
        statement = (
            "UPDATE sent_form SET is_done = 1 WHERE sending = ?"
            if is_done
            else "DELETE FROM sent_form WHERE sending = ?"
        )
        with self._database.transaction() as transaction:
            transaction.execute(statement, (digest_of(sending),))

    def keep_waiting(self, state: str, login: WaitingLogin, now_s: float) -> None:
        """Keep a login that is on its way where every node can take it; ``now_s`` is not used, for times are the database's."""
        with self._database.transaction() as transaction:
            transaction.execute(
                "INSERT INTO waiting_login (state, nonce, verifier, browser, back, begun_ms) "
                "VALUES (?, ?, ?, ?, ?, now_ms())",
                (digest_of(state), login.nonce, login.verifier, login.browser, login.back),
            )
            transaction.execute(
                "DELETE FROM waiting_login WHERE begun_ms < now_ms() - ? OR state IN "
                "(SELECT state FROM waiting_login ORDER BY begun_ms DESC OFFSET ?)",
                (WAITING_KEPT_MS, MOST_WAITING),
            )

    def take_waiting(self, state: str, now_s: float) -> tuple[WaitingLogin, float] | None:
        """A login on its way and the seconds since it began at whichever node; of two nodes at once one takes it out."""
        with self._database.transaction() as transaction:
            found = transaction.execute(
                "DELETE FROM waiting_login WHERE state = ? "
                "RETURNING nonce, verifier, browser, back, now_ms() - begun_ms",
                (digest_of(state),),
            ).fetchall()
        if not found:
            return None
        nonce, verifier, browser, back, waited_ms = found[0]
        return WaitingLogin(nonce, verifier, browser, back), waited_ms / 1000

    def close(self) -> None:
        """Close the connection; the sessions stay in the database."""
        self._database.close()


def _user_text(user: User | None) -> str | None:
    if user is None:
        return None
    return encode_json([user.name, sorted(user.roles), sorted(user.scope), user.stamp]).decode()


def _user(text: str | None) -> User | None:
    if text is None:
        return None
    name, roles, scope, stamp = decode_json(text)
    return User(name, frozenset(roles), frozenset(scope), stamp)
