"""What every resource of the admin API is given, and how its handlers are put into rows.

A handler raises `Refused`, as the rules do; here that becomes the frame's `Problem`. Changes are made by `CentralAdminContext.change`,
in the caller's name.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from central_server.store.records import Actor
from certs.certificatefiles import read_certificate_der
from schemas.faults import Fault
from serving.api.operations import Call, Operation
from serving.api.problems import Problem
from serving.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager
    from datetime import datetime

    from central_server.management.requests import ApprovalPolicy
    from central_server.publication.node import CentralNode
    from central_server.store.records import Records
    from certs.configuration import TrustedConfiguration
    from schemas.globalconf.anchor import Anchor

    Handler = Callable[[Call], Awaitable[object]]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CentralAdminContext:
    """The node, the policy, and what of the outside world a handler may need."""

    node: CentralNode
    policy: Callable[[], ApprovalPolicy]
    trusted: Callable[[], TrustedConfiguration]
    # Proves that an external source answers to an anchor. Raises `Fault`.
    check_external_source: Callable[[Anchor, datetime], Awaitable[None]]
    version: str

    def read(self) -> Records:
        """The registry's records, for reading only."""
        return self.node.store.read()

    def change(self, call: Call) -> AbstractContextManager[Records]:
        """One transaction in the caller's name."""
        return self.node.store.change(actor_of(call), call.now)


class MadeOnce(Generic[T]):
    """A value of the registry that is made once a generation, for searches among tens of thousands of rows."""

    def __init__(self, context: CentralAdminContext, make: Callable[[Records], T]) -> None:
        self._context = context
        self._make = make
        self._made: tuple[int, T] | None = None

    def value(self) -> T:
        """As the registry is now. The generation is read before the rows: a change meanwhile gives another one."""
        generation = self._context.node.store.generation()
        if self._made is None or self._made[0] != generation:
            self._made = generation, self._make(self._context.read())
        return self._made[1]


def actor_of(call: Call) -> Actor:
    """The caller, as the audit log names him."""
    return Actor(call.principal.name, call.address)


def row(method: str, path: str, handler: Handler, summary: str, *permissions: str, **more: Any) -> Operation:
    """A row of the table; refusals of the rules become answers."""

    @wraps(handler)
    async def guarded(call: Call) -> object:
        try:
            return await handler(call)
        except Refused as refusal:
            code = refusal.code
            raise Problem(code.status, code, list(refusal.metadata), words=refusal.text) from refusal

    tag = more.pop("tag", path.split("/")[1])
    return Operation(method, path, guarded, summary, permissions, tag=tag, **more)


def certificate_of(content: bytes) -> bytes:
    """The DER of an uploaded certificate. Raises `Problem` (``invalid_certificate``)."""
    try:
        return read_certificate_der(content)
    except Fault as fault:
        raise Problem(400, "invalid_certificate", [fault.detail]) from fault
