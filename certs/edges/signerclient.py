"""A token whose keys are in another process: the Device port over that process's Unix sockets.

Several processes may hold the same hardware token (where it allows that); they take turns. When a process dies, the
signatures it owed are asked for again from the one that takes its place, until a deadline: signing twice does no harm.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from certs import signerwire
from certs.edges.devices import DeviceKey, DeviceState
from certs.edges.signerblocking import BlockingSigner
from certs.remotetls import RemoteTlsKey
from certs.signerwire import Ask, SignerAnswer
from certs.tokens.port import KeyId, TokenStatus, TokenType
from schemas.faults import Kind, TokenFailed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from certs.algorithms import SignatureAlgorithm
    from certs.tls import TlsPrivateKey

ANSWER_TIMEOUT_S = 50.0  # X-Road's own patience with its signer
AGAIN_S = 0.05


class _Connection:
    """One socket: questions out, answers in, matched by number."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[SignerAnswer]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._opening = asyncio.Lock()

    async def ask(self, do: str, timeout_s: float, **fields: object) -> SignerAnswer:
        """The answer to a question; raises ConnectionError when the process is not there or goes away, TimeoutError."""
        await self._open()
        number = next(self._numbers)
        future: asyncio.Future[SignerAnswer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            assert self._writer is not None  # opened above
            self._writer.write(signerwire.frame(Ask(number, do, **fields)))  # type: ignore[arg-type]
            async with asyncio.timeout(timeout_s):
                return await future
        except (ConnectionError, TimeoutError):
            raise
        except OSError as err:
            raise ConnectionError(str(err)) from err
        finally:
            self._waiting.pop(number, None)

    async def _open(self) -> None:
        async with self._opening:
            if self._writer is not None and not self._writer.is_closing():
                return
            try:
                reader, self._writer = await asyncio.open_unix_connection(str(self._path))
            except OSError as err:
                raise ConnectionError(f"nobody listens on {self._path}: {err}") from err
            self._reading = asyncio.create_task(self._read(reader, self._writer))

    async def _read(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        frames = signerwire.Frames()
        why = "the signer process ended"
        try:
            while data := await reader.read(65536):
                for body in frames.feed(data):
                    answer = signerwire.read_answer(body)
                    future = self._waiting.get(answer.id)
                    if future is not None and not future.done():
                        future.set_result(answer)
        except (OSError, ValueError) as err:
            why = str(err)
        writer.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(ConnectionError(why))

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading


class RemoteDevice:
    """A token behind one or more signer processes."""

    def __init__(
        self,
        token_id: str,
        kind: TokenType,
        sockets: Sequence[Path],
        *,
        patience_s: float = 15.0,
        signs_pss: bool = False,
    ) -> None:
        self.token_id = token_id
        self.type = kind
        self.signs_pss = signs_pss
        self.sockets = tuple(sockets)
        self._connections = [_Connection(path) for path in sockets]
        self._blocking = BlockingSigner(sockets)
        self._turn = itertools.cycle(self._connections)
        self._patience_s = patience_s

    async def state(self) -> DeviceState:
        """The token's state: not available while no process answers, logged in only when every process is."""
        states = []
        for connection in self._connections:
            try:
                state = (await connection.ask("state", 5.0)).check().state
            except (ConnectionError, TimeoutError, TokenFailed) as err:
                return DeviceState(
                    TokenStatus.OK, available=False, logged_in=False, failure=_gone(self.token_id, err)
                )
            if state is not None:
                states.append(state)
        first = states[0]
        return DeviceState(
            TokenStatus(first.status),
            available=True,
            logged_in=all(s.logged_in for s in states),
            read_only=first.read_only,
            serial_number=first.serial or None,
            label=first.label,
            infos=tuple(first.infos.items()),
        )

    async def make(self, pin: str) -> None:
        """Initialise the token with its first PIN. Raises `TokenFailed`."""
        await self._ask_first("make", pin=pin)

    async def login(self, pin: str) -> None:
        """Log in every process that holds the token. Raises `TokenFailed`."""
        for connection in self._connections:
            (await self._once(connection, "unlock", pin=pin)).check()

    async def logout(self) -> None:
        """Log out every process that holds the token."""
        for connection in self._connections:
            (await self._once(connection, "lock")).check()

    async def change_pin(self, old: str, new: str) -> None:
        """Change the PIN of the token."""
        await self._ask_first("change_pin", pin=old, new_pin=new)

    async def device_keys(self) -> tuple[DeviceKey, ...]:
        """The token's keys, with their public halves. Raises `TokenFailed`."""
        answer = await self._ask_first("keys")
        return tuple(
            DeviceKey(KeyId(k.id), k.kind, k.label, k.usage, k.public_key) for k in answer.keys or ()
        )

    async def device_certificates(self) -> tuple[bytes, ...]:
        """The certificates stored on it."""
        return tuple((await self._ask_first("certificates")).certificates or ())

    async def generate_key(self, kind: str, label: str, usage: str) -> DeviceKey:
        """Make a key in it. Raises `TokenFailed` (``cannot_sign``)."""
        answer = await self._ask_first("generate", kind=kind, label=label, usage=usage)
        if not answer.keys:
            raise TokenFailed(Kind.CANNOT_SIGN, f"the process of token {self.token_id} made no key")
        made = answer.keys[0]
        return DeviceKey(KeyId(made.id), made.kind, made.label, made.usage, made.public_key)

    async def remove_key(self, key_id: KeyId) -> None:
        """Destroy a key for ever. Raises `TokenFailed`."""
        await self._ask_first("remove", key=key_id)

    async def sign(self, key_id: KeyId, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
        """The signature over a digest, by the process whose turn it is; asked for again if it dies meanwhile.

        Raises `TokenFailed` (``cannot_sign``).
        """
        deadline = asyncio.get_running_loop().time() + self._patience_s
        while True:
            try:
                answer = await next(self._turn).ask(
                    "sign", ANSWER_TIMEOUT_S, key=key_id, digest=digest, algorithm=algorithm.jca_name
                )
                if not answer.lost:
                    return answer.check().signature
                problem: Exception = ConnectionError(answer.detail)
            except (ConnectionError, TimeoutError) as err:
                problem = err
            if asyncio.get_running_loop().time() >= deadline:
                raise TokenFailed(Kind.CANNOT_SIGN, _gone(self.token_id, problem)) from problem
            await asyncio.sleep(AGAIN_S)

    async def derive_secret(self, purpose: str) -> bytes:
        """A secret for one purpose, derived where the keys are."""
        return (await self._ask_first("derive", purpose=purpose)).secret

    def tls_private_key(self, key_id: KeyId, public_key: bytes) -> TlsPrivateKey:
        """An object that asks the token's process for each signature of a handshake: the key stays there. Raises `TokenFailed` (``cannot_sign``)."""
        parsed = load_der_public_key(public_key)
        if not isinstance(parsed, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
            raise TokenFailed(Kind.CANNOT_SIGN, f"the key {key_id} is neither RSA nor EC")
        if self.signs_pss and isinstance(parsed, rsa.RSAPublicKey):
            raise TokenFailed(
                Kind.CANNOT_SIGN,
                f"the RSA keys of token {self.token_id} sign by PSS, which TLS handshakes cannot ask of another process; "
                "have an authentication key of kind ec-p256, or one on another token",
            )
        return RemoteTlsKey(parsed, functools.partial(self._blocking.sign, key_id))

    async def close(self) -> None:
        """End the connections to the signer processes."""
        self._blocking.close()
        for connection in self._connections:
            await connection.close()

    async def _ask_first(self, do: str, **fields: object) -> SignerAnswer:
        return (await self._once(self._connections[0], do, **fields)).check()

    async def _once(self, connection: _Connection, do: str, **fields: object) -> SignerAnswer:
        try:
            return await connection.ask(do, ANSWER_TIMEOUT_S, **fields)
        except (ConnectionError, TimeoutError) as err:
            raise TokenFailed(Kind.TOKEN_NOT_ACTIVE, _gone(self.token_id, err)) from err


def _gone(token_id: str, err: Exception) -> str:
    return f"the process that holds token {token_id} does not answer: {err or type(err).__name__}"
