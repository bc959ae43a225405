"""Taking an address: sockets that accept connections, which wait in their queue until something serves them."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BACKLOG = 256
# Sockets that whoever started this process has bound for it, by the setting of their port, until they are taken here.
_GIVEN: dict[str, list[int]] = {}
_SHARED: set[str] = set()


def take_given(sockets: Mapping[str, Sequence[int]]) -> None:
    """Listen on these inherited sockets, given by the setting of their port, wherever that setting is bound from now on."""
    _GIVEN.update((setting, list(descriptors)) for setting, descriptors in sockets.items())
    _SHARED.update(sockets)


def is_shared(setting: str) -> bool:
    """Whether other processes accept connections on the sockets of this setting too."""
    return setting in _SHARED


def _sentence(err: OSError, host: str, port: int, setting: str) -> str:
    text = f"cannot listen at {host or 'every address'}, port {port}"
    text += f" ({setting})" if setting else ""
    text += f": {err.strerror or err}"
    if err.errno == errno.EADDRINUSE:
        return f"{text}; another process listens there: stop it, or choose another port"
    if err.errno in (errno.EACCES, errno.EPERM):
        return f"{text}; ports below 1024 need CAP_NET_BIND_SERVICE, or choose another port"
    return text


async def bind_address(
    host: str, port: int, setting: str = "", *, backlog: int = BACKLOG
) -> list[socket.socket]:
    """Sockets that take connections, ``backlog`` of which wait until an application is there. Raises OSError, which names ``setting``."""
    given = _GIVEN.pop(setting, None)
    if given is not None:
        return [_inherited(descriptor) for descriptor in given]
    try:
        return await _bind(host, port, backlog)
    except OSError as err:
        raise OSError(err.errno, _sentence(err, host, port, setting)) from err


def _inherited(descriptor: int) -> socket.socket:
    listening = socket.socket(fileno=descriptor)
    listening.setblocking(False)
    return listening


async def _bind(host: str, port: int, backlog: int) -> list[socket.socket]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    made: list[socket.socket] = []
    try:
        for family, kind, protocol, _, address in dict.fromkeys(found):
            listening = socket.socket(family, kind, protocol)
            made.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.setblocking(False)
            listening.bind(address)
            listening.listen(backlog)
    except OSError:
        for listening in made:
            listening.close()
        raise
    return made


async def wait_for_connection(sockets: Sequence[socket.socket]) -> None:
    """Return once somebody waits in the queue of one of the sockets; nobody is taken from it."""
    loop = asyncio.get_running_loop()
    connected: asyncio.Future[None] = loop.create_future()

    def on_connection() -> None:
        if not connected.done():
            connected.set_result(None)

    for listening in sockets:
        loop.add_reader(listening, on_connection)
    try:
        await connected
    finally:
        for listening in sockets:
            loop.remove_reader(listening)
