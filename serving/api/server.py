"""The HTTP side of an admin API: takes a request to its operation and its answer back, the same for every server.

The order is fixed: rate limit, Host, login and CSRF value, permission, size, body, handler, audit log. Anything under
``/api/v1`` is 401 without a login, unknown paths included. Changes wait for one another, so that the audit log can say
what each one changed. An answer never holds the text of an unexpected error; its id is in the log.

Spec: X-Road admin API contract (ports, cookies, headers, limits as X-Road 7.8 serves them).
"""

from __future__ import annotations

import asyncio
import functools
import re
import secrets
import uuid
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from aiohttp import web

from serving.api import answers, commonapi, oidclogin, useroperations
from serving.api.authentication import AccessEvent, Authentication, Clock
from serving.api.limits import RateLimit
from serving.api.oidclogin import OidcLogin
from serving.api.openapi import build_document, render_document
from serving.api.operations import Bytes, Call, Download, MultipartForm, Operation, OperationInput, Principal
from serving.api.problems import Problem, forbidden
from serving.api.requestbodies import (
    address_of,
    check_parts,
    check_path,
    read_bytes,
    read_form,
    read_query,
    while_connected,
)
from serving.api.sessionroutes import OUTSIDE_THE_TABLE, SessionRoutes
from serving.api.validation import checked, parse_body, trimmed
from serving.login.ldap.directory import LdapDirectory
from serving.login.oidc.provider import Provider
from serving.process.listener import BoundedRunner, listen
from serving.storage.audit import AuditEntry, AuditLog

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from aiohttp.typedefs import Handler

    from serving.config.adminsettings import AdminSettings
    from serving.login.sessions import SessionStore
    from serving.login.users import Logins, Roles

    Reader = Callable[[], Awaitable[None]]

T = TypeVar("T")

CORRELATION_HEADER = "x-road-ui-correlation-id"
REQUEST_ID = web.RequestKey("request_id", str)


def watch_nothing() -> Callable[[], Sequence[str]]:
    """For servers that do not say what a change changed."""
    return lambda: ()


async def take_nothing() -> None:
    """For servers of which nothing runs beside their store."""


@dataclass(frozen=True, slots=True)
class Served:
    """The parts that one kind of server gives the frame: its rows, roles and names."""

    title: str
    version: str
    operations: Sequence[Operation]
    # Called before a change; what it gives is called after it and says what is different, a line each. Both in a thread.
    watch: Callable[[], Callable[[], Sequence[str]]] = watch_nothing
    # Called after a change that changed something: what runs here takes it.
    take: Callable[[], Awaitable[None]] = take_nothing
    # Why no changes are taken now (a restore is running, say), or None.
    closed: Callable[[], str | None] = lambda: None
    # Why an operation is refused here whoever asks (a change at a node that is read-only, say), or None.
    barred: Callable[[Operation], str | None] = lambda _operation: None
    # Adds the operators' pages to the application; None: there are none. ``places`` gives of an address the page that it is, or nothing.
    pages: Callable[[AdminApi, web.Application], None] | None = None
    places: Callable[[str], str] = lambda _address: ""
    # The page at ``/``, with ``{nonce}`` where a script's or style's nonce goes; None: a short one.
    page: str | None = None


