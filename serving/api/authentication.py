"""Who is calling an admin API: an API key, a name with its password, or a session, each where it is allowed.

An API key opens everything but the management of keys; a name with its password only that, from the addresses listed;
a session opens everything and needs its CSRF value on every call, reads included. Every refusal of something that was
shown (a wrong password, an expired key, a missing CSRF value) is written to the audit log.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from serving.api.limits import AddressList, LoginLock
from serving.api.operations import Principal
from serving.api.problems import Problem, forbidden
from serving.errors import Refused
from serving.login.ldap.directory import PREFIX
from serving.login.oidc.token import ProviderCode
from serving.login.sessions import CSRF_COOKIE, CSRF_HEADER, SESSION_COOKIE, Session, Sessions
from serving.login.users import User
from serving.storage.audit import AuditEntry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime

    from aiohttp import web

    from serving.config.adminsettings import AdminSettings
    from serving.login.ldap.directory import LdapDirectory
    from serving.login.sessions import LiveSession, SessionStore
    from serving.login.users import Logins, Roles
    from serving.storage.audit import AuditLog

KEY_MANAGEMENT = "/api/v1/api-keys"
# Polls of a page that is merely open must not keep its session alive.
NOT_PROLONGING = "/api/v1/notifications/"
PASSWORDS_AT_ONCE = 2
# Each waits for another machine, so they are apart: a directory that hangs keeps nobody of this server's own users out.
DIRECTORY_LOGINS_AT_ONCE = 8


class AccessEvent(enum.StrEnum):
    """The audit log's names of what is no operation of an API: X-Road's own (`RestApiAuditEvent`)."""

    LOGIN = "FORM_LOGIN"
    LOGOUT = "FORM_LOGOUT"
    BASIC = "KEY_MANAGEMENT_PAM_LOGIN"
    API_KEY = "API_KEY_AUTHENTICATION"
    # Somebody known who may not do this: a form of another session, or reading without the permission.
    CHECK = "UNSPECIFIED_ACCESS_CHECK"


@dataclass(frozen=True, slots=True)
class Clock:
    """The two times an edge needs, passed in."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]


