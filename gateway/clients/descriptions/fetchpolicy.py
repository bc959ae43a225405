"""Which hosts a description may be fetched from: an administrator's URL must not become a probe of the network.

Pure. Two lists decide, both settings of the gateway. ``allowed`` (host names, ``*.domain`` or networks; empty: any)
is asked about the name in the URL and about the address it leads to; ``denied`` networks are refused whatever the
name. The address that was checked is the one connected to, so a name that changes its mind gains nothing.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from gateway.clients.descriptions.described import MAX_BYTES, check_url
from gateway.refusals import GatewayCode
from serving.errors import Refused
from serving.language import N_
from serving.process.outward import DENIED, address_of, is_within, network_of


class FetchPolicy(msgspec.Struct, frozen=True):
    """The bounds on fetching a description: networks or hosts allowed and denied, bytes at the most, seconds, TLS verified or not."""

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
        raise Refused(
            GatewayCode.MALFORMED_URL, N_("{url!r} is not an address: {err}", url=url, err=err), url
        ) from err
    if not host:
        raise Refused(GatewayCode.MALFORMED_URL, N_("{url!r} names no host", url=url), url)
    if parts.username is not None or parts.password is not None:
        raise Refused(
            GatewayCode.MALFORMED_URL,
            N_("the address of a description may hold no user name or password"),
            url,
        )
    address = address_of(host)
    if address is not None:
        check_address(policy, host, str(address))
    elif policy.allowed and not _named(policy, host) and not any(network_of(a) for a in policy.allowed):
        raise _refused(host)
    return host


def check_address(policy: FetchPolicy, host: str, address: str) -> None:
    """Refuse (``url_not_allowed``) an address that the policy does not let this host have."""
    ip = address_of(address)
    if ip is None or is_within(ip, *policy.denied):
        raise _refused(f"{host} ({address})")
    if policy.allowed and not _named(policy, host) and not is_within(ip, *policy.allowed):
        raise _refused(f"{host} ({address})")


def _named(policy: FetchPolicy, host: str) -> bool:
    name = host.lower().rstrip(".")
    return any(
        name == entry.lower() or (entry.startswith("*.") and name.endswith(entry[1:].lower()))
        for entry in policy.allowed
    )


def _refused(host: str) -> Refused:
    return Refused(
        GatewayCode.URL_NOT_ALLOWED,
        N_(
            "descriptions may not be fetched from {host}; see 'descriptions.allowed_hosts' and 'descriptions.denied_networks' in the gateway's settings, or upload the document",
            host=host,
        ),
        host,
    )
