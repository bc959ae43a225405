"""The addresses a server listens on: tried before anything on the disk is changed, told when it is ready.

Without this a server that cannot listen has by then migrated its databases, and says only a number (``Errno 98``).
"""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

import msgspec

from schemas.names import host_in_url
from serving.config.setting import EVERYWHERE

if TYPE_CHECKING:
    from collections.abc import Iterable

_LOOPBACK = {EVERYWHERE: "127.0.0.1", "": "127.0.0.1", "::": "::1"}


class ListenAddress(msgspec.Struct, frozen=True):
    """One listener: for whom, where, and the settings that say so. Port 0 is no listener."""

    purpose: str
    scheme: str
    host: str
    port: int
    host_setting: str
    port_setting: str
    path: str = ""

    @property
    def url(self) -> str:
        """The address as it is bound."""
        return self._url(self.host or EVERYWHERE)

    @property
    def local_url(self) -> str:
        """An address at which this machine itself reaches the listener."""
        return self._url(_LOOPBACK.get(self.host, self.host))

    def _url(self, host: str) -> str:
        return f"{self.scheme}://{host_in_url(host)}:{self.port}{self.path}"


def check_addresses(addresses: Iterable[ListenAddress]) -> None:
    """Try to bind every address, and let it go again. Raises OSError with all that failed, each with its settings."""
    problems = [problem for a in addresses if a.port and (problem := _try(a))]
    if problems:
        raise OSError("\n".join(problems))


def describe(addresses: Iterable[ListenAddress]) -> str:
    """Every listener in one line: ``consumers http://127.0.0.1:8080, ...``."""
    return ", ".join(f"{a.purpose} {a.url}" for a in addresses if a.port)


def _try(address: ListenAddress) -> str | None:
    try:
        found = socket.getaddrinfo(
            address.host or None, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as err:
        return f"{address.host_setting}: {address.host!r} is no address of this machine ({err}); correct the setting"
    for family, kind, protocol, _, where in found[:1]:
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(where)
            except OSError as err:
                return _explain(address, err)
    return None


def _explain(address: ListenAddress, err: OSError) -> str:
    where = f"{address.host or '*'}:{address.port}"
    if err.errno == errno.EADDRINUSE:
        return (
            f"{where} is in use by another process (for {address.purpose}; Errno 98): end that process, "
            f"or set {address.port_setting} or {address.host_setting}"
        )
    if err.errno in (errno.EACCES, errno.EPERM):
        return (
            f"this user may not listen on {where} (for {address.purpose}; Errno 13): a port below 1024 needs the "
            "capability CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE), "
            f"or set {address.port_setting} to a port from 1024 on"
        )
    if err.errno == errno.EADDRNOTAVAIL:
        return f"this machine has no address {address.host!r} (for {address.purpose}): correct {address.host_setting}"
    return f"cannot listen on {where} (for {address.purpose}; {address.port_setting}): {err}"
