"""Asking a signer process within a call that cannot wait on an event loop: OpenSSL's, in the middle of a handshake."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from typing import TYPE_CHECKING

from certs import signerwire
from certs.signerwire import Ask, SignerAnswer
from schemas.faults import Kind, TokenFailed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from certs.algorithms import SignatureAlgorithm

TIMEOUT_S = 5.0
PATIENCE_S = 1.0
_AGAIN_S = 0.02


class BlockingSigner:
    """One connection to one of a token's processes, used by one caller at a time."""

    def __init__(self, sockets: Sequence[Path]) -> None:
        self._paths = itertools.cycle(sockets)
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._numbers = itertools.count(1)

    def sign(self, key_id: str, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
        """The signature over a digest; ECDSA as DER. Raises `TokenFailed`.

        A process that is being started anew is waited for, but not for long: the handshake's other end waits too.
        """
        deadline = time.monotonic() + PATIENCE_S
        with self._lock:
            while True:
                try:
                    answer = self._ask(
                        Ask(
                            next(self._numbers),
                            "sign",
                            key=key_id,
                            digest=digest,
                            algorithm=algorithm.jca_name,
                        )
                    )
                    if not answer.lost:
                        return answer.check().signature
                    problem = answer.detail
                except (OSError, ValueError) as err:
                    problem = str(err)
                    self._drop()
                if time.monotonic() >= deadline:
                    raise TokenFailed(
                        Kind.CANNOT_SIGN, f"the process that holds the key does not answer: {problem}"
                    )
                time.sleep(_AGAIN_S)

    def close(self) -> None:
        """End the connection to the signer process."""
        with self._lock:
            self._drop()

    def _ask(self, ask: Ask) -> SignerAnswer:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.settimeout(TIMEOUT_S)
            self._socket.connect(str(next(self._paths)))
        self._socket.sendall(signerwire.frame(ask))
        frames = signerwire.Frames()
        while True:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("the signer process ended")
            for body in frames.feed(data):
                return signerwire.read_answer(body)

    def _drop(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None