class AdminApi:
    """One admin API: `app` serves it, `start` listens with TLS, `stop` ends it."""

    def __init__(
        self,
        settings: AdminSettings,
        logins: Logins,
        roles: Roles,
        served: Served,
        clock: Clock,
        environ: Mapping[str, str] = MappingProxyType({}),
        sessions: SessionStore | None = None,
    ) -> None:
        self._settings = settings
        self._served = served
        self._clock = clock
        self.audit = AuditLog(logins.database, logins.reading)
        directory = LdapDirectory(settings.ldap, environ, roles) if settings.ldap.is_set else None
        self.authentication = Authentication(settings, logins, roles, self.audit, clock, sessions, directory)
        common = commonapi.operations(logins, roles, settings.api_key_days, self.audit)
        users = useroperations.operations(logins, roles, self.authentication)
        self.operations = [*served.operations, *common, *users, self._document_operation()]
        self._rendered: bytes | None = None
        self._sessions = SessionRoutes(self.authentication, settings.request_bytes)
        self._oidc: OidcLogin | None = None
        if settings.oidc.is_set:
            provider = Provider(settings.oidc, environ, clock.monotonic)
            self._oidc = OidcLogin(settings.oidc, provider, self.authentication, roles, clock, served.places)
        self._rates = RateLimit(settings.requests_per_second, settings.requests_per_minute)
        self._hosts = {h.strip().lower() for h in settings.allowed_hostnames.split(",") if h.strip()}
        self._changing = asyncio.Lock()
        self._by_id = {o.id: o for o in self.operations}
        self._patterns = [
            (re.compile(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(f"/api/v1{o.path}"))), o.method)
            for o in self.operations
        ]
        self._runner: BoundedRunner | None = None

    @functools.cached_property
    def document(self) -> dict[str, Any]:
        """The API described in OpenAPI: made when somebody asks, for it takes longer than a good part of a start."""
        described = build_document(self._served.title, self._served.version, self.operations)
        described["paths"] |= OUTSIDE_THE_TABLE
        if self._oidc is not None:
            described["paths"] |= oidclogin.DOCUMENTED
        return described

    # Listening

    def app(self) -> web.Application:
        """The application; a server may add pages of its own before it starts."""
        app = web.Application(middlewares=[self._outermost], handler_args={"auto_decompress": False})
        self._sessions.add_to(app)
        if self._oidc is not None:
            self._oidc.add_to(app)
        for operation in self.operations:
            app.router.add_route(operation.method, f"/api/v1{operation.path}", self._dispatcher(operation))
        app.router.add_route("*", "/api/v1{tail:(/.*)?}", self._unknown)
        app.router.add_route("GET", "/", self._page)
        if self._served.pages is not None:
            self._served.pages(self, app)
        return app

    async def start_with(self, context: ssl.SSLContext | None, sockets: Sequence[socket.socket] = ()) -> None:
        """Listen with a context of the caller's, or without TLS; ``sockets`` where the address was taken before."""
        host, port = self._settings.host or "127.0.0.1", self._settings.port
        self._runner = await listen(
            self.app(), host, port, context, shutdown_timeout=5.0, setting="admin.port", sockets=sockets
        )

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Hosts and ports the API listens on."""
        return [] if self._runner is None else [(str(a[0]), int(a[1])) for a in self._runner.addresses]

    async def stop(self) -> None:
        """Stop listening and end the connections."""
        if self._runner is not None:
            await self._runner.cleanup()

    # For pages

    @property
    def upload_bytes(self) -> int:
        """The most that a file may have."""
        return self._settings.upload_bytes

    @property
    def has_oidc(self) -> bool:
        """Whether an identity provider lets people in."""
        return self._oidc is not None

    @property
    def version(self) -> str:
        """The version of this software."""
        return self._served.version

    def operation(self, name: str) -> Operation | None:
        """The row with that id."""
        return self._by_id.get(name)

    async def run(
        self, name: str, request: web.Request, principal: Principal, given: OperationInput
    ) -> object:
        """The answer of the row with that id to somebody, under the row's permissions; a change is recorded. Raises `Problem`."""
        if (operation := self.operation(name)) is None:
            raise Problem(404)
        call = Call(principal, dict(given.path), self._clock.now(), request[REQUEST_ID], address_of(request))

        async def read() -> None:
            _take_input(operation, call, given)

        async def carry_out() -> object:
            await given.check()
            return await self._carry_out(operation, request, call, read)

        return await self._run(operation, request, call, read, carry_out)

    # What holds for every answer

    @web.middleware
    async def _outermost(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        request[REQUEST_ID] = uuid.uuid4().hex
        try:
            self._check_rate(request)
            self._check_host(request)
            answer = await handler(request)
        except Problem as problem:
            answer = answers.problem_answer(problem)
        except web.HTTPException as err:
            answer = answers.problem_answer(Problem(err.status))
        except (ConnectionError, TimeoutError):
            raise
        except Exception as err:
            answer = answers.problem_answer(answers.unexpected_problem(err, request[REQUEST_ID]))
        answer.headers.setdefault("Content-Security-Policy", answers.API_POLICY)
        for name, value in answers.SECURITY_HEADERS.items():
            answer.headers.setdefault(name, value)
        answer.headers[CORRELATION_HEADER] = request[REQUEST_ID]
        return answer

    def _check_rate(self, request: web.Request) -> None:
        if not self._rates.admits(address_of(request), self._clock.monotonic()):
            raise Problem(429)

    def _check_host(self, request: web.Request) -> None:
        host = request.host.rpartition(":")[0] if re.search(r":\d+$", request.host) else request.host
        if self._hosts and host.lower() not in self._hosts:
            entry = self._entry(request, "unknown", "HOST_CHECK", "refused", {"host": host[:255]})
            self.audit.refuse(entry, self._clock.monotonic())
            raise Problem(400, "invalid_host", ["this server is not called by that name"])

    # What is no operation

    async def _page(self, _request: web.Request) -> web.StreamResponse:
        nonce = secrets.token_urlsafe(16)
        page = self._served.page or _PAGE.replace("{title}", self._served.title)
        policy = (
            f"default-src 'self'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
            "object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
        )
        headers = {"Content-Security-Policy": policy}
        return web.Response(text=page.replace("{nonce}", nonce), content_type="text/html", headers=headers)

    async def _unknown(self, request: web.Request) -> web.StreamResponse:
        await self.authentication.authenticate(request, address_of(request))
        allowed = [method for pattern, method in self._patterns if pattern.fullmatch(request.path)]
        if allowed:
            answer = answers.problem_answer(Problem(405))
            answer.headers["Allow"] = ", ".join(sorted(allowed))
            return answer
        raise Problem(404)

    def _document_operation(self) -> Operation:
        async def openapi(_call: Call) -> Download:
            if self._rendered is None:
                self._rendered = await asyncio.to_thread(lambda: render_document(self.document))
            return Download(self._rendered, "application/x-yaml")

        return Operation(
            "GET",
            "/openapi.yaml",
            openapi,
            "This document",
            answer="application/x-yaml",
            public=self._settings.public_openapi,
            tag="openapi",
        )

    # Operations

    def _dispatcher(self, operation: Operation) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def dispatch(request: web.Request) -> web.StreamResponse:
            principal = Principal("anybody", "none", frozenset(), frozenset())
            if not operation.public:
                principal = await self.authentication.authenticate(request, address_of(request))
            call = Call(
                principal,
                dict(request.match_info),
                self._clock.now(),
                request[REQUEST_ID],
                address_of(request),
            )

            async def read() -> None:
                await self._read_input(operation, request, call)

            async def perform() -> web.StreamResponse:
                return answers.operation_answer(
                    operation, await self._carry_out(operation, request, call, read)
                )

            return await self._run(operation, request, call, read, perform)

        return dispatch

    async def _run(
        self,
        operation: Operation,
        request: web.Request,
        call: Call,
        read: Reader,
        perform: Callable[[], Awaitable[T]],
    ) -> T:
        if operation.event is None:
            return await perform()
        if operation.prepare is not None:
            await self._prepare(operation, request, call, read)
        return await self._change(operation, request, call, perform)

    async def _carry_out(
        self, operation: Operation, request: web.Request, call: Call, read: Reader
    ) -> object:
        with answers.as_problems():
            if operation.prepare is None:
                self._check_allowed(operation, request, call)
                await read()
            return await operation.handler(call)

    async def _prepare(self, operation: Operation, request: web.Request, call: Call, read: Reader) -> None:
        """Do what takes long before the change, while other changes go on, and for as long as the caller stays."""
        try:
            with answers.as_problems():
                self._check_allowed(operation, request, call)
                await read()
                if operation.prepare is not None:
                    await while_connected(request, operation.prepare(call))
        except Problem as problem:
            await self._record(operation, request, call, _outcome(problem), (), problem)
            raise
        except Exception:
            await self._record(operation, request, call, "failed", (), Problem(500, "internal_error"))
            raise

    async def _change(
        self, operation: Operation, request: web.Request, call: Call, perform: Callable[[], Awaitable[T]]
    ) -> T:
        if operation.exclusive:
            async with self._changing:
                return await self._change_now(operation, request, call, perform)
        return await self._change_now(operation, request, call, perform)

    async def _change_now(
        self, operation: Operation, request: web.Request, call: Call, perform: Callable[[], Awaitable[T]]
    ) -> T:
        # In a thread: after another change it reads all of a configuration, which of thousands of services takes a tenth of a second.
        difference = await asyncio.to_thread(self._served.watch)
        try:
            closed = self._served.closed()
            if closed is not None:
                raise Problem(503, "closed_for_changes", [closed])
            answer = await perform()
        except Problem as problem:
            changes = await self._changed(difference)
            await self._record(operation, request, call, _outcome(problem), changes, problem)
            raise
        except Exception:
            changes = await self._changed(difference)
            await self._record(operation, request, call, "failed", changes, Problem(500, "internal_error"))
            raise
        changes = await self._changed(difference) if call.changes is None else call.changes
        await self._record(operation, request, call, "done", changes, None)
        return answer

    async def _changed(self, difference: Callable[[], Sequence[str]]) -> Sequence[str]:
        """The names of what changed, found by ``difference`` in a thread; where there are any, the running server takes the change."""
        found = await asyncio.to_thread(difference)
        if found:
            await self._served.take()
        return found

    def _check_allowed(self, operation: Operation, request: web.Request, call: Call) -> None:
        reason = self._served.barred(operation)
        if operation.permissions and not any(call.may(p) for p in operation.permissions):
            reason = "permission needed: " + " or ".join(operation.permissions)
        elif operation.event is not None and call.principal.scope and not operation.scoped:
            reason = "this login is narrowed to some clients"
        if reason is None:
            return
        if operation.event is None:
            detail = {"reason": reason}
            entry = self._entry(request, call.principal.name, AccessEvent.CHECK, "refused", detail)
            self.audit.refuse(entry, self._clock.monotonic())
        raise forbidden("forbidden", reason)

    async def _read_input(self, operation: Operation, request: web.Request, call: Call) -> None:
        check_path(call.path)
        if operation.query is not None:
            call.query = read_query(request, operation.query)
        limit = self._settings.upload_bytes if operation.takes_file else self._settings.request_bytes
        kind = operation.body
        if isinstance(kind, MultipartForm):
            call.parts = await read_form(request, kind, limit)
        elif isinstance(kind, Bytes):
            call.body = await read_bytes(request, limit)
        elif kind is not None:
            raw = await read_bytes(request, limit)
            if raw.strip() and request.content_type != "application/json":
                raise Problem(
                    415, "invalid_content_type", [f"application/json is expected, not {request.content_type}"]
                )
            call.body = parse_body(kind, raw, optional=operation.body_optional)
        else:
            await read_bytes(request, limit)

    # The audit log

    def _entry(
        self, request: web.Request, who: str, event: str, outcome: str, detail: dict[str, Any]
    ) -> AuditEntry:
        return AuditEntry(
            self._clock.now(),
            who,
            address_of(request),
            event,
            outcome,
            f"{request.method} {request.path}",
            detail,
            id=request[REQUEST_ID],
        )

    async def _record(
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
            await self.audit.append_in_thread(entry)


def _take_input(operation: Operation, call: Call, given: OperationInput) -> None:
    """A page's input, judged as a request's is. Raises `Problem`."""
    check_path(call.path)
    if operation.query is not None:
        call.query = checked(operation.query, {n: v for n, v in given.query.items() if v}, strict=False)
    if isinstance(operation.body, MultipartForm):
        check_parts(operation.body, given.parts)
        call.parts = dict(given.parts)
    elif isinstance(operation.body, Bytes):
        call.body = given.file
    elif operation.body is not None:
        call.body = checked(operation.body, trimmed(given.body))


def _outcome(problem: Problem) -> str:
    return "refused" if problem.status in (401, 403) else "failed"


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body><h1>{title}</h1><p>The pages for operators are at <a href="/consola/">/consola/</a>.</p><p>The API is described at <a href="/api/v1/openapi.yaml">/api/v1/openapi.yaml</a>.</p>
</body></html>
"""
