"""The process that holds one token's keys and signs digests for whoever may open its socket; nothing wider.

It has one thread. A software token signs RSA in its own small pool; a PKCS#11 token signs one request after another. When
the module or the token is gone the process ends with status 3, so that whoever started it starts it anew: a module that
failed once is not trusted with a second try. It logs in by itself when it is told where the PIN is.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from typing import TYPE_CHECKING, Protocol

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs import signerwire
from certs.algorithms import SignatureAlgorithm
from certs.signerwire import Ask, KeyOnToken, SignerAnswer, TokenState
from certs.tokens.soft import WRONG_PINS_ALLOWED, SoftToken
from schemas.faults import Fault, Kind, TokenFailed

if TYPE_CHECKING:
    from pathlib import Path

    from certs.tokens.hardware import HardToken
    from certs.tokens.port import KeyId

log = logging.getLogger("signer")

TOKEN_LOST = 3


class SignerToken(Protocol):
    """A token as this process holds it."""

    def state(self) -> TokenState:
        """The token's state: logged in or not, its labels, whether PINs are left."""
        ...

    def make(self, pin: str) -> None:
        """Initialise the token with its first PIN. Raises `TokenFailed`."""
        ...

    def unlock(self, pin: str) -> None:
        """Log in with the PIN. Raises `TokenFailed` (``pin_incorrect``)."""
        ...

    def lock(self) -> None:
        """Log out; keys are of no use until the next login."""
        ...

    def change_pin(self, old: str, new: str) -> None:
        """Change the PIN from ``old`` to ``new``. Raises `TokenFailed`."""
        ...

    def keys(self) -> list[KeyOnToken]:
        """The token's keys, with their public halves."""
        ...

    def certificates(self) -> list[bytes]:
        """The certificates (DER) that are stored on it."""
        ...

    def generate(self, kind: str, label: str, usage: str) -> KeyOnToken:
        """Make a key of a kind (RSA or EC) on the token. Raises `TokenFailed`."""
        ...

    def remove(self, key_id: KeyId) -> None:
        """Destroy a key for ever. Raises `TokenFailed`."""
        ...

    async def sign(self, key_id: KeyId, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
        """The signature over a raw digest. Raises `TokenFailed`."""
        ...

    def derive_secret(self, purpose: str) -> bytes:
        """A secret for one purpose, that no key can be had from."""
        ...


class SoftSignerToken:
    """A software token that this process holds."""

    def __init__(self, token: SoftToken) -> None:
        self._token = token
        self.unlock, self.lock, self.change_pin = token.unlock, token.lock, token.change_pin
        self.make, self.sign, self.remove = token.make, token.sign, token.remove_key
        self.derive_secret = token.derive_secret

    def state(self) -> TokenState:
        """The token's state: initialised, logged in, whether PINs are left."""
        if not self._token.is_made:
            return TokenState("NOT_INITIALIZED", logged_in=False, hardware=False)
        left = WRONG_PINS_ALLOWED - self._token.wrong_pins()
        return TokenState(_pin_word(left), logged_in=self._token.is_unlocked, hardware=False)

    def keys(self) -> list[KeyOnToken]:
        """The token's keys, with their public halves."""
        return [self._key(i.id, i.kind.value, i.label, i.usage) for i in self._token.key_infos()]

    def certificates(self) -> list[bytes]:
        """None: a software token holds keys alone."""
        return []

    def generate(self, kind: str, label: str, usage: str) -> KeyOnToken:
        """Make a key of a kind (RSA or EC) and seal it in a file."""
        return self._key(self._token.generate_key(kind, label, usage), kind, label, usage)

    def _key(self, key_id: KeyId, kind: str, label: str, usage: str) -> KeyOnToken:
        public = self._token.public_key(key_id).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return KeyOnToken(key_id, kind, label, usage, public)


class HardSignerToken:
    """A token behind PKCS#11 that this process holds."""

    def __init__(self, token: HardToken) -> None:
        self._token = token
        self.unlock, self.lock, self.change_pin = token.unlock, token.lock, token.change_pin
        self.remove = token.remove_key

    def state(self) -> TokenState:
        """The token's state, by the flags that it shows."""
        shown = self._token.state()
        status = (
            "NOT_INITIALIZED"
            if not shown.pin_initialised
            else "USER_PIN_LOCKED"
            if shown.pin_locked
            else "USER_PIN_FINAL_TRY"
            if shown.pin_final_try
            else "USER_PIN_COUNT_LOW"
            if shown.pin_count_low
            else "OK"
        )
        return TokenState(
            status,
            logged_in=self._token.is_unlocked,
            hardware=True,
            read_only=shown.read_only,
            label=shown.label,
            serial=shown.serial,
            infos={"Model": shown.model, "Manufacturer": shown.manufacturer, "Serial number": shown.serial},
        )

    def make(self, pin: str) -> None:
        """Refused: a hardware token is initialised with its vendor's tool."""
        raise TokenFailed(Kind.INVALID_REQUEST, "initialise a hardware token with its vendor's own tool")

    def keys(self) -> list[KeyOnToken]:
        """Its keys; a token does not say what they are for."""
        return [KeyOnToken(i, kind, label, "", public) for i, kind, label, public in self._token.key_infos()]

    def certificates(self) -> list[bytes]:
        """The certificates that are stored on it."""
        return list(self._token.certificates())

    def generate(self, kind: str, label: str, usage: str) -> KeyOnToken:
        """Make a key that cannot leave the token."""
        key_id, public = self._token.generate_key(kind, label)
        return KeyOnToken(key_id, kind, label, usage, public)

    async def sign(self, key_id: KeyId, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
        """Sign a digest; everything else waits, for the module allows one thread."""
        return self._token.sign(key_id, digest, algorithm)

    def derive_secret(self, purpose: str) -> bytes:
        """Refused: a hardware token gives no secrets."""
        raise TokenFailed(Kind.INVALID_REQUEST, f"a hardware token has no secret for {purpose}")


class SignerServer:
    """Answers on a Unix socket for one token."""

    def __init__(self, token: SignerToken, path: Path) -> None:
        self._token = token
        self._path = path
        self._tasks: set[asyncio.Task[None]] = set()
        self.lost = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> int:
        """Serve until told to stop (0) or until the token is lost (`TOKEN_LOST`)."""
        # A crash leaves the socket's name behind: nobody answers there, and the next start takes it.
        self._path.unlink(missing_ok=True)
        listening = socket.socket(socket.AF_UNIX)
        mask = os.umask(0o177)
        try:
            listening.bind(str(self._path))
        finally:
            os.umask(mask)
        server = await asyncio.start_unix_server(self._serve, sock=listening)
        waits = [asyncio.create_task(stop.wait()), asyncio.create_task(self.lost.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in (*waits, *self._tasks):
            task.cancel()
        server.close()
        self._path.unlink(missing_ok=True)
        return TOKEN_LOST if self.lost.is_set() else 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = signerwire.Frames()
        try:
            while data := await reader.read(65536):
                for body in frames.feed(data):
                    task = asyncio.create_task(self._answer(signerwire.read_ask(body), writer))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
        except (ValueError, ConnectionError) as err:
            log.warning("connection dropped", extra={"event": "signer_connection", "reason": str(err)})
        finally:
            writer.close()

    async def _answer(self, ask: Ask, writer: asyncio.StreamWriter) -> None:
        try:
            answer = await self._do(ask)
        except Fault as fault:
            answer = SignerAnswer(ask.id, fault=fault.kind.value, detail=fault.detail, lost=is_lost(fault))
            if answer.lost:
                log.error("token lost", extra={"event": "token_lost", "reason": fault.detail})
                self.lost.set()
        except ValueError as err:
            answer = SignerAnswer(ask.id, fault=Kind.INVALID_REQUEST.value, detail=str(err))
        with contextlib.suppress(ConnectionError):
            writer.write(signerwire.frame(answer))
            await writer.drain()

    async def _do(self, ask: Ask) -> SignerAnswer:
        token, key_id = self._token, signerwire.key_id(ask.key)
        match ask.do:
            case "sign":
                algorithm = SignatureAlgorithm.from_jca_name(ask.algorithm)
                return SignerAnswer(ask.id, signature=await token.sign(key_id, ask.digest, algorithm))
            case "state":
                return SignerAnswer(ask.id, state=token.state())
            case "keys":
                return SignerAnswer(ask.id, keys=token.keys())
            case "certificates":
                return SignerAnswer(ask.id, certificates=token.certificates())
            case "generate":
                return SignerAnswer(ask.id, keys=[token.generate(ask.kind, ask.label, ask.usage)])
            case "remove":
                token.remove(key_id)
            case "make":
                token.make(ask.pin)
            case "unlock":
                token.unlock(ask.pin)
            case "lock":
                token.lock()
            case "derive":
                return SignerAnswer(ask.id, secret=token.derive_secret(ask.purpose))
            case "change_pin":
                token.change_pin(ask.pin, ask.new_pin)
            case _:
                raise ValueError(f"{ask.do!r} is nothing a signer does")
        return SignerAnswer(ask.id)


def is_lost(fault: Fault) -> bool:
    """Whether a fault means that the module or its token is gone."""
    return isinstance(fault, TokenFailed) and fault.is_lost


def _pin_word(left: int) -> str:
    if left <= 0:
        return "USER_PIN_LOCKED"
    return "USER_PIN_FINAL_TRY" if left == 1 else "OK" if left >= WRONG_PINS_ALLOWED else "USER_PIN_COUNT_LOW"
