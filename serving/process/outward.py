"""Where a server of ours never connects to, whoever gave it the address: networks that hold no institute's system.

Link-local networks (a cloud's metadata and credentials are served there), multicast, unspecified and reserved ones. What is
looked at is the address that is connected to, so neither a name that leads there nor another way to write it (an IPv6 form that
embeds it, decimal or hexadecimal numbers) gains anything.
"""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from serving.process.machinetrust import machine_context

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# The last one is a cloud's metadata by IPv6, at a unique local address.
DENIED = (
    *("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"),
    *("::/128", "fe80::/10", "ff00::/8", "fd00:ec2::254/128"),
)
# IPv6 networks whose last 32 bits are an IPv4 address: compatible, translated (RFC 2765, RFC 6052, RFC 8215).
_EMBEDDING = tuple(ipaddress.IPv6Network(n) for n in ("::/96", "::ffff:0:0:0/96", "64:ff9b::/96"))
_EMBEDDING_SOMEWHERE = ipaddress.IPv6Network("64:ff9b:1::/48")


def address_of(text: str) -> Address | None:
    """The address that a text spells, as IPv4 where an IPv6 form embeds one; None for a name."""
    try:
        found = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv4Address) or int(found) <= 1:  # `::` and `::1` embed nothing
        return found
    if found.teredo is not None:
        return found.teredo[1]
    embeds = found in _EMBEDDING_SOMEWHERE or any(found in network for network in _EMBEDDING)
    last = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
    return found.ipv4_mapped or found.sixtofour or (last if embeds else found)


def network_of(text: str) -> Network | None:
    """The network that a text spells; None for anything else."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def is_within(address: Address, *networks: str) -> bool:
    """Whether an address is in one of these networks; what is no network holds none."""
    found = (network_of(text) for text in networks)
    return any(n is not None and n.version == address.version and address in n for n in found)


def check_reached(host: str, address: str) -> None:
    """Refuse an address that no server connects to; ``host`` is the name it was had by. Raises OSError."""
    found = address_of(address)
    if found is None or is_within(found, *DENIED):
        reason = f"{host} leads to {address}, in a network that is never connected to"
        raise PermissionError(errno.EACCES, reason)


class _Resolver(AbstractResolver):
    def __init__(self, check: Callable[[str, str], None]) -> None:
        self._check = check
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        for result in found:
            self._check(host, result["host"])
        return found

    async def close(self) -> None:
        await self._inner.close()


class OutwardConnector(aiohttp.TCPConnector):
    """Connects to no address that ``check`` refuses, be it written in a URL or what a name leads to."""

    def __init__(self, check: Callable[[str, str], None] = check_reached, **options: Any) -> None:
        super().__init__(resolver=_Resolver(check), **options)
        self._check = check

    async def connect(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> Connection:
        """A connection for a request, as aiohttp makes it; the machine's authorities are read for the first that needs them."""
        host = req.url.host or ""
        if address_of(host) is not None:  # which aiohttp does not ask the resolver about
            self._check(host, host)
        if req.is_ssl() and req.ssl is True and self._ssl is True:  # nobody said whom to trust
            self._ssl = await asyncio.to_thread(machine_context)
        return await super().connect(req, traces, timeout)


def outward_session(**options: Any) -> aiohttp.ClientSession:
    """A session for addresses that somebody else gave: no cookies, no proxy of the environment, no network of `DENIED`."""
    return aiohttp.ClientSession(
        connector=OutwardConnector(), cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, **options
    )
