"""Whether a connection came from the own gateway. Pure.

Headers prove nothing by themselves: whoever reaches the system's port can write them. A system is certain by one of two things, and
better by both: the gateway's internal TLS certificate (``gateway tls export``), shown on a mutual TLS connection; or the address the
connection comes from, on a network where addresses cannot be borrowed. Nothing named means nobody is believed.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass


class NotFromGatewayError(PermissionError):
    """The connection is not the own gateway's; the message says what was expected."""


@dataclass(frozen=True, slots=True)
class GatewayOrigin:
    """``certificates`` are SHA-256 digests (hex) of the gateway's certificate in DER; ``networks`` addresses or networks.

    When both are given both must hold. Raises `ValueError` when neither is, or when one is malformed.
    """

    certificates: frozenset[str] = frozenset()
    networks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.certificates and not self.networks:
            raise ValueError(
                "name the gateway's certificate, its address, or both; otherwise anybody would be believed"
            )
        for network in self.networks:
            ipaddress.ip_network(network)
        for digest in self.certificates:
            if len(bytes.fromhex(digest)) != hashlib.sha256().digest_size:
                raise ValueError(f"a SHA-256 digest has 64 hexadecimal digits; {digest[:80]!r} has not")

    def check(self, address: str | None, certificate_der: bytes | None) -> None:
        """Raises `NotFromGatewayError` unless a connection from ``address`` that showed this certificate is the gateway's."""
        if self.networks and not self._within(address):
            raise NotFromGatewayError(f"the call came from {address}, not from the gateway's address")
        if not self.certificates:
            return
        digest = "" if certificate_der is None else hashlib.sha256(certificate_der).hexdigest()
        if digest not in {c.lower() for c in self.certificates}:
            certificate = "none" if certificate_der is None else f"one with SHA-256 {digest}"
            raise NotFromGatewayError(
                f"the gateway's certificate was expected on this connection; {certificate} was shown"
            )

    def _within(self, address: str | None) -> bool:
        if address is None:
            return False
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        return any(parsed in ipaddress.ip_network(n) for n in self.networks)
