"""One operation of an admin API as a row: what it is called with, who may, what it answers, what the audit log says.

The dispatcher (`serving.api.server`) and the OpenAPI document (`serving.api.openapi`) both read these rows and nothing else,
so what is published is what is served. Bodies are `msgspec.Struct` types; a member that is None is left out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import msgspec

from schemas.faults import BadMessage
from schemas.names import check_text
from serving.api.problems import Problem, forbidden

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from datetime import datetime

T = TypeVar("T")
LONGEST_FIELD = 4096


class Part(msgspec.Struct, frozen=True):
    """One part of a multipart form."""

    content: bytes
    file_name: str | None = None
    content_type: str | None = None

    def text(self) -> str:
        """The part as text, trimmed as a body's strings are. Raises `Problem` when it is none that may be kept."""
        try:
            text = self.content.decode("utf-8").strip(" \t\r\n")
        except UnicodeDecodeError as err:
            raise Problem(400, "validation_failure", ["a form field is not UTF-8"]) from err
        try:
            return check_text(text, "a form field", longest=LONGEST_FIELD)
        except BadMessage as fault:
            raise Problem(400, "validation_failure", [fault.detail]) from fault


class Bytes(msgspec.Struct, frozen=True):
    """A body that is a file as it is."""

    media_type: str = "application/octet-stream"


class MultipartForm(msgspec.Struct, frozen=True):
    """A multipart form; a handler finds `Part`s by name in `Call.parts`."""

    # Name -> whether it must be there.
    fields: dict[str, bool]
    files: dict[str, bool] = msgspec.field(default_factory=dict)
    # What a page offers for a field of few values; the handler judges what comes.
    choices: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)


class Download(msgspec.Struct, frozen=True):
    """An answer that is a file."""

    content: bytes
    media_type: str
    file_name: str | None = None


class ApiAnswer(msgspec.Struct, frozen=True):
    """An answer with more than a body: another status, or headers."""

    body: object = None
    status: int | None = None
    headers: dict[str, str] = msgspec.field(default_factory=dict)


async def accept() -> None:
    """Let a change be made as it is, whatever there is."""


class OperationInput(msgspec.Struct, frozen=True):
    """An operation's input that did not come as a request of its own: from a page's form.

    ``path`` and ``query`` are texts by name, ``body`` a decoded JSON value, ``file`` the body of an operation that takes one, ``parts``
    those of a multipart form. ``check`` may refuse a change by raising `Problem`: it is asked once no other change is under way.
    """

    path: Mapping[str, str] = msgspec.field(default_factory=dict)
    query: Mapping[str, str] = msgspec.field(default_factory=dict)
    body: Any = None
    file: bytes = b""
    parts: Mapping[str, Part] = msgspec.field(default_factory=dict)
    check: Callable[[], Awaitable[None]] = accept


class Principal(msgspec.Struct, frozen=True):
    """Who calls, how that was proved, and what he may do."""

    name: str
    # session, api-key, basic or system
    by: str
    roles: frozenset[str]
    permissions: frozenset[str]
    # Clients (encoded identifiers) this caller is narrowed to; empty: everything.
    scope: frozenset[str] = frozenset()


class Call(msgspec.Struct):
    """One request on its way through a handler."""

    principal: Principal
    path: dict[str, str]
    now: datetime
    id: str
    address: str = ""
    query: object = None
    body: object = None
    parts: dict[str, Part] = msgspec.field(default_factory=dict)
    # What the operation's ``prepare`` made for its handler.
    prepared: object = None
    # The lines for the audit log of a handler that knows what it changed; None has them found by comparing.
    changes: list[str] | None = None
    # What the audit log shall say beside the path; never a secret.
    facts: dict[str, Any] = msgspec.field(default_factory=dict)

    def body_as(self, kind: type[T]) -> T:
        """The body, validated already, as a value of the row's type. Raises TypeError."""
        if not isinstance(self.body, kind):
            raise TypeError(f"the operation's row does not say that its body is {kind.__name__}")
        return self.body

    def query_as(self, kind: type[T]) -> T:
        """The query, validated already, as a value of the row's type. Raises TypeError."""
        if not isinstance(self.query, kind):
            raise TypeError(f"the operation's row does not say that its query is {kind.__name__}")
        return self.query

    def file(self) -> bytes:
        """The body of an operation that takes a file."""
        return cast("bytes", self.body)

    def note(self, **facts: object) -> None:
        """Say more about this call in the audit log."""
        self.facts.update(facts)

    def may(self, permission: str) -> bool:
        """Whether the caller has a permission, for operations where it depends on what is asked."""
        return permission in self.principal.permissions

    def check_may(self, *permissions: str) -> None:
        """Refuse unless the caller has one of the permissions."""
        if not any(self.may(p) for p in permissions):
            raise forbidden("forbidden", "permission needed: " + " or ".join(permissions))

    def check_scope(self, encoded_client: str) -> None:
        """Refuse when the caller is narrowed to other clients. A member's scope covers its subsystems."""
        scope = self.principal.scope
        parts = encoded_client.split(":")
        if scope and not any(":".join(parts[:n]) in scope for n in range(3, len(parts) + 1)):
            raise forbidden("forbidden", f"this login may not act for {encoded_client}")


class Operation(msgspec.Struct, frozen=True):
    """A row of the table. ``path`` stands below ``/api/v1``."""

    method: str
    path: str
    handler: Callable[[Call], Awaitable[object]]
    summary: str
    # Any one of these; empty: every login.
    permissions: tuple[str, ...] = ()
    # A Struct type or list[...] (JSON), Bytes or Form; None: no body.
    body: Any = None
    # Whether a JSON body may be left out (then `Call.body` is the Struct with its defaults).
    body_optional: bool = False
    # A Struct type whose fields are the query's.
    query: type[msgspec.Struct] | None = None
    # A Struct type or list[...] (JSON), a media type, or None for an empty answer.
    answer: Any = None
    status: int = 200
    # Further successful statuses with their answers.
    other_answers: dict[int, Any] = msgspec.field(default_factory=dict)
    # Error statuses this operation adds to those every operation has.
    errors: tuple[int, ...] = ()
    # Name of the change in the audit log; None: nothing changes.
    event: str | None = None
    # Whether the handler calls `Call.check_scope`, so that narrowed logins may use it.
    scoped: bool = False
    # No login needed.
    public: bool = False
    tag: str = ""
    # What takes long and changes nothing, done before other changes are waited for; it leaves its fruit in `Call.prepared`.
    prepare: Callable[[Call], Awaitable[None]] | None = None
    # Whether it waits until other changes are done, and they for it.
    exclusive: bool = True

    @property
    def id(self) -> str:
        """A unique name made of method and path."""
        words = [w.strip("{}").replace("-", "_").replace(".", "_") for w in self.path.split("/") if w]
        return "_".join([self.method.lower(), *words])

    @property
    def takes_file(self) -> bool:
        """Whether the larger size limit holds."""
        return isinstance(self.body, (Bytes, MultipartForm))


def problem_answers(operation: Operation) -> tuple[int, ...]:
    """The error statuses an operation can answer with."""
    found = {413, 429, *operation.errors}
    found |= {400} if not operation.public or operation.body or operation.query else set()
    if not operation.public:
        found |= {401, 403}
    if operation.body is not None:
        found |= {400, 415}
    if "{" in operation.path:
        found |= {404}
    if operation.event is not None:
        found |= {409, 503}
    return tuple(sorted(found))
