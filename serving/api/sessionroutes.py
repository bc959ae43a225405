"""Opening and ending sessions over HTTP: the routes outside the table of operations, for they set cookies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from aiohttp import web

from serving.api.answers import json_answer
from serving.api.requestbodies import address_of, read_bytes
from serving.login.sessions import CSRF_COOKIE, SESSION_COOKIE

if TYPE_CHECKING:
    from serving.api.authentication import Authentication
    from serving.login.sessions import Session

STATUS_PATH = "/api/v1/notifications/session-status"
_TEXT = {"type": "string", "maxLength": 255}
OUTSIDE_THE_TABLE: dict[str, Any] = {
    "/login": {
        "servers": [{"url": "/"}],
        "post": {
            "operationId": "login",
            "summary": "Open a session: cookies JSESSIONID and XSRF-TOKEN",
            "tags": ["session"],
            "security": [],
            "requestBody": {
                "required": True,
                "content": {
                    "application/x-www-form-urlencoded": {
                        "schema": {
                            "type": "object",
                            "properties": {"username": _TEXT, "password": _TEXT},
                            "required": ["username", "password"],
                        }
                    }
                },
            },
            "responses": {
                "200": {"description": "OK", "content": {"text/plain": {"schema": {"type": "string"}}}},
                "401": {"description": "wrong name or password, or locked after too many of them"},
                "413": {"description": "too large"},
                "429": {"description": "too many requests"},
            },
        },
    },
    "/logout": {
        "servers": [{"url": "/"}],
        "post": {
            "operationId": "logout",
            "summary": "End the session",
            "tags": ["session"],
            "security": [{"session": [], "csrf": []}],
            "responses": {
                "200": {"description": "ended"},
                "401": {"description": "no session"},
                "403": {"description": "no CSRF value"},
                "429": {"description": "too many requests"},
            },
        },
    },
    STATUS_PATH: {
        "servers": [{"url": "/"}],
        "get": {
            "operationId": "session_status",
            "summary": "Whether the session lives; asking does not prolong it",
            "tags": ["session"],
            "security": [],
            "responses": {
                "200": {
                    "description": "said",
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "properties": {"valid": {"type": "boolean"}},
                                "required": ["valid"],
                            }
                        }
                    },
                },
                "429": {"description": "too many requests"},
            },
        },
    },
}


class SessionRoutes:
    """Name and password against cookies."""

    def __init__(self, authentication: Authentication, request_bytes: int) -> None:
        self._authentication = authentication
        self._request_bytes = request_bytes

    def add_to(self, app: web.Application) -> None:
        """Serve login, logout and status in an application."""
        app.router.add_route("POST", "/login", self.log_in)
        app.router.add_route("POST", "/logout", self.log_out)
        app.router.add_route("GET", STATUS_PATH, self.status)

    async def log_in(self, request: web.Request) -> web.StreamResponse:
        """Open a session for a name and password; the cookie is the session."""
        raw = await read_bytes(request, self._request_bytes)
        form = dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20))
        token, session = await self._authentication.log_in(
            form.get("username", ""), form.get("password", ""), address_of(request)
        )
        answer = web.Response(text="OK")
        set_session(answer, token, session)
        return answer

    async def log_out(self, request: web.Request) -> web.StreamResponse:
        """End the session of the request's cookie."""
        self._authentication.log_out(request, address_of(request))
        answer = web.Response()
        for name in (SESSION_COOKIE, CSRF_COOKIE):
            answer.del_cookie(name, path="/", secure=True, samesite="Strict")
        return answer

    async def status(self, request: web.Request) -> web.StreamResponse:
        """Answer whether the session of the cookie lives."""
        return json_answer(200, {"valid": self._authentication.session_is_valid(request)})


def set_session(answer: web.Response, token: str, session: Session) -> None:
    """Give the browser its session; scripts see the CSRF value only."""
    answer.set_cookie(SESSION_COOKIE, token, path="/", secure=True, httponly=True, samesite="Strict")
    answer.set_cookie(CSRF_COOKIE, session.csrf, path="/", secure=True, samesite="Strict")
