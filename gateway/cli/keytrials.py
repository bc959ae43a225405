"""Commands that ask a key of a token for signatures: of a text, of a file, and of many digests at once to see what a token bears.

Each signature is verified with the key's public half before it is given out, and each use stands on the audit log: a member's key
signs here what no message carries.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from cryptography.hazmat.primitives.serialization import load_der_public_key

from certs.algorithms import SignatureAlgorithm, verify_digest_signature
from certs.tokens.port import SOFTWARE_TOKEN_ID, KeyId
from gateway.cli.keys import DATA, PIN, SETTINGS, opened, read_pin
from gateway.cli.localaudit import record
from schemas.faults import Fault
from serving.cli.commands import report_errors
from serving.cli.printing import print_values
from serving.cli.usercommands import JSON
from serving.language import _

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    from certs.algorithms import DigestAlgorithm
    from gateway.keys.operations import KeyOperations
    from gateway.keys.tokens import Tokens

_READ_BYTES = 1024 * 1024
ALGORITHM = click.option(
    "--algorithm",
    help="Java's name of the scheme: SHA256withRSA, SHA512withRSAandMGF1, SHA384withECDSA",
)


class KeyTrial:
    """One key of a token that is logged in, and the scheme it is asked to sign with."""

    def __init__(
        self, key_id: KeyId, public_key: PublicKeyTypes, algorithm: SignatureAlgorithm, tokens: Tokens
    ) -> None:
        self._key_id = key_id
        self._public_key = public_key
        self._tokens = tokens
        self.algorithm = algorithm

    async def sign(self, digest: bytes) -> bytes:
        """The signature over a digest, ECDSA as DER. Raises `Fault` when the token refuses, or gives what does not verify."""
        signature = await self._tokens.sign(self._key_id, digest, self.algorithm)
        verify_digest_signature(self._public_key, signature, digest, self.algorithm, ecdsa_format="der")
        return signature

    async def sign_many(self, count: int, at_once: int) -> list[float]:
        """Sign ``count`` random digests, ``at_once`` of them at a time; how long each took, in seconds."""
        left = iter(range(count))
        took: list[float] = []

        async def work() -> None:
            for _number in left:
                digest = self.algorithm.digest.digest(secrets.token_bytes(32))
                began = time.monotonic()
                await self.sign(digest)
                took.append(time.monotonic() - began)

        async with asyncio.TaskGroup() as group:
            for _worker in range(min(at_once, count)):
                group.create_task(work())
        return took


@contextlib.asynccontextmanager
async def opened_key(
    data: Path, settings_file: Path | None, pin: Callable[[], str], key_id: str, algorithm: str | None
) -> AsyncIterator[KeyTrial]:
    """A key of a data folder, wherever its token is; the software token is opened by its PIN. Raises ValueError, `Fault`."""
    from gateway.settings import config, livesettings
    from serving.process.devices import build_devices

    settings = config.load(livesettings.settings_file(data, settings_file), os.environ)
    async with opened(data, devices=build_devices(settings.keys, data)) as (operations, tokens):
        if not (await tokens.token(SOFTWARE_TOKEN_ID)).logged_in and await _is_soft(operations, key_id):
            await tokens.login(SOFTWARE_TOKEN_ID, pin())
        place = next(((t, k) for t in await operations.tokens() for k in t.keys if k.id == key_id), None)
        if place is None:
            raise ValueError(_("there is no key {key_id}; 'gateway key list' shows them", key_id=key_id))
        token, found = place
        if not token.logged_in:
            raise ValueError(
                _("the token {token} is not logged in: gateway token login {token}", token=token.id)
            )
        public_key = load_der_public_key(found.public_key)
        scheme = (
            SignatureAlgorithm.for_key(public_key, pss=tokens.signs_pss(found.id))
            if algorithm is None
            else SignatureAlgorithm.from_jca_name(algorithm)
        )
        yield KeyTrial(found.id, public_key, scheme, tokens)


async def _is_soft(operations: KeyOperations, key_id: str) -> bool:
    """Whether a key is the software token's, or one that nobody wrote down yet, which may be."""
    where = {k.id: t.id for t in await operations.tokens() for k in t.keys}
    return where.get(KeyId(key_id), SOFTWARE_TOKEN_ID) == SOFTWARE_TOKEN_ID


def digest_of_file(path: Path, algorithm: DigestAlgorithm) -> bytes:
    """The digest of a file, which is read in pieces."""
    made = hashlib.new(algorithm.short)
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            made.update(piece)
    return made.digest()


@click.command()
@DATA
@PIN
@SETTINGS
@click.argument("key_id")
@click.option("--text", help="the text to sign, as UTF-8")
@click.option("--file", "file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@ALGORITHM
@click.option("--out", type=click.Path(path_type=Path), help="where the signature goes, as bytes")
@report_errors
def sign(
    data: Path,
    pin_file: Path | None,
    settings_file: Path | None,
    key_id: str,
    text: str | None,
    file: Path | None,
    algorithm: str | None,
    out: Path | None,
) -> None:
    """Sign a text or a file with a key; prints the signature in Base64. ECDSA is DER. It stands on the audit log."""
    if (text is None) == (file is None):
        raise click.UsageError(_("give --text or --file, and not both"))

    async def run() -> bytes:
        async with opened_key(data, settings_file, lambda: read_pin(pin_file), key_id, algorithm) as key:
            scheme = key.algorithm.digest
            digest = scheme.digest((text or "").encode()) if file is None else digest_of_file(file, scheme)
            return await key.sign(digest)

    with _recorded(data, "SIGN_DATA", key_id):
        signature = asyncio.run(run())
    if out is None:
        click.echo(base64.b64encode(signature).decode())
        return
    out.write_bytes(signature)
    click.echo(_("signature written to {out}", out=out))


@click.command("try")
@DATA
@PIN
@SETTINGS
@click.argument("key_id")
@click.option("--count", type=click.IntRange(1, 1_000_000), default=100, show_default=True)
@click.option("--at-once", type=click.IntRange(1, 1000), default=1, show_default=True)
@ALGORITHM
@JSON
@report_errors
def try_key(
    data: Path,
    pin_file: Path | None,
    settings_file: Path | None,
    key_id: str,
    count: int,
    at_once: int,
    algorithm: str | None,
    as_json: bool,
) -> None:
    """Make many signatures with a key and verify each: how many a second, and how long they take. Ends at the first that fails."""

    async def run() -> dict[str, object]:
        async with opened_key(data, settings_file, lambda: read_pin(pin_file), key_id, algorithm) as key:
            began = time.monotonic()
            took = sorted(await key.sign_many(count, at_once))
            whole = time.monotonic() - began
            return {
                "key": key_id,
                "algorithm": key.algorithm.jca_name,
                "signatures": len(took),
                "at_once": at_once,
                "a_second": round(len(took) / whole, 1),
                "median_ms": round(took[len(took) // 2] * 1000, 2),
                "slowest_ms": round(took[-1] * 1000, 2),
            }

    with _recorded(data, "TRY_KEY", key_id):
        try:
            found = asyncio.run(run())
        except* Fault as failures:  # of several at once the first says it
            raise failures.exceptions[0] from None
    print_values([found], as_json=as_json)


@contextlib.contextmanager
def _recorded(data: Path, event: str, key_id: str) -> Iterator[None]:
    """One record on the audit log, whichever way it ends."""
    outcome = "failed"
    try:
        yield
        outcome = "done"
    finally:
        record(data, event, outcome, (f"key {key_id}",))
