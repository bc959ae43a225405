"""The edge of every system here: an HTTP request from the gateway becomes an `DomainRequest`, an answer or a domain error.

One wrapper does for all operations what the reference asks of all: no CURP where none may stand, a complete context, a
body that follows the schema. What it refuses is an ordinary answer with a code of the error table, so that the gateway
signs and logs it. Nothing of a body or of an identifier is ever logged here.
"""

from __future__ import annotations

import logging
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from aiohttp import web

from schemas.jsontext import dump_json
from serving.entrance import load_json, spelled, unsuitable_characters
from social_security.domain import pack
from social_security.domain.curp import find_curp
from social_security.domain.faults import DomainError, formal
from social_security.wire import wireschema
from social_security.wire.context import MessageContext, check_context, parse_context

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import date, datetime
    from zoneinfo import ZoneInfo

    Reading = Callable[[Mapping[str, str]], web.Response | Awaitable[web.Response]]

    from social_security.domain.faults import Appeal
    from social_security.domain.pack import PackOperation
    from social_security.domain.pseudonyms import Pid, Rid

BODY_LIMIT = 1024 * 1024
log = logging.getLogger("social_security")


@dataclass(frozen=True, slots=True)
class DomainRequest:
    """One request, checked: whom it is about stands in ``body`` only. ``today`` is the date at this member."""

    operation: PackOperation
    context: MessageContext
    path: Mapping[str, str]
    body: Mapping[str, Any]
    now: datetime
    today: date


@dataclass(frozen=True, slots=True)
class DomainAnswer:
    """A body and its status; whom it is about, and ``categories``, what left by kind, for the person's access log.

    An institute names the person by its own PID, the registry by her internal id; None is about nobody. A refusal after the
    person was found names her too (`DomainError.subject`).
    """

    body: dict[str, Any]
    status: int = 200
    categories: tuple[str, ...] = ()
    subject: Pid | Rid | None = None


@dataclass(frozen=True, slots=True)
class DomainOutcome:
    """The outcome of a request: a body, and the status and media type it has over HTTP."""

    body: Mapping[str, Any]
    status: int
    content_type: str


class SystemContext(Protocol):
    """The members of a system that the wrapper needs: which member it is, its clock, and who records each outcome."""

    @property
    def member(self) -> str:
        """The member whose system this is."""
        ...

    @property
    def zone(self) -> ZoneInfo:
        """The time zone that the member counts its days in."""
        ...

    @property
    def policy(self) -> str:
        """The policy version in force here."""
        ...

    def now(self) -> datetime:
        """The time of the system's clock, aware."""
        ...

    def tick(self) -> None:
        """Do what time alone does."""
        ...

    def admit(self, request: DomainRequest) -> None:
        """Refuse what this system knows a reason against: notice, opposition, suspended member."""
        ...

    def appeal(self, day: date) -> Appeal:
        """The authority and the last day for an appeal against an answer of ``day``."""
        ...

    def record(self, request: DomainRequest, answer: DomainAnswer | None, error: DomainError | None) -> None:
        """Take note of the outcome in the access log of whom the answer, or the error, is about."""
        ...


