"""The HTTP side of an admin API: takes a request to its operation and its answer back, the same for every server.

The order is fixed: rate limit, Host, login and CSRF value, permission, size, body, handler, audit log. Anything under
``/api/v1`` is 401 without a login, unknown paths included. Changes wait for one another, so that the audit log can say
what each one changed. An answer never holds the text of an unexpected error; its id is in the log.

Spec: X-Road admin API contract (ports, cookies, headers, limits as X-Road 7.8 serves them).
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from certs.tls import TlsCredentials, system_server_context
from schemas.faults import BadMessage, Fault, TokenFailed
from serving import commonapi
from serving.audit import AuditEntry, AuditLog
from serving.authentication import Authentication, Clock
from serving.conflicts import DatabaseConflict
from serving.limits import RateLimit
from serving.openapi import build_document, render_document
from serving.operations import Answer, Bytes, Call, Download, Form, Operation, Part, Principal
from serving.problems import Problem, forbidden, render_problem
from serving.sessions import CSRF_COOKIE, SESSION_COOKIE
from serving.validation import checked, parse_body

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable, Sequence

    from aiohttp.typedefs import Handler

    from serving.adminsettings import AdminSettings
    from serving.logins import Logins, Roles

log = logging.getLogger("admin")

CORRELATION_HEADER = "x-road-ui-correlation-id"
MOST_FORM_PARTS = 30
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",
    "Cache-Control": "no-store",
}
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
_TEXT = {"type": "string", "maxLength": 255}
# Sessions: their paths do not stand below /api/v1, and they set and end cookies.
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
    "/api/v1/notifications/session-status": {
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
REQUEST_ID = web.RequestKey("request_id", str)


def watch_nothing() -> Callable[[], Sequence[str]]:
    """For servers that do not say what a change changed."""
    return lambda: ()


@dataclass(frozen=True, slots=True)
class Served:
    """What a server gives the frame."""

    title: str
    version: str
    operations: Sequence[Operation]
    # Called before a change; what it gives is called after it and says what is different, a line each.
    watch: Callable[[], Callable[[], Sequence[str]]] = watch_nothing
    # Why no changes are taken now (a restore is running, say), or None.
    closed: Callable[[], str | None] = lambda: None
    # The page at ``/``, with ``{nonce}`` where a script's or style's nonce goes; None: a short one.
    page: str | None = None


class AdminApi:
    """One admin API: `app` serves it, `start` listens with TLS, `stop` ends it."""

    def __init__(
        self, settings: AdminSettings, logins: Logins, roles: Roles, served: Served, clock: Clock
    ) -> None:
        self._settings = settings
        self._served = served
        self._clock = clock
        self.audit = AuditLog(logins.database)
        self.authentication = Authentication(settings, logins, roles, self.audit, clock)
        common = commonapi.operations(logins, roles, settings.api_key_days)
        self.operations = [*served.operations, *common, self._document_operation()]
        self.document = build_document(served.title, served.version, self.operations)
        self.document["paths"] |= OUTSIDE_THE_TABLE
        self._document: bytes | None = None
        self._rates = RateLimit(settings.requests_per_second, settings.requests_per_minute)
        self._hosts = {h.strip().lower() for h in settings.allowed_hostnames.split(",") if h.strip()}
        self._changing = asyncio.Lock()
        self._patterns = [
            (re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(f"/api/v1{o.path}"))), o.method)
            for o in self.operations
        ]
        self._runner: web.AppRunner | None = None

    # Listening

    def app(self) -> web.Application:
        """The application; a server may add pages of its own before it starts."""
        app = web.Application(middlewares=[self._outermost], handler_args={"auto_decompress": False})
        app.router.add_route("POST", "/login", self._log_in)
        app.router.add_route("POST", "/logout", self._log_out)
        app.router.add_route("GET", "/api/v1/notifications/session-status", self._session_status)
        for operation in self.operations:
            app.router.add_route(operation.method, f"/api/v1{operation.path}", self._dispatcher(operation))
        app.router.add_route("*", "/api/v1{tail:(/.*)?}", self._unknown)
        app.router.add_route("GET", "/", self._page)
        return app

    async def start(self, credentials: TlsCredentials, app: web.Application | None = None) -> None:
        """Listen."""
        await self.start_with(system_server_context(credentials), app)

    async def start_with(self, context: ssl.SSLContext | None, app: web.Application | None = None) -> None:
        """Listen with a context of the caller's, or without TLS where another process ends it."""
        self._runner = web.AppRunner(app or self.app(), access_log=None, shutdown_timeout=5.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._settings.host, self._settings.port, ssl_context=context).start()

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Where it listens."""
        return [] if self._runner is None else [(str(a[0]), int(a[1])) for a in self._runner.addresses]

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    # What holds for every answer

    @web.middleware
    async def _outermost(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        request[REQUEST_ID] = uuid.uuid4().hex
        try:
            self._check_rate(request)
            self._check_host(request)
            answer = await handler(request)
        except Problem as problem:
            answer = _problem_answer(problem)
        except web.HTTPException as err:
            answer = _problem_answer(Problem(err.status))
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            log.exception("an admin call failed unexpectedly", extra={"id": request[REQUEST_ID]})
            answer = _problem_answer(Problem(500, "internal_error", [request[REQUEST_ID]]))
        answer.headers.setdefault("Content-Security-Policy", API_POLICY)
        for name, value in SECURITY_HEADERS.items():
            answer.headers.setdefault(name, value)
        answer.headers[CORRELATION_HEADER] = request[REQUEST_ID]
        return answer

    def _check_rate(self, request: web.Request) -> None:
        if not self._rates.admits(_address(request), self._clock.monotonic()):
            raise Problem(429)

    def _check_host(self, request: web.Request) -> None:
        host = request.host.rpartition(":")[0] if re.search(r":\d+$", request.host) else request.host
        if self._hosts and host.lower() not in self._hosts:
            entry = self._entry(request, "unknown", "HOST_CHECK", "refused", {"host": host[:255]})
            self.audit.refuse(entry, self._clock.monotonic())
            raise Problem(400, "invalid_host", ["this server is not called by that name"])

    # Routes outside the table

    async def _log_in(self, request: web.Request) -> web.StreamResponse:
        raw = await _read(request, self._settings.request_bytes)
        form = dict(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20))
        token, session = await self.authentication.log_in(
            form.get("username", ""), form.get("password", ""), _address(request)
        )
        answer = web.Response(text="OK")
        answer.set_cookie(SESSION_COOKIE, token, path="/", secure=True, httponly=True, samesite="Strict")
        answer.set_cookie(CSRF_COOKIE, session.csrf, path="/", secure=True, samesite="Strict")
        return answer

    async def _log_out(self, request: web.Request) -> web.StreamResponse:
        self.authentication.log_out(request, _address(request))
        answer = web.Response()
        for name in (SESSION_COOKIE, CSRF_COOKIE):
            answer.del_cookie(name, path="/", secure=True, samesite="Strict")
        return answer

    async def _session_status(self, request: web.Request) -> web.StreamResponse:
        return _json_answer(200, {"valid": self.authentication.session_is_valid(request)})

    async def _page(self, _request: web.Request) -> web.StreamResponse:
        nonce = secrets.token_urlsafe(16)
        page = self._served.page or _PAGE.replace("{title}", self._served.title)
        policy = (
            f"default-src 'self'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
            "object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
        )
        return web.Response(
            text=page.replace("{nonce}", nonce),
            content_type="text/html",
            headers={"Content-Security-Policy": policy},
        )

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        await self.authentication.authenticate(request, _address(request))
        allowed = [method for pattern, method in self._patterns if pattern.fullmatch(request.path)]
        if allowed:
            answer = _problem_answer(Problem(405))
            answer.headers["Allow"] = ", ".join(sorted(allowed))
            return answer
        raise Problem(404)

    def _document_operation(self) -> Operation:
        async def openapi(_call: Call) -> Download:
            if (
                self._document is None
            ):  # when somebody asks: writing YAML takes longer than all else of a start
                self._document = await asyncio.to_thread(render_document, self.document)
            return Download(self._document, "application/x-yaml")

        return Operation(
            "GET",
            "/openapi.yaml",
            openapi,
            "This document",
            answer="application/x-yaml",
            public=True,
            tag="openapi",
        )

    # Operations

    def _dispatcher(self, operation: Operation) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def dispatch(request: web.Request) -> web.StreamResponse:
            principal = Principal("anybody", "none", frozenset(), frozenset())
            if not operation.public:
                principal = await self.authentication.authenticate(request, _address(request))
            call = Call(
                principal, dict(request.match_info), self._clock.now(), request[REQUEST_ID], _address(request)
            )
            if operation.event is None:
                return await self._perform(operation, request, call)
            return await self._change(operation, request, call)

        return dispatch

    async def _change(self, operation: Operation, request: web.Request, call: Call) -> web.StreamResponse:
        if operation.exclusive:
            async with self._changing:
                return await self._change_now(operation, request, call)
        return await self._change_now(operation, request, call)

    async def _change_now(self, operation: Operation, request: web.Request, call: Call) -> web.StreamResponse:
        difference = self._served.watch()
        try:
            closed = self._served.closed()
            if closed is not None:
                raise Problem(503, "closed_for_changes", [closed])
            answer = await self._perform(operation, request, call)
        except Problem as problem:
            self._record(operation, request, call, _outcome(problem), difference(), problem)
            raise
        except Exception:
            self._record(operation, request, call, "failed", difference(), Problem(500, "internal_error"))
            raise
        self._record(operation, request, call, "done", difference(), None)
        return answer

    async def _perform(self, operation: Operation, request: web.Request, call: Call) -> web.StreamResponse:
        try:
            self._check_allowed(operation, request, call)
            await self._read_input(operation, request, call)
            return _answer(operation, await operation.handler(call))
        except Fault as fault:
            raise fault_problem(fault) from fault
        except DatabaseConflict as conflict:
            raise Problem(409, "changed_by_another_node", ["nothing was changed; call again"]) from conflict

    def _check_allowed(self, operation: Operation, request: web.Request, call: Call) -> None:
        reason = None
        if operation.permissions and not any(call.may(p) for p in operation.permissions):
            reason = "permission needed: " + " or ".join(operation.permissions)
        elif operation.event is not None and call.principal.scope and not operation.scoped:
            reason = "this login is narrowed to some clients"
        if reason is None:
            return
        if operation.event is None:
            detail = {"reason": reason}
            entry = self._entry(request, call.principal.name, operation.id.upper(), "refused", detail)
            self.audit.refuse(entry, self._clock.monotonic())
        raise forbidden("forbidden", reason)

    async def _read_input(self, operation: Operation, request: web.Request, call: Call) -> None:
        if operation.query is not None:
            # A parameter that is repeated is a list, written with commas.
            values = {k: ",".join(v.strip() for v in request.query.getall(k)) for k in request.query}
            values = {k: v for k, v in values.items() if v}
            call.query = checked(operation.query, _query_values(operation.query, values), strict=False)
        limit = self._settings.upload_bytes if operation.takes_file else self._settings.request_bytes
        kind = operation.body
        if isinstance(kind, Form):
            call.parts = await _read_form(request, kind, limit)
        elif isinstance(kind, Bytes):
            call.body = await _read(request, limit)
        elif kind is not None:
            raw = await _read(request, limit)
            if raw.strip() and request.content_type != "application/json":
                raise Problem(
                    415, "invalid_content_type", [f"application/json is expected, not {request.content_type}"]
                )
            call.body = parse_body(kind, raw, optional=operation.body_optional)
        else:
            await _read(request, limit)

    # The audit log

    def _entry(
        self, request: web.Request, who: str, event: str, outcome: str, detail: dict[str, Any]
    ) -> AuditEntry:
        return AuditEntry(
            self._clock.now(),
            who,
            _address(request),
            event,
            outcome,
            f"{request.method} {request.path}",
            detail,
            id=request[REQUEST_ID],
        )

    def _record(
        self,
        operation: Operation,
        request: web.Request,
        call: Call,
        outcome: str,
        changes: Sequence[str],
        problem: Problem | None,
    ) -> None:
        detail = dict(call.facts)
        if problem is not None:
            detail["error"] = str(problem)
        entry = AuditEntry(
            self._clock.now(),
            call.principal.name,
            call.address,
            operation.event or operation.id.upper(),
            outcome,
            f"{request.method} {request.path}",
            detail,
            tuple(changes),
            call.id,
        )
        if outcome == "refused":
            self.audit.refuse(entry, self._clock.monotonic())
        else:
            self.audit.append(entry)


def fault_problem(fault: Fault) -> Problem:
    """What a fault of the layers below is to an administrator: code ``core.`` and its text."""
    status = 400 if isinstance(fault, BadMessage) else 409 if isinstance(fault, TokenFailed) else 500
    return Problem(status, f"core.{fault.kind.value}", [fault.detail])


def _outcome(problem: Problem) -> str:
    return "refused" if problem.status in (401, 403) else "failed"


def _address(request: web.Request) -> str:
    peer = None if request.transport is None else request.transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else "unknown"


async def _read(request: web.Request, limit: int) -> bytes:
    if (request.content_length or 0) > limit:
        raise Problem(413, "request_too_large", [f"at most {limit} bytes are taken"])
    found = bytearray()
    async for chunk in request.content.iter_chunked(65_536):
        found += chunk
        if len(found) > limit:
            raise Problem(413, "request_too_large", [f"at most {limit} bytes are taken"])
    return bytes(found)


async def _read_form(request: web.Request, form: Form, limit: int) -> dict[str, Part]:
    if not request.content_type.startswith("multipart/form-data"):
        raise Problem(
            415, "invalid_content_type", [f"multipart/form-data is expected, not {request.content_type}"]
        )
    raw_limit = limit
    found: dict[str, Part] = {}
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if not isinstance(part, BodyPartReader) or part.name is None or len(found) >= MOST_FORM_PARTS:
                raise Problem(400, "validation_failure", ["the form has nested, unnamed or too many parts"])
            content = bytearray()
            while chunk := await part.read_chunk():
                content += chunk
                raw_limit -= len(chunk)
                if raw_limit < 0:
                    raise Problem(413, "request_too_large", [f"at most {limit} bytes are taken"])
            found[part.name] = Part(bytes(content), part.filename, part.headers.get("Content-Type"))
    except (ValueError, AssertionError, EOFError, LookupError, HttpProcessingError) as err:
        raise Problem(400, "validation_failure", ["the multipart form cannot be read"]) from err
    missing = {n: ["NotNull"] for n, must in {**form.fields, **form.files}.items() if must and n not in found}
    if missing:
        raise Problem(400, "validation_failure", validation_errors=missing)
    return found


def _query_values(kind: type[msgspec.Struct], values: dict[str, str]) -> dict[str, Any]:
    known = {f.encode_name for f in msgspec.structs.fields(kind)}
    return {name: value for name, value in values.items() if name in known}


def _answer(operation: Operation, given: object) -> web.StreamResponse:
    answer = given if isinstance(given, Answer) else Answer(given)
    status = answer.status or operation.status
    if isinstance(answer.body, Download):
        made = web.Response(
            status=status, body=answer.body.content, headers={"Content-Type": answer.body.media_type}
        )
        if answer.body.file_name is not None:
            safe = re.sub(r"[^\w.\- ]", "_", answer.body.file_name)
            made.headers["Content-Disposition"] = f'attachment; filename="{safe}"'
    elif answer.body is None:
        made = web.Response(status=status)
    else:
        made = _json_answer(status, answer.body)
    made.headers.update(answer.headers)
    return made


def _json_answer(status: int, body: object) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")


def _problem_answer(problem: Problem) -> web.Response:
    answer = _json_answer(problem.status, render_problem(problem))
    if problem.status in (413, 429):
        answer.force_close()
    return answer


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p>The API is described at <a href="/api/v1/openapi.yaml">/api/v1/openapi.yaml</a>.</p>
</body></html>
"""
