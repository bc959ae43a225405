"""What an admin API writes back: values, files and problems as HTTP answers."""

from __future__ import annotations

import contextlib
import logging
import re
import sqlite3
from io import BytesIO
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.payload import BytesIOPayload

from schemas.faults import BadMessage, Fault, TokenFailed
from schemas.jsontext import encode_json
from serving.api.operations import ApiAnswer, Download
from serving.api.problems import Problem, render_problem
from serving.errors import OperatorError
from serving.process.failing import reason_of
from serving.storage.conflicts import DatabaseConflict

if TYPE_CHECKING:
    from collections.abc import Iterator

    from serving.api.operations import Operation

log = logging.getLogger("admin")
SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",
    "Cache-Control": "no-store",
}
# The bytes of an answer that are given to the connection in one go.
AT_ONCE = 64 * 1024
API_POLICY = "default-src 'none'; frame-ancestors 'none'"


def operation_answer(operation: Operation, given: object) -> web.StreamResponse:
    """The HTTP answer to a handler's value: status and media type as the operation's row has them."""
    answer = given if isinstance(given, ApiAnswer) else ApiAnswer(given)
    status = answer.status or operation.status
    if isinstance(answer.body, Download):
        made = web.Response(
            status=status, body=_given(answer.body.content), headers={"Content-Type": answer.body.media_type}
        )
        if answer.body.file_name is not None:
            safe = re.sub(r"[^\w.\- ]", "_", answer.body.file_name)
            made.headers["Content-Disposition"] = f'attachment; filename="{safe}"'
    elif answer.body is None:
        made = web.Response(status=status)
    else:
        made = json_answer(status, answer.body)
    made.headers.update(answer.headers)
    return made


def json_answer(status: int, body: object) -> web.Response:
    """A value as a JSON answer with this status."""
    return web.Response(status=status, body=_given(encode_json(body)), content_type="application/json")


def unexpected_problem(err: Exception, request_id: str) -> Problem:
    """The answer to a call that met an error of its own: nothing of it but the id that finds it in the log.

    What is an operator's to mend says in the log where and how; of anything else the place is noted too.
    """
    is_explained = isinstance(err, OperatorError | sqlite3.DatabaseError)
    log.error(
        "an admin call failed unexpectedly",
        extra={"id": request_id, "reason": str(err)},
        exc_info=None if is_explained else err,
    )
    return Problem(500, "internal_error", [request_id])


def _given(content: bytes) -> bytes | BytesIOPayload:
    """The same content; a large one leaves in pieces, between which the loop serves others (TLS takes 10 ms for a mebibyte)."""
    return content if len(content) <= AT_ONCE else BytesIOPayload(BytesIO(content))


def problem_answer(problem: Problem) -> web.Response:
    """A refusal; where a body may still be on its way the connection ends with it."""
    answer = json_answer(problem.status, render_problem(problem))
    if problem.status in (413, 429):
        answer.force_close()
    return answer


def fault_problem(fault: Fault) -> Problem:
    """A fault of the layers below as an API's problem: code ``core.`` with the fault's code, and its text."""
    status = 400 if isinstance(fault, BadMessage) else 409 if isinstance(fault, TokenFailed) else 500
    return Problem(status, f"core.{fault.kind.value}", [fault.detail], words=reason_of(fault))


@contextlib.contextmanager
def as_problems() -> Iterator[None]:
    """Raise what the layers below refuse as a `Problem`."""
    try:
        yield
    except Fault as fault:
        raise fault_problem(fault) from fault
    except DatabaseConflict as conflict:
        raise Problem(409, "changed_by_another_node", ["nothing was changed; call again"]) from conflict
    except ConnectionError as lost:  # the database that nodes share
        raise Problem(503, "database_unavailable", [str(lost)]) from lost
