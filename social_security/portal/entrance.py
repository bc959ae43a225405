"""Logging in and out of a portal: two proofs, a session in a cookie, a CSRF value in every form, wrong tries locked out.

A session begins with a fresh random value at every login; one that a browser brought along is never taken over. Every
login, wrong one and logout is on the portal's chained audit log, with the account's name and no proof.
"""

from __future__ import annotations

import asyncio
import hmac
from typing import TYPE_CHECKING

from aiohttp import web

from serving.api.limits import LoginLock
from serving.api.problems import Problem
from serving.language import N_
from serving.login.sessions import Session, Sessions
from serving.storage.audit import AuditEntry, AuditLog
from serving.web.pages import redirect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.api.authentication import Clock
    from serving.login.users import User
    from social_security.portal.accounts import Accounts
    from social_security.portal.settings import PortalSettings

PASSWORDS_AT_ONCE = 2


class Entrance:
    """The door of one portal."""

    def __init__(self, accounts: Accounts, settings: PortalSettings, clock: Clock, first: str = "/") -> None:
        self._accounts = accounts
        self._clock = clock
        self._first = first
        self._secure = settings.is_secure
        # The prefix makes a browser refuse the cookie from a neighbour host or without TLS.
        self._cookie = "__Host-sesion" if self._secure else "sesion"
        self._audit = AuditLog(accounts.logins.database)
        self.sessions = Sessions(settings.session_idle_s)
        self._lock = LoginLock(settings.login_attempts, settings.login_lock_s)
        self._passwords = asyncio.Semaphore(PASSWORDS_AT_ONCE)

    async def log_in(self, request: web.Request, form: Mapping[str, str]) -> web.Response:
        """Check both proofs and begin a session. Raises `Problem` 401; which proof was wrong is not said."""
        name, address = form.get("cuenta", "").strip(), address_of(request)
        shown, now_s = name[:255] or "unknown", self._clock.monotonic()
        if self._lock.is_locked(shown, address, now_s):
            self._note("LOGIN", "refused", shown, address, "locked")
            raise Problem(
                429,
                words=N_("Too many failed attempts. Wait a few minutes and try again."),
            )
        async with self._passwords:
            user = await asyncio.to_thread(
                self._accounts.prove,
                name,
                form.get("clave", ""),
                form.get("codigo", ""),
                self._clock.now(),
            )
        if user is None:
            self._lock.failed(shown, address, now_s)
            self._note("LOGIN", "refused", shown, address, "wrong proof")
            raise Problem(
                401,
                words=N_("Account, password or code are not right. A code works only once."),
            )
        self._lock.succeeded(shown, address)
        self._note("LOGIN", "done", user.name, address)
        self._forget(request)
        token, _ = self.sessions.begin(user, self._clock.monotonic())
        answer = redirect(self._first)
        self._give(answer, token)
        return answer

    def admit(
        self, event: str, user: User, address: str, life_s: float, **facts: object
    ) -> tuple[str, Session]:
        """A session for one who works here, whom the member's OpenID provider has proved. Raises `Problem` 403 unless for one role."""
        if len(user.roles) != 1:
            self._note(event, "refused", user.name, address, f"{len(user.roles)} roles")
            raise Problem(
                403, words=N_("Your account at the provider gives several roles here; one is expected.")
            )
        entry = AuditEntry(self._clock.now(), user.name, address, event, "done", detail=facts)
        self._audit.append(entry)
        return self.sessions.begin_vouched(user, self._clock.monotonic(), life_s)

    def refuse(self, event: str, who: str, address: str, reason: str) -> None:
        """Record that somebody was not let in by the provider's word."""
        self._note(event, "refused", who, address, reason)

    def welcome(self, token: str, _session: Session) -> web.Response:
        """The page that one who comes back from the provider gets: it leads on by itself.

        Not a redirect: the session's cookie does not come along while the navigation is still another site's.
        """
        answer = web.Response(
            text=f'<!doctype html><title>→</title><p><a href="{self._first}">→</a></p>',
            content_type="text/html",
            headers={"Refresh": f"0; url={self._first}", "Cache-Control": "no-store"},
        )
        self._give(answer, token)
        return answer

    def _give(self, answer: web.Response, token: str) -> None:
        answer.set_cookie(
            self._cookie, token, path="/", secure=self._secure, httponly=True, samesite="Strict"
        )

    def log_out(self, request: web.Request, user: User) -> web.Response:
        """End the session; the browser is asked to forget what it holds of this site."""
        self._forget(request)
        self._note("LOGOUT", "done", user.name, address_of(request))
        answer = redirect("/entrar")
        answer.del_cookie(self._cookie, path="/", secure=self._secure, httponly=True, samesite="Strict")
        answer.headers["Clear-Site-Data"] = '"cache"'
        return answer

    def find(self, request: web.Request) -> tuple[Session, User] | None:
        """The session of a request and its user; None without a live one."""
        token = request.cookies.get(self._cookie)
        if token is None:
            return None
        session = self.sessions.find(token, self._clock.monotonic())
        user = None if session is None else session.vouched or self._accounts.logins.user(session.name)
        if session is None or user is None or user.stamp != session.stamp:
            self.sessions.end(token)
            return None
        return session, user

    def check_form(self, request: web.Request, session: Session, sent: str) -> None:
        """Refuse a form without the session's CSRF value."""
        if not hmac.compare_digest(sent.encode(), session.csrf.encode()):
            self._note("CSRF_CHECK", "refused", session.name, address_of(request))
            raise Problem(
                403,
                words=N_(
                    "The form did not belong to this session, so nothing was done. Open the page again."
                ),
            )

    def _forget(self, request: web.Request) -> None:
        token = request.cookies.get(self._cookie)
        if token is not None:
            self.sessions.end(token)

    def _note(self, event: str, outcome: str, who: str, address: str, reason: str = "") -> None:
        detail = {"reason": reason} if reason else {}
        entry = AuditEntry(self._clock.now(), who, address, event, outcome, detail=detail)
        if outcome == "refused":
            self._audit.refuse(entry, self._clock.monotonic())
        else:
            self._audit.append(entry)


def address_of(request: web.Request) -> str:
    """The address that a request came from: the peer's, never a header's."""
    peer = None if request.transport is None else request.transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else "unknown"