@dataclass(slots=True)
class SystemOperations:
    """The operations of one system by name, and the public readings that need no context."""

    system: SystemContext
    acts: Mapping[str, Callable[[DomainRequest], DomainAnswer | Awaitable[DomainAnswer]]] = field(
        default_factory=dict
    )
    readings: Mapping[str, Reading] = field(default_factory=dict)

    def app(self) -> web.Application:
        """The application that serves them. It must be reachable by the member's gateway only."""
        app = web.Application(client_max_size=BODY_LIMIT)
        for name in self.acts:
            operation = pack.operations()[name]
            app.router.add_route(operation.method, operation.path, self._handler(operation))
        for path, reading in self.readings.items():
            app.router.add_get(path, _reading(reading))
        app.router.add_get("/estado", self._state)
        return app

    async def _state(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "OK", "member": self.system.member, "policy": self.system.policy})

    def _handler(self, operation: PackOperation) -> Callable[[web.Request], Any]:
        async def handle(request: web.Request) -> web.Response:
            body: dict[str, Any] | DomainError
            try:
                body = await _read_body(request)
            except DomainError as error:
                body = error
            outcome = await self.carry_out(
                operation, dict(request.headers), request.path_qs, dict(request.match_info), body
            )
            return _json(outcome.body, outcome.status, outcome.content_type)

        return handle

    async def carry_out(
        self,
        operation: PackOperation,
        headers: Mapping[str, str],
        address: str,
        path: Mapping[str, str],
        body: dict[str, Any] | DomainError,
        check: Callable[[date], None] | None = None,
    ) -> DomainOutcome:
        """One request through every check, its operation and its record; ``check`` is the form's own look at the body."""
        request: DomainRequest | None = None
        try:
            if isinstance(body, DomainError):
                raise body
            request = self._domain_request(operation, headers, address, path, body, check)
            self.system.tick()
            self.system.admit(request)
            given = self.acts[operation.name](request)
            answer = given if isinstance(given, DomainAnswer) else await given
            self.system.record(request, answer, None)
            return DomainOutcome(answer.body, answer.status, "application/json")
        except DomainError as refused:
            today = self.system.now().astimezone(self.system.zone).date()
            error = formal(refused, self.system.appeal(today))
            if request is not None:
                self.system.record(request, None, error)
            log.info("refused", extra={"event": "refused", "operation": operation.name, "code": error.code})
            return DomainOutcome(error.to_json(), error.status, error.content_type)
        except Exception as err:
            # Neither text nor traceback: both may hold what was asked.
            fault_id = str(uuid.uuid4())
            log.error(
                "unexpected",
                extra={
                    "event": "internal_error",
                    "operation": operation.name,
                    "fault_id": fault_id,
                    "reason": type(err).__name__,
                    "line": _where(err),
                },
            )
            internal = DomainError("SS-900", f"folio {fault_id}", f"reference {fault_id}")
            return DomainOutcome(internal.to_json(), internal.status, internal.content_type)

    def _domain_request(
        self,
        operation: PackOperation,
        headers: Mapping[str, str],
        address: str,
        path: Mapping[str, str],
        body: dict[str, Any],
        check: Callable[[date], None] | None,
    ) -> DomainRequest:
        _check_leaks(operation, headers, address, body)
        context = parse_context(headers)
        now = self.system.now()
        today = now.astimezone(self.system.zone).date()
        wireschema.check_values(body, today, takes_curp=operation.name == "buscarBeneficiario")
        if check is not None:
            check(today)
        wireschema.check_request(operation, body)
        check_context(operation, context, self.system.policy)
        named = path.get("caso") or path.get("folio")
        if named is not None and named != context.case:
            raise DomainError(
                "SS-200",
                "X-Road-Issue no es el caso de la dirección",
                "X-Road-Issue is not the case of the address",
                field="X-Road-Issue",
            )
        return DomainRequest(operation, context, path, body, now, today)


async def _read_body(request: web.Request) -> dict[str, Any]:
    if request.method == "GET":
        return {}
    try:
        value = load_json(await request.read() or b"{}")
    except (ValueError, web.HTTPRequestEntityTooLarge):
        raise DomainError(
            "SS-100", "el cuerpo no es JSON de a lo más 1 MiB", "the body is not JSON of at most 1 MiB"
        ) from None
    if not isinstance(value, dict):
        raise DomainError("SS-100", "se espera un objeto JSON", "a JSON object is expected")
    return value


def _check_leaks(
    operation: PackOperation, headers: Mapping[str, str], address: str, body: dict[str, Any]
) -> None:
    """No CURP in the address, in a header, or in the body of any service but the registry's look-up."""
    if find_curp(address):
        raise DomainError("SS-105", field="URL")
    for name, value in headers.items():
        if find_curp(value):
            raise DomainError("SS-105", field=name)
    for name, value in wireschema.strings(body):
        if unsuitable_characters(value, lines=True):
            raise DomainError(
                "SS-100",
                f"un texto tiene {spelled(unsuitable_characters(value, lines=True))}, que no se puede guardar ni mostrar",
                f"a text holds {spelled(unsuitable_characters(value, lines=True))}, which cannot be kept or shown",
                field=name,
            )
        if operation.name == "buscarBeneficiario" and name == "curp":
            continue
        if find_curp(value):
            raise DomainError("SS-105", field=name)


def _reading(reading: Reading) -> Callable[[web.Request], Any]:
    async def handle(request: web.Request) -> web.Response:
        try:
            given = reading(request.query)
            return given if isinstance(given, web.Response) else await given
        except DomainError as error:
            return _json(error.to_json(), error.status, error.content_type)

    return handle


def _json(body: Mapping[str, Any], status: int, content_type: str) -> web.Response:
    return web.Response(
        text=dump_json(dict(body), ensure_ascii=False),
        status=status,
        content_type=content_type,
        charset="utf-8",
    )


def _where(err: BaseException) -> str:
    trace = err.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}"
