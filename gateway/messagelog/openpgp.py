"""OpenPGP for what leaves the message log: archives that are handed on, and downloads of evidence, encrypted to their member.

The operator's GnuPG does it, with public keys in a folder of its own; this software holds no OpenPGP key and asks no key server.
X-Road encrypts the same two things with the same program. At rest everything is sealed otherwise, key by key (decision 0020).

Spec: RFC 4880; X-Road's `archive-gpg-home-directory`, `archive-default-encryption-key`, `archive-encryption-keys-config`.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import tempfile
from typing import IO, TYPE_CHECKING, BinaryIO

import msgspec

from schemas.faults import Fault, Kind
from schemas.showing import shown
from serving.errors import OperatorError
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

_KEY = re.compile(r"[0-9A-F]{40}|[0-9A-F]{64}")
_LONGEST_OUTPUT = 500
_CHUNK = 256 * 1024
SUFFIX = ".gpg"


class PgpSettings(msgspec.Struct, frozen=True):
    """GnuPG's folder, and fingerprints of public keys in it: a member's own, or else those for everybody.

    ``for_downloads``: `GET /asic` is encrypted whether asked or not.
    """

    home: str = ""
    default_keys: tuple[str, ...] = ()
    member_keys: Mapping[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    for_downloads: bool = False

    @property
    def is_set(self) -> bool:
        """Whether GnuPG has a folder, so that what leaves can be encrypted."""
        return bool(self.home)

    def keys_for(self, path: str) -> tuple[str, ...]:
        """The keys of a member or of one of its subsystems, by path; empty stands for everybody. Raises `Fault` without any."""
        member = "/".join(path.split("/")[:3])
        keys = self.member_keys.get(member, self.default_keys)
        if not self.home or not keys:
            raise Fault(
                Kind.LOGGING_FAILED,
                f"there is no OpenPGP key for {shown(member) or 'everybody'}: set log.openpgp_home and "
                "log.openpgp_default_keys, or log.openpgp_member_keys for the member",
            )
        return keys


def parse_pgp(
    home: str, default_keys: Sequence[str], member_keys: Sequence[str], *, for_downloads: bool
) -> PgpSettings:
    """The settings as written: fingerprints, and lines of a member's path with a fingerprint. Raises ValueError."""
    members: dict[str, tuple[str, ...]] = {}
    for line in member_keys:
        path, _sign, key = line.strip().rpartition(" ")
        if path.count("/") != 2:
            raise OperatorError(
                N_("a member's path and a fingerprint were expected; {line!r} came", line=line)
            )
        members[path.strip()] = (*members.get(path.strip(), ()), _fingerprint(key))
    if (default_keys or members or for_downloads) and not home:
        raise OperatorError(N_("keys are named, but not the folder they are in (log.openpgp_home)"))
    return PgpSettings(home, tuple(map(_fingerprint, default_keys)), members, for_downloads)


def _fingerprint(text: str) -> str:
    key = text.replace(" ", "").upper()
    if _KEY.fullmatch(key) is None:
        raise OperatorError(
            N_("a key's fingerprint has 40 or 64 hexadecimal digits; {text!r} came", text=text)
        )
    return key


async def encrypt(
    chunks: AsyncIterator[bytes], keys: Sequence[str], home: str, *, timeout_s: float = 600.0
) -> BinaryIO:
    """Encrypt chunks to every key: a nameless file, at its beginning. Raises `Fault`."""
    command = ["gpg", "--homedir", home, "--batch", "--no-tty", "--quiet", "--no-auto-key-locate"]
    # Who chose the fingerprint has decided on the trust; compression would only cost time: containers are packed.
    command += ["--trust-model", "always", "--compress-algo", "none", "--output", "-", "--encrypt"]
    command += [word for key in keys for word in ("--recipient", key)]
    out: BinaryIO = tempfile.TemporaryFile()  # the caller closes it
    try:
        async with asyncio.timeout(timeout_s):
            await _run(command, chunks, out)
    except TimeoutError:
        out.close()
        raise _failed(f"gpg took longer than {timeout_s:g} s") from None
    except BaseException:
        out.close()
        raise
    out.seek(0)
    return out


async def _run(command: Sequence[str], chunks: AsyncIterator[bytes], out: IO[bytes]) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=out, stderr=asyncio.subprocess.PIPE
        )
    except OSError as err:
        raise _failed(f"gpg cannot be run: {err}") from err
    if process.stdin is None or process.stderr is None:
        raise RuntimeError("both were asked for")
    reading = asyncio.create_task(process.stderr.read(16 * _LONGEST_OUTPUT))
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            async for chunk in chunks:
                process.stdin.write(chunk)
                await process.stdin.drain()
            process.stdin.close()
            await process.stdin.wait_closed()
        printed = await reading
        await process.wait()
    except BaseException:
        reading.cancel()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if process.returncode:
        text = shown(printed.decode("utf-8", "replace").strip(), _LONGEST_OUTPUT)
        raise _failed(f"gpg ended with {process.returncode}: {text}")


async def draw(file: BinaryIO) -> AsyncIterator[bytes]:
    """The bytes of a file, a chunk at a time; it is closed after the last."""
    with file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk


def _failed(detail: str) -> Fault:
    return Fault(Kind.LOGGING_FAILED, f"OpenPGP encryption failed: {detail}")
