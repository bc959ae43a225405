"""A mail server for tests, in this process."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Mailbox(asyncio.Protocol):
    """As much of an SMTP server as a client wants to see; ``takes`` says whether it takes a mail now."""

    def __init__(self, mails: list[bytes], takes: Callable[[], bool] = lambda: True) -> None:
        self._mails, self._data, self._buffer = mails, False, b""
        self._takes = takes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._say(b"220 mail")

    def _say(self, line: bytes) -> None:
        self._transport.write(line + b"\r\n")  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._data:
            if self._buffer.endswith(b"\r\n.\r\n"):
                taken = self._takes()
                if taken:
                    self._mails.append(self._buffer[:-5])
                self._data, self._buffer = False, b""
                self._say(b"250 kept" if taken else b"451 not now")
            return
        while b"\r\n" in self._buffer:
            line, self._buffer = self._buffer.split(b"\r\n", 1)
            verb = line[:4].upper()
            self._data = verb == b"DATA"
            self._say(b"354 go" if self._data else b"221 bye" if verb == b"QUIT" else b"250 ok")
