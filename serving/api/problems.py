"""How an admin API says that something went wrong: one shape for every error answer.

A handler raises `Problem` with a status and a stable code; the dispatcher renders it. Nothing that was not raised as a
`Problem` reaches the caller with its text. Spec: the error object ``ErrorInfo`` of X-Road's admin APIs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from serving.errors import Caution

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(eq=False)
class Problem(Exception):
    """A refusal with its HTTP status, its code and positional details that hold no secret."""

    status: int
    code: str | None = None
    metadata: Sequence[str] = ()
    warnings: Sequence[Caution] = ()
    validation_errors: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __str__(self) -> str:
        return " ".join(str(part) for part in (self.status, self.code, *self.metadata) if part)


def bad_request(code: str, *metadata: str) -> Problem:
    """The request cannot be meant."""
    return Problem(400, code, metadata)


def forbidden(code: str, *metadata: str) -> Problem:
    """The caller may not do this."""
    return Problem(403, code, metadata)


def not_found(code: str, *metadata: str) -> Problem:
    """A problem with status 404: the path names a thing that does not exist."""
    return Problem(404, code, metadata)


def conflict(code: str, *metadata: str) -> Problem:
    """The state does not allow it."""
    return Problem(409, code, metadata)


def failed(code: str, *metadata: str) -> Problem:
    """Somebody this server depends on failed; the metadata says who and how."""
    return Problem(500, code, metadata)


def check_warnings(warnings: Sequence[Caution], *, ignore: bool) -> None:
    """Refuse with the warnings found, unless the caller has seen them and goes on."""
    if warnings and not ignore:
        raise Problem(400, "warnings_detected", warnings=warnings)


def render_problem(problem: Problem) -> dict[str, Any]:
    """The body of the answer; members without a value are left out."""
    body: dict[str, Any] = {"status": problem.status}
    if problem.code is not None:
        body["error"] = _coded(problem.code, problem.metadata)
        if problem.validation_errors:
            body["error"]["validation_errors"] = {k: list(v) for k, v in problem.validation_errors.items()}
    if problem.warnings:
        body["warnings"] = [_coded(w.code, w.metadata) for w in problem.warnings]
    return body


def _coded(code: str, metadata: Sequence[str]) -> dict[str, Any]:
    return {"code": code, "metadata": list(metadata)} if metadata else {"code": code}
