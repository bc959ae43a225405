"""The addresses a server listens on: tried before anything on the disk is changed, told when it is ready.

Without this a server that cannot listen has by then migrated its databases, and says only a number (``Errno 98``).
"""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

import msgspec

from schemas.names import host_in_url
from serving.config.setting import EVERYWHERE
from serving.language import N_, Text, _, language_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

HEALTH = "health"
# What a listener is for, as a command's reader is told; the log and notes for programs have the keys.
PURPOSES = {
    "consumers": N_("consumers"),
    "consumers by TLS": N_("consumers by TLS"),
    "peers": N_("peers"),
    "OCSP": N_("OCSP"),
    HEALTH: N_("health"),
    "ACME challenges": N_("ACME challenges"),
    "console": N_("console"),
    "configuration": N_("configuration"),
    "configuration by TLS": N_("configuration by TLS"),
    "registration": N_("registration"),
    "catalogue": N_("catalogue"),
    "management": N_("management"),
}
# What a health address says of its server.
STATES = {"up": N_("up"), "down": N_("down")}
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
        raise OSError("; ".join(problems))


def urls_by_purpose(addresses: Iterable[ListenAddress]) -> dict[str, str]:
    """Every listener there is: its purpose and where it is bound."""
    return {a.purpose: a.url for a in addresses if a.port}


def in_words(known: Mapping[str, Text], key: str) -> str:
    """A key of `PURPOSES` or `STATES` in this process's language; one that another version has, as it stands."""
    return known.get(key, Text(key)).into(language_of(os.environ))


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
    for family, kind, protocol, _name, where in found[:1]:
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(where)
            except OSError as err:
                return _explain(address, err)
    return None


def _explain(address: ListenAddress, err: OSError) -> str:
    names = {
        "where": f"{address.host or '*'}:{address.port}",
        "host": repr(address.host),
        "purpose": in_words(PURPOSES, address.purpose),
        "port_setting": address.port_setting,
        "host_setting": address.host_setting,
        "error": err,
    }
    if err.errno == errno.EADDRINUSE:
        return _(
            "{where} is in use by another process (for {purpose}; Errno 98): end that process, or set {port_setting} or {host_setting}",
            **names,
        )
    if err.errno in (errno.EACCES, errno.EPERM):
        return _(
            "this user may not listen on {where} (for {purpose}; Errno 13): a port below 1024 needs the capability CAP_NET_BIND_SERVICE (systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE), or set {port_setting} to a port from 1024 on",
            **names,
        )
    if err.errno == errno.EADDRNOTAVAIL:
        return _(
            "this machine has no address {host} (for {purpose}): correct {host_setting}",
            **names,
        )
    return _("cannot listen on {where} (for {purpose}; {port_setting}): {error}", **names)
