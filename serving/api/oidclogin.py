"""Logging in with an OpenID provider: authorization code flow with PKCE, state and nonce, bound to the browser.

``GET /login/oidc`` sends the browser to the provider; it comes back to ``/login/oidc/callback`` with a code. What a login
waits for is kept with the sessions under a digest of its state, for some minutes, so at every node that shares them, and is taken out
by the first answer that names it: a second one is refused. Every refusal is on the audit log with its reason.

Spec: OpenID Connect Core 1.0, 3.1; RFC 7636; RFC 9207 (issuer in the answer).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import html
import secrets
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

from aiohttp import web

from serving.api.problems import Problem
from serving.api.requestbodies import address_of
from serving.api.sessionroutes import set_session
from serving.config.oidcsettings import CALLBACK
from serving.errors import Refused
from serving.login.oidc.token import (
    Expected,
    choose_key,
    decide_identity,
    login_refused,
    read_header,
    verify_id_token,
)
from serving.login.sessions import WaitingLogin, digest_of
from serving.login.users import User

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.api.authentication import Clock
    from serving.config.oidcsettings import OidcSettings
    from serving.login.oidc.provider import Provider
    from serving.login.oidc.token import Identity
    from serving.login.sessions import Session, SessionStore
    from serving.login.users import Roles

BEGIN = "/login/oidc"
# The field of its address that says which page was asked for.
BACK = "vuelta"
EVENT = "LOGIN_OIDC"
PREFIX = "oidc:"
COOKIE = "__Host-OIDC"
_TOO_MANY = {"description": "too many requests"}
_REFUSED = {"description": "the login proves nothing here; the error says why"}
_FAILED = {"description": "the provider failed; the error says how"}
DOCUMENTED: dict[str, Any] = {
    path: {
        "servers": [{"url": "/"}],
        "get": {
            "operationId": name,
            "summary": summary,
            "tags": ["session"],
            "security": [],
            "responses": {status: {"description": text}, "401": _REFUSED, "429": _TOO_MANY, "500": _FAILED},
        },
    }
    for path, name, summary, status, text in (
        (BEGIN, "login_oidc", "Log in with the OpenID provider", "302", "to the provider"),
        (CALLBACK, "login_oidc_callback", "Back from the OpenID provider", "303", "a session was opened"),
    )
}


class Admitting(Protocol):
    """The part of a server's login that begins sessions and records who was not let in."""

    @property
    def sessions(self) -> SessionStore:
        """The store of sessions, and of logins on their way: shared where there are several nodes."""
        ...

    def admit(
        self, event: str, user: User, address: str, life_s: float, **facts: object
    ) -> tuple[str, Session]:
        """A session for somebody whom another server has proved; it ends after ``life_s`` whatever happens."""
        ...

    def refuse(self, event: str, who: str, address: str, reason: str) -> None:
        """Record that somebody was not let in."""
        ...