class Authentication:
    """Turns a request into a `Principal`, or refuses it."""

    def __init__(
        self,
        settings: AdminSettings,
        logins: Logins,
        roles: Roles,
        audit: AuditLog,
        clock: Clock,
        sessions: SessionStore | None = None,
        directory: LdapDirectory | None = None,
    ) -> None:
        self._logins = logins
        self._directory = directory
        self._roles = roles
        self._audit = audit
        self._clock = clock
        self.sessions: SessionStore = sessions or Sessions(settings.session_idle_s)
        self._lock = LoginLock(settings.login_attempts, settings.login_lock_s)
        self._api_addresses = AddressList.parse(settings.api_addresses)
        self._key_addresses = AddressList.parse(settings.key_management_addresses)
        self._passwords = asyncio.Semaphore(PASSWORDS_AT_ONCE)
        self._directory_logins = asyncio.Semaphore(DIRECTORY_LOGINS_AT_ONCE)

    async def authenticate(self, request: web.Request, address: str) -> Principal:
        """Who calls. Raises `Problem` 401 or 403."""
        scheme, _, rest = request.headers.get("Authorization", "").partition(" ")
        manages_keys = request.path == KEY_MANAGEMENT or request.path.startswith(KEY_MANAGEMENT + "/")
        if scheme.lower() == "x-road-apikey" and not manages_keys:
            return self._by_api_key(rest, address)
        if scheme.lower() == "basic" and manages_keys:
            return await self._by_basic(rest, address)
        token = request.cookies.get(SESSION_COOKIE)
        if token is not None and scheme == "":
            return self._by_session(request, token, address)
        raise Problem(401)

    async def log_in(self, name: str, password: str, address: str) -> tuple[str, Session]:
        """Check name and password; a new session and the value of its cookie. Raises `Problem` 401."""
        user = await self._check_password(name, password, address, AccessEvent.LOGIN)
        self._record(AccessEvent.LOGIN, "done", user.name, address)
        if self._directory is not None and not user.stamp:  # the directory's
            return self.sessions.begin_vouched(user, self._clock.monotonic(), self._directory.session_s)
        return self.sessions.begin(user, self._clock.monotonic())

    def admit(
        self, event: str, user: User, address: str, life_s: float, **facts: object
    ) -> tuple[str, Session]:
        """A session for somebody whom another server has proved; it ends after ``life_s`` whatever happens."""
        self._audit.append(AuditEntry(self._clock.now(), user.name, address, event, "done", detail=facts))
        return self.sessions.begin_vouched(user, self._clock.monotonic(), life_s)

    def refuse(self, event: str, who: str, address: str, reason: str) -> None:
        """Record that somebody was not let in."""
        self._refused(event, who, address, reason)

    def log_out(self, request: web.Request, address: str) -> None:
        """End the session of a request. Raises `Problem` when it shows none, or no CSRF value."""
        token = request.cookies.get(SESSION_COOKIE)
        if token is None:
            raise Problem(401)
        principal = self._by_session(request, token, address)
        self.sessions.end(token)
        self._record(AccessEvent.LOGOUT, "done", principal.name, address)

    def visitor(self, request: web.Request) -> tuple[Session, Principal] | None:
        """The live session of a page's request and who it is. What a form changes needs the session's CSRF value beside."""
        token = request.cookies.get(SESSION_COOKIE)
        found = None if token is None else self._live_session(token, prolong=True)
        return None if found is None else (found[0], self.principal_of(found[1], "session"))

    def end(self, request: web.Request, address: str) -> None:
        """End the session of a page's request."""
        token = request.cookies.get(SESSION_COOKIE)
        found = self.visitor(request)
        if token is not None and found is not None:
            self.sessions.end(token)
            self._record(AccessEvent.LOGOUT, "done", found[1].name, address)

    def live_sessions(self) -> Sequence[LiveSession]:
        """Every session that lives, the one used last first; one whose user has changed since does no longer."""
        return self.sessions.live(self._clock.monotonic())

    def end_sessions_of(self, name: str) -> None:
        """End every session of somebody, be it a user of ours or one whom another server vouches for."""
        self.sessions.end_of(name)

    async def check_own_password(self, name: str, password: str, address: str) -> User:
        """The user whose password this is, tried as at the door, so that a stolen session guesses no more often. Raises `Problem`."""
        try:
            return await self._check_password(name, password, address, "CHANGE_OWN_PASSWORD", own=True)
        except Problem as problem:
            raise forbidden("wrong_password", "the password until now is another one") from problem

    def session_is_valid(self, request: web.Request) -> bool:
        """Whether the request's session lives; asking does not prolong it."""
        token = request.cookies.get(SESSION_COOKIE)
        return token is not None and self._live_session(token, prolong=False) is not None

    def principal_of(self, user: User, by: str) -> Principal:
        """The permissions of a user, and by which way (``by``) the user logged in."""
        return Principal(user.name, by, user.roles, self._roles.of(user.roles), user.scope)

    # The three ways

    def _by_api_key(self, rest: str, address: str) -> Principal:
        name, _, key = rest.strip().partition("=")
        found = self._logins.find_api_key(key.strip()) if name.strip().lower() == "token" and key else None
        if found is None:
            raise self._refused(AccessEvent.API_KEY, "unknown", address, "the API key is not known")
        if found.has_expired(self._clock.now()):
            raise self._refused(
                AccessEvent.API_KEY, f"api-key-{found.id}", address, "the API key has expired"
            )
        if not self._api_addresses.admits(address):
            reason = f"API keys may not be used from {address}"
            raise self._refused(AccessEvent.API_KEY, f"api-key-{found.id}", address, reason, 403)
        return Principal(
            f"api-key-{found.id}", "api-key", found.roles, self._roles.of(found.roles), found.scope
        )

    async def _by_basic(self, rest: str, address: str) -> Principal:
        if not self._key_addresses.admits(address):
            reason = f"API keys may not be managed from {address}"
            raise self._refused(AccessEvent.BASIC, "unknown", address, reason, 403)
        try:
            name, _, password = base64.b64decode(rest.strip(), validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError) as err:
            raise Problem(401) from err
        user = await self._check_password(name, password, address, AccessEvent.BASIC)
        return self.principal_of(user, "basic")

    def _by_session(self, request: web.Request, token: str, address: str) -> Principal:
        prolong = not request.path.startswith(NOT_PROLONGING)
        found = self._live_session(token, prolong=prolong)
        if found is None:
            raise Problem(401)
        session, user = found
        if not session.accepts(request.headers.get(CSRF_HEADER), request.cookies.get(CSRF_COOKIE)):
            reason = f"header {CSRF_HEADER} must repeat the cookie {CSRF_COOKIE}"
            raise self._refused(AccessEvent.CHECK, user.name, address, reason, 403)
        return self.principal_of(user, "session")

    def _live_session(self, token: str, *, prolong: bool) -> tuple[Session, User] | None:
        session = self.sessions.find(token, self._clock.monotonic(), prolong=prolong)
        if session is not None and session.vouched is not None:
            return session, session.vouched
        user = None if session is None else self._logins.user(session.name)
        if session is None or user is None or user.stamp != session.stamp:
            self.sessions.end(token)
            return None
        return session, user

    async def _check_password(
        self, name: str, password: str, address: str, event: str, *, own: bool = False
    ) -> User:
        """The user whose password this is; of users that are not the server's ``own`` the directory says it. Raises `Problem`."""
        now_s = self._clock.monotonic()
        shown = name[:255] or "unknown"
        if self._lock.is_locked(shown, address, now_s):
            raise self._refused(event, shown, address, "too many wrong logins; locked for a while")
        user = None
        if 0 < len(name) <= 255 and len(password) <= 255:
            async with self._passwords:
                # Asked again: many may have waited here together.
                if self._lock.is_locked(shown, address, now_s):
                    raise self._refused(event, shown, address, "too many wrong logins; locked for a while")
                user = await asyncio.to_thread(self._logins.verify_password, name, password)
        if user is None and not own and shown == name:
            user = await self._ask_directory(name, password, address, event)
        if user is None:
            self._lock.failed(shown, address, now_s)
            raise self._refused(event, shown, address, "wrong name or password")
        self._lock.succeeded(shown, address)
        return user

    async def _ask_directory(self, name: str, password: str, address: str, event: str) -> User | None:
        """The user that the directory proves; None without a directory, and for a name that the server has itself. Raises `Problem`."""
        if self._directory is None or self._logins.user(name) is not None:
            return None
        try:
            async with self._directory_logins:
                identity = await self._directory.identify(name, password)
        except Refused as refusal:
            entry = AuditEntry(
                self._clock.now(), name, address, event, "refused", detail={"reason": str(refusal)}
            )
            self._audit.refuse(entry, self._clock.monotonic())
            if refusal.code is ProviderCode.PROVIDER_FAILED:
                # Nobody's password was tried, so nobody comes nearer to being locked.
                raise Problem(refusal.code.status, refusal.code) from refusal
            self._lock.failed(name, address, self._clock.monotonic())
            raise Problem(401) from refusal
        return User(PREFIX + identity.name, identity.roles, identity.clients, "")

    # Records

    def _refused(self, event: str, who: str, address: str, reason: str, status: int = 401) -> Problem:
        entry = AuditEntry(self._clock.now(), who, address, event, "refused", detail={"reason": reason})
        self._audit.refuse(entry, self._clock.monotonic())
        return forbidden("forbidden", reason) if status == 403 else Problem(401)

    def _record(self, event: str, outcome: str, who: str, address: str) -> None:
        self._audit.append(AuditEntry(self._clock.now(), who, address, event, outcome))


def check_roles_known(roles: Iterable[str], known: Iterable[str]) -> None:
    """Refuse role names that this server does not have."""
    unknown = sorted(set(roles) - set(known))
    if unknown:
        raise Problem(400, "invalid_role", unknown)
