"""Browser sessions of an admin API: in memory, idle for a bounded time, each with its own CSRF value.

The cookie holds a random value, the table only its digest. The CSRF value stays the same for the life of a session.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import math
import secrets
from collections import OrderedDict
from typing import TYPE_CHECKING, Protocol

import msgspec

if TYPE_CHECKING:
    from serving.login.users import User

SESSION_COOKIE = "JSESSIONID"
CSRF_COOKIE = "XSRF-TOKEN"
CSRF_HEADER = "X-XSRF-TOKEN"
MOST_SESSIONS = 1000
MOST_WAITING = 1000


class Session(msgspec.Struct):
    """One login: who, since when, until when."""

    name: str
    stamp: str
    csrf: str
    used_s: float
    # Somebody whom another server vouches for, with the time at which that ends; None: a user of ours.
    vouched: User | None = None
    ends_s: float = math.inf

    def accepts(self, header: str | None, cookie: str | None) -> bool:
        """Whether header and cookie both carry this session's CSRF value."""
        return all(
            value is not None and hmac.compare_digest(value.encode(), self.csrf.encode())
            for value in (header, cookie)
        )


class LiveSession(msgspec.Struct, frozen=True):
    """A session as an administrator sees it: whose, unused for how long, and whether another server vouched for its holder."""

    name: str
    idle_s: float
    is_vouched: bool


class WaitingLogin(msgspec.Struct, frozen=True):
    """A login on its way through another server: what its answer must prove, and the page that was asked for before it."""

    nonce: str
    verifier: str
    # Digest of the cookie of the browser that began it.
    browser: str
    # The page of this site that was asked for before the login; empty: none.
    back: str = ""


class FormState(enum.StrEnum):
    """The states of a form that was sent: new, being carried out by another process, or carried out by one."""

    NEW = "new"
    RUNNING = "running"
    DONE = "done"


class SessionStore(Protocol):
    """The port to sessions, and to the forms sent in them: in this process, or shared by several."""

    def begin(self, user: User, now_s: float) -> tuple[str, Session]:
        """A new session and the value of its cookie."""
        ...

    def begin_vouched(self, user: User, now_s: float, life_s: float) -> tuple[str, Session]:
        """The same for somebody whom another server vouches for; it ends after ``life_s`` whatever happens."""
        ...

    def find(self, token: str, now_s: float, *, prolong: bool = True) -> Session | None:
        """The live session of a cookie, or None."""
        ...

    def end(self, token: str) -> None:
        """Forget a session by its token; one that is unknown is no error."""
        ...

    def live(self, now_s: float) -> list[LiveSession]:
        """Every live session, the one used last first."""
        ...

    def end_of(self, name: str) -> None:
        """Forget every session of somebody."""
        ...

    def begin_form(self, sending: str) -> FormState:
        """Take a form that was sent to be carried out here (NEW), unless another process has it."""
        ...

    def end_form(self, sending: str, *, is_done: bool) -> None:
        """Note that a form was carried out; one that was refused may be sent again."""
        ...

    def keep_waiting(self, state: str, login: WaitingLogin, now_s: float) -> None:
        """Keep a login that is on its way under its state; of too many the oldest is forgotten."""
        ...

    def take_waiting(self, state: str, now_s: float) -> tuple[WaitingLogin, float] | None:
        """A login on its way and the seconds since it began, taken out so that no other answer can be its; None: there is none."""
        ...

    def close(self) -> None:
        """Close the store of the sessions; in memory they end with it."""
        ...


class Sessions:
    """The sessions of one process. Times are monotonic seconds."""

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._waiting: OrderedDict[str, tuple[WaitingLogin, float]] = OrderedDict()

    def begin(self, user: User, now_s: float) -> tuple[str, Session]:
        """A new session and the value of its cookie."""
        return self._keep(Session(user.name, user.stamp, secrets.token_hex(16), now_s))

    def begin_vouched(self, user: User, now_s: float, life_s: float) -> tuple[str, Session]:
        """The same for somebody whom another server vouches for; it ends after ``life_s`` whatever happens."""
        csrf = secrets.token_hex(16)
        return self._keep(Session(user.name, user.stamp, csrf, now_s, user, now_s + life_s))

    def _keep(self, session: Session) -> tuple[str, Session]:
        token = secrets.token_hex(32)
        self._sessions[digest_of(token)] = session
        while len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return token, session

    def find(self, token: str, now_s: float, *, prolong: bool = True) -> Session | None:
        """The live session of a cookie, or None; one that was idle too long is forgotten."""
        key = digest_of(token)
        session = self._sessions.get(key)
        if session is None:
            return None
        if now_s - session.used_s > self._idle_s or now_s >= session.ends_s:
            del self._sessions[key]
            return None
        if prolong:
            session.used_s = now_s
            self._sessions.move_to_end(key)
        return session

    def end(self, token: str) -> None:
        """Forget a session by its token; one that is unknown is no error."""
        self._sessions.pop(digest_of(token), None)

    def live(self, now_s: float) -> list[LiveSession]:
        """Every live session, the one used last first."""
        return [
            LiveSession(s.name, now_s - s.used_s, s.vouched is not None)
            for s in reversed(self._sessions.values())
            if now_s - s.used_s <= self._idle_s and now_s < s.ends_s
        ]

    def end_of(self, name: str) -> None:
        """Forget every session of somebody."""
        for key in [k for k, s in self._sessions.items() if s.name == name]:
            del self._sessions[key]

    def begin_form(self, sending: str) -> FormState:
        """NEW: there is no other process, and this one knows its own forms (`serving.web.editing`)."""
        return FormState.NEW

    def end_form(self, sending: str, *, is_done: bool) -> None:
        """Nobody else wants to know."""

    def keep_waiting(self, state: str, login: WaitingLogin, now_s: float) -> None:
        """Keep a login that is on its way under the digest of its state."""
        self._waiting[digest_of(state)] = login, now_s
        while len(self._waiting) > MOST_WAITING:
            self._waiting.popitem(last=False)

    def take_waiting(self, state: str, now_s: float) -> tuple[WaitingLogin, float] | None:
        """A login on its way and the seconds since it began, taken out; None: there is none."""
        found = self._waiting.pop(digest_of(state), None)
        return None if found is None else (found[0], now_s - found[1])

    def close(self) -> None:
        """Forget every session of this process."""
        self._sessions.clear()
        self._waiting.clear()


def digest_of(token: str) -> str:
    """The SHA-256 in hex digits of a value that only the browser shall hold: it is kept in the value's place."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
