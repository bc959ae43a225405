"""Which hosts a description may be fetched from: an administrator's URL must not become a probe of the network.

Pure. Two lists decide, both settings of the gateway. ``allowed`` (host names, ``*.domain`` or networks; empty: any)
is asked about the name in the URL and about the address it leads to; ``denied`` networks are refused whatever the
name. The address that was checked is the one connected to, so a name that changes its mind gains nothing.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.clients.descriptions.described import MAX_BYTES, check_url
from gateway.refusals import GatewayCode
from serving.errors import Refused

# Never a provider's system: link-local (cloud metadata lives there), multicast, unspecified, reserved.
DENIED = ("0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "::/128", "fe80::/10", "ff00::/8")


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """Where descriptions may come from, how large they may be and how long fetching one may take."""

    allowed: tuple[str, ...] = ()
    denied: tuple[str, ...] = DENIED
    max_bytes: int = MAX_BYTES
    timeout_s: float = 30.0
    verify_tls: bool = True


def check_host(policy: FetchPolicy, url: str) -> str:
    """The host of a URL that may be fetched. Refused (``malformed_url``, ``url_not_allowed``) otherwise."""
    check_url(url)
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as err:
        raise Refused(GatewayCode.MALFORMED_URL, f"{url!r} is not an address: {err}", url) from err
    if not host:
        raise Refused(GatewayCode.MALFORMED_URL, f"{url!r} names no host", url)
    if parts.username is not None or parts.password is not None:
        raise Refused(
            GatewayCode.MALFORMED_URL, "the address of a description may hold no user name or password", url
        )
    address = _address(host)
    if address is not None:
        check_address(policy, host, str(address))
    elif policy.allowed and not _named(policy, host) and not any(_network(a) for a in policy.allowed):
        raise _refused(host)
    return host


def check_address(policy: FetchPolicy, host: str, address: str) -> None:
    """Refuse (``url_not_allowed``) an address that the policy does not let this host have."""
    ip = _address(address)
    if ip is None or any(_contains(network, ip) for network in policy.denied):
        raise _refused(f"{host} ({address})")
    if policy.allowed and not _named(policy, host) and not any(_contains(a, ip) for a in policy.allowed):
        raise _refused(f"{host} ({address})")


def _named(policy: FetchPolicy, host: str) -> bool:
    name = host.lower().rstrip(".")
    return any(
        name == entry.lower() or (entry.startswith("*.") and name.endswith(entry[1:].lower()))
        for entry in policy.allowed
    )


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _contains(network: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    found = _network(network)
    return found is not None and found.version == address.version and address in found


def _refused(host: str) -> Refused:
    return Refused(
        GatewayCode.URL_NOT_ALLOWED,
        f"descriptions may not be fetched from {host}; see 'descriptions.allowed_hosts' and "
        "'descriptions.denied_networks' in the gateway's settings, or upload the document",
        host,
    )
