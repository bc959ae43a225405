"""A validator of WSDLs that the operator brings, asked besides our own: ``descriptions.wsdl_validator_command``.

The command gets the document on its standard input and the URL it came from as its last argument; it fetches nothing
for us. Status 0 is good; with another, the lines it prints are warnings, which the operator may ignore. It has no secrets in
its environment, `SECONDS` on the clock, and is gone when this returns.

Spec: UG-SYSPAR 3.9 ``wsdl-validator-command`` (X-Road's gets the URL alone).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
from typing import TYPE_CHECKING

import msgspec

from gateway.clients.descriptions.wsdl import MAX_WARNINGS
from gateway.clients.model import ServiceType
from gateway.refusals import GatewayCode
from serving.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.clients.descriptions.described import ParsedDescription
    from gateway.clients.descriptions.reading import Read

SECONDS = 60.0
_LONGEST_LINE = 300
_MOST_OUTPUT = 256 * 1024


def with_validator(read: Read, command: Callable[[], str]) -> Read:
    """``read``, with what the command that is set then says of a WSDL among the warnings."""

    async def checked(kind: ServiceType, content: bytes, url: str) -> ParsedDescription:
        described = await read(kind, content, url)
        words = shlex.split(command()) if kind is ServiceType.WSDL else []
        if not words:
            return described
        return msgspec.structs.replace(
            described, warnings=(*described.warnings, *await run_validator(words, content, url))
        )

    return checked


async def run_validator(
    command: list[str], content: bytes, url: str, seconds: float = SECONDS
) -> tuple[str, ...]:
    """The warnings of a validator, none when it is content. Raises `Refused` when it cannot be run or does not end."""
    try:
        child = await asyncio.create_subprocess_exec(
            *command,
            url,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
        )
    except OSError as err:
        raise _failed(f"{command[0]} cannot be run: {err.strerror}") from err
    try:
        async with asyncio.timeout(seconds):
            output = await _talk(child, content)
            await child.wait()
    except TimeoutError as err:
        raise _failed(f"{command[0]} has not ended after {seconds:g} s") from err
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode == 0:
        return ()
    lines = [line.strip()[:_LONGEST_LINE] for line in output.decode("utf-8", "replace").splitlines()]
    found = [line for line in lines if line][:MAX_WARNINGS]
    return tuple(found or [f"{command[0]} ended with status {child.returncode} and no word"])


async def _talk(child: asyncio.subprocess.Process, content: bytes) -> bytes:
    """Give the document while taking what is printed, the beginning of it when it is long."""
    stdin, stdout = child.stdin, child.stdout
    if stdin is None or stdout is None:  # pragma: no cover  both are pipes
        return b""
    output, _ = await asyncio.gather(_take(stdout), _give(stdin, content))
    return output


async def _take(stdout: asyncio.StreamReader) -> bytes:
    output = bytearray()
    while chunk := await stdout.read(65_536):
        output += chunk[: _MOST_OUTPUT - len(output)]
    return bytes(output)


async def _give(stdin: asyncio.StreamWriter, content: bytes) -> None:
    # One that does not read has its URL.
    with contextlib.suppress(ConnectionError):
        stdin.write(content)
        await stdin.drain()
        stdin.close()


def _failed(reason: str) -> Refused:
    detail = f"{reason}; see descriptions.wsdl_validator_command"
    return Refused(GatewayCode.WSDL_VALIDATOR_INTERRUPTED, detail, detail)
