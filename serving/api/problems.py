"""How an admin API says that something went wrong: one shape for every error answer.

A handler raises `Problem` with a status and a stable code; the dispatcher renders it. Nothing that was not raised as a
`Problem` reaches the caller with its text. Spec: the error object ``ErrorInfo`` of X-Road's admin APIs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from serving.errors import Caution
from serving.language import N_, SOURCE_LANGUAGE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from serving.language import Translatable


@dataclass(eq=False)
class Problem(Exception):
    """A refusal with its HTTP status: code and positional details for a program, ``words`` for a person at a page.

    Neither holds a secret. The admin API answers code and details, a page the words (`words_of`), a command both.
    """

    status: int
    code: str | None = None
    metadata: Sequence[str] = ()
    warnings: Sequence[Caution] = ()
    validation_errors: Mapping[str, Sequence[str]] = field(default_factory=dict)
    words: Translatable | None = None

    def __str__(self) -> str:
        words = () if self.words is None else (self.words.into(SOURCE_LANGUAGE),)
        return f"{self.code or 'HTTP'} ({self.status}): {'; '.join((*words, *self.metadata))}".rstrip(": ")


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


def failed(code: str, *metadata: str, words: Translatable | None = None) -> Problem:
    """Somebody this server depends on failed; the metadata says who and how."""
    return Problem(500, code, metadata, words=words)


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


_WORDS = {
    400: N_("What was asked for was not accepted"),
    403: N_("Your account may not do that"),
    404: N_("It does not exist"),
    409: N_("The present state does not allow it"),
    429: N_("Too many requests; wait a minute"),
    503: N_("No changes are taken now"),
}


def words_of(problem: Problem) -> Translatable:
    """A problem in words; where it has none of its own, of its status, with code and details as the API says them."""
    if problem.words is not None:
        return problem.words
    detail = " ".join(p for p in (problem.code or "", *problem.metadata) if p)
    text = _WORDS.get(problem.status, N_("That did not work"))
    return N_("{what}: {detail}.", what=text, detail=detail) if detail else N_("{what}.", what=text)