class OidcLogin:
    """The two routes of a login by OpenID Connect: to the provider, and back from it."""

    def __init__(
        self,
        settings: OidcSettings,
        provider: Provider,
        authentication: Admitting,
        roles: Roles,
        clock: Clock,
        places: Callable[[str], str] = lambda _address: "",
        welcome: Callable[[str, Session], web.Response] | None = None,
    ) -> None:
        """``welcome`` answers whoever was let in, with the value of the session's cookie; else the browser is led on to the page that it asked for.

        ``places`` gives of an address the page of this site that it is, and nothing for any other; without a page it is ``/``.
        """
        settings.check(roles.of_people())
        self._settings = settings
        self._provider = provider
        self._authentication = authentication
        self._roles = roles
        self._clock = clock
        self._welcome = welcome
        self._places = places

    def add_to(self, app: web.Application) -> None:
        """Serve the two routes in an application."""
        app.router.add_route("GET", BEGIN, self.begin)
        app.router.add_route("GET", CALLBACK, self.come_back)

    async def begin(self, request: web.Request) -> web.StreamResponse:
        """Send the browser to the provider. Raises `Problem`, which stands on the audit log."""
        try:
            metadata = await self._provider.metadata()
        except Refused as refusal:
            raise self._problem(request, refusal) from refusal
        state, browser = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        waiting = WaitingLogin(
            secrets.token_urlsafe(32),
            secrets.token_urlsafe(48),
            digest_of(browser),
            self._places(request.query.get(BACK, "")),
        )
        self._authentication.sessions.keep_waiting(state, waiting, self._clock.monotonic())
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._settings.redirect_url,
            "scope": self._settings.scope,
            "state": state,
            "nonce": waiting.nonce,
            "code_challenge": _challenge(waiting.verifier),
            "code_challenge_method": "S256",
        }
        joined = "&" if "?" in metadata.authorization_endpoint else "?"
        answer = web.Response(
            status=302, headers={"Location": metadata.authorization_endpoint + joined + urlencode(query)}
        )
        # Lax, for it must come along when the provider sends the browser back.
        answer.set_cookie(COOKIE, browser, path="/", secure=True, httponly=True, samesite="Lax")
        return answer

    async def come_back(self, request: web.Request) -> web.StreamResponse:
        """Open a session for whoever the provider names. Raises `Problem`, which stands on the audit log."""
        try:
            waiting = self._take(request)
            await self._check_issuer(request.query.get("iss"))
            claims = await self._prove(request.query.get("code", ""), waiting)
            identity = decide_identity(claims, self._settings, self._roles)
        except Refused as refusal:
            raise self._problem(request, refusal) from refusal
        token, session = self._authentication.admit(
            EVENT, _user(identity), address_of(request), self._settings.session_s, sub=claims["sub"]
        )
        answer = (
            _lead_on(waiting.back, token, session) if self._welcome is None else self._welcome(token, session)
        )
        answer.del_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="Lax")
        return answer

    def _take(self, request: web.Request) -> WaitingLogin:
        """The waiting login whose ``state`` this answer names, taken out so that no second answer finds it."""
        query = request.query
        now_s = self._clock.monotonic()
        found = self._authentication.sessions.take_waiting(query.get("state", ""), now_s)
        if found is None:
            raise login_refused("the answer belongs to no login that is waiting: begin again at /login/oidc")
        waiting, waited_s = found
        if waited_s > self._settings.login_s:
            raise login_refused(f"the login took longer than {self._settings.login_s:.0f} s: begin again")
        if not hmac.compare_digest(digest_of(request.cookies.get(COOKIE, "")), waiting.browser):
            raise login_refused("the answer came in another browser than the login was begun in")
        if "error" in query:
            reason = f"{query['error']} {query.get('error_description', '')}".strip()
            raise login_refused(f"the provider refused: {reason[:300]}")
        return waiting

    async def _check_issuer(self, shown: str | None) -> None:
        """An answer may say whose it is, and must where the provider says that it always does."""
        demanded = (await self._provider.metadata()).authorization_response_iss_parameter_supported
        if shown != self._settings.issuer and (shown is not None or demanded):
            raise login_refused(
                f"the answer is of issuer {(shown or 'none')[:200]!r}, not {self._settings.issuer!r}"
            )

    async def _prove(self, code: str, waiting: WaitingLogin) -> dict[str, Any]:
        if not code:
            raise login_refused("the provider's answer holds no code")
        raw = await self._provider.redeem(code, waiting.verifier)
        header = read_header(raw)
        key = choose_key(header, await self._provider.keys())
        if key is None:
            key = choose_key(header, await self._provider.keys(missing=True))
        if key is None:
            raise login_refused(
                f"the ID token is signed with key {header.key_id!r}, which is none of the provider's"
            )
        settings = self._settings
        expected = Expected(settings.issuer, settings.client_id, waiting.nonce, settings.leeway_s)
        return verify_id_token(raw, key, expected, self._clock.now())

    def _problem(self, request: web.Request, refusal: Refused) -> Problem:
        """The answer to a login that was refused, which stands on the audit log."""
        self._authentication.refuse(EVENT, "unknown", address_of(request), str(refusal))
        return Problem(refusal.code.status, refusal.code, [str(refusal)])


def _lead_on(back: str, token: str, session: Session) -> web.Response:
    """To the page that was asked for, else to the first one.

    A page is led to by one that goes on by itself, not by a redirect: the session's cookie does not come along while the navigation is still
    the provider's.
    """
    if not back:
        answer = web.Response(status=303, headers={"Location": "/"})
    else:
        shown = html.escape(back, quote=True)
        answer = web.Response(
            text=f'<!doctype html><title>→</title><p><a href="{shown}">→</a></p>',
            content_type="text/html",
            headers={"Refresh": f"0; url={back}", "Cache-Control": "no-store"},
        )
    set_session(answer, token, session)
    return answer


def _user(identity: Identity) -> User:
    return User(PREFIX + identity.name, identity.roles, identity.clients, "")


def _challenge(verifier: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
