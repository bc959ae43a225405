"""Reading a description in a process of its own, which a deadline ends: a stranger's document costs bounded time and memory.

`read_description` starts ``python -m gateway.clients.descriptions.reading``, gives it the document on its standard input, and has
what it says as JSON. The child has no secrets in its environment, bounds on memory and processor time, and dies with
whoever waits for it: at the deadline, and when the waiting task is cancelled. Its memory (validators of schemas take tens
of megabytes) is given back when it ends. At most `AT_ONCE` run at a time.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

import msgspec

from gateway.clients.descriptions.described import ParsedDescription
from gateway.clients.descriptions.openapi import parse_openapi
from gateway.clients.descriptions.wsdl import parse_wsdl
from gateway.clients.model import ServiceType
from gateway.refusals import GatewayCode
from schemas.jsontext import decode_json, encode_json
from serving.errors import Refused
from serving.process.childprocess import DEFAULT_LIMITS, ChildLimits, bound_itself, run_child

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Read = Callable[[ServiceType, bytes, str], Awaitable[ParsedDescription]]

AT_ONCE = 2
SMALL_BYTES = 64 * 1024
# Somebody waits at a terminal; a command's process has no messages that could come first.
COMMAND_LIMITS = ChildLimits(priority=0)


class _Refused(msgspec.Struct):
    code: GatewayCode
    detail: str
    metadata: list[str]


class _ReaderOutcome(msgspec.Struct):
    """What the child says: one of the two."""

    described: ParsedDescription | None = None
    refused: _Refused | None = None


def parse_description(kind: ServiceType, content: bytes, url: str) -> ParsedDescription:
    """Parse a WSDL or an OpenAPI document, by ``kind``. Raises `Refused`."""
    return parse_wsdl(content) if kind is ServiceType.WSDL else parse_openapi(content, url)


class DescriptionReader:
    """Reads descriptions in processes of their own, a few at a time."""

    def __init__(self, limits: ChildLimits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._places = asyncio.Semaphore(AT_ONCE)

    async def read(self, kind: ServiceType, content: bytes, url: str) -> ParsedDescription:
        """Parse a document in a child process. Raises `Refused`, also when reading it takes too long or too much."""
        async with self._places:
            return await read_description(kind, content, url, self._limits)


async def read_description(
    kind: ServiceType, content: bytes, url: str, limits: ChildLimits = DEFAULT_LIMITS
) -> ParsedDescription:
    """Parse a document in a child process that is gone when this returns, raises or is cancelled. Raises `Refused`."""
    outcome = await run_child(__name__, [kind.value, url], content, limits)
    if outcome.failure:
        raise _too_much(kind, outcome.failure)
    return await asyncio.to_thread(_outcome, kind, outcome.output)


def read_for_command(
    kind: ServiceType, content: bytes, url: str = "", limits: ChildLimits = COMMAND_LIMITS
) -> ParsedDescription:
    """Parse a document for a command that waits for it: a large one in a child process, a small one here.

    Raises `Refused`.
    """
    if len(content) <= SMALL_BYTES:
        return parse_description(kind, content, url)
    return asyncio.run(read_description(kind, content, url, limits))


def _outcome(kind: ServiceType, output: bytes) -> ParsedDescription:
    answer = decode_json(output, _ReaderOutcome)
    if answer.described is not None:
        return answer.described
    if answer.refused is None:
        raise _too_much(kind, "ended without an answer")
    raise Refused(answer.refused.code, answer.refused.detail, *answer.refused.metadata)


def _too_much(kind: ServiceType, reason: str) -> Refused:
    code = GatewayCode.INVALID_WSDL if kind is ServiceType.WSDL else GatewayCode.OPENAPI_PARSING_ERROR
    detail = f"reading the description {reason}; make it smaller or divide it into several"
    return Refused(code, detail, detail)


def main(processor_s: str, memory_bytes: str, priority: str, kind: str, url: str) -> None:
    """The child: reads standard input, says what it found on standard output."""
    bound_itself(processor_s, memory_bytes, priority)
    try:
        outcome = _ReaderOutcome(parse_description(ServiceType(kind), sys.stdin.buffer.read(), url))
    except Refused as refusal:
        outcome = _ReaderOutcome(
            refused=_Refused(GatewayCode[refusal.code.name], str(refusal), list(refusal.metadata))
        )
    sys.stdout.buffer.write(encode_json(outcome))


if __name__ == "__main__":
    main(*sys.argv[1:])
