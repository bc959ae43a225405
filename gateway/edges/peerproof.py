"""Proving the provider's gateway on a connection to it, with OCSP responses remembered or asked of it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import msgspec

from gateway.edges.revocation import sha1_of
from gateway.exchange.peertrust import path_of
from schemas.faults import Fault, Kind, NotProved

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from certs.configuration import TrustedConfiguration
    from gateway.edges.peers import PeerExpected
    from gateway.edges.revocation import PeerRevocation
    from gateway.exchange.peertrust import PeerProver

_REMEMBERED = 4096


class PeerProof(msgspec.Struct, frozen=True):
    """The proof that `gateway.edges.peers.PeerClient` asks for each time a connection is about to carry a message."""

    configuration: Callable[[], TrustedConfiguration | None]
    revocation: PeerRevocation
    prover: PeerProver
    now: Callable[[], datetime]
    # SHA-1 of the certificates of a peer's path under one configuration: they say only which OCSP responses to look for.
    _paths: dict[tuple[Sequence[bytes], str, int], Sequence[bytes]] = msgspec.field(default_factory=dict)

    async def check(self, certificates: Sequence[bytes], expected: PeerExpected) -> None:
        """Prove the peer. For the cheap case its OCSP response is known and its verdict remembered.

        Raises `NotProved` (``global_conf_outdated``, ``ssl_authentication_failed``).
        """
        configuration = self.configuration()
        if configuration is None:
            raise NotProved(Kind.GLOBAL_CONF_OUTDATED, "there is no global configuration")
        now = self.now()
        key = (certificates, expected.provider.instance, configuration.generation)
        if self._is_proved(configuration, certificates, self._paths.get(key, ()), expected, now):
            return
        try:
            path = path_of(configuration, certificates, expected.provider.instance, now)
        except Fault as fault:
            raise NotProved(
                Kind.SSL_AUTHENTICATION_FAILED, f"the provider's gateway is not proved: {fault.detail}"
            ) from fault
        pairs = tuple(itertools.pairwise(path))
        if len(self._paths) >= _REMEMBERED:
            self._paths.clear()
        digests = self._paths[key] = tuple(sha1_of(c) for c, _ in pairs)
        if self._is_proved(configuration, certificates, digests, expected, now):
            return
        try:
            responses = await self.revocation.ask(expected.server.address, pairs)
        except NotProved as fault:
            raise NotProved(Kind.SSL_AUTHENTICATION_FAILED, fault.detail) from fault
        self.prover.check_consumer_side(configuration, certificates, responses, expected.provider, now)

    def _is_proved(
        self,
        configuration: TrustedConfiguration,
        certificates: Sequence[bytes],
        digests: Sequence[bytes],
        expected: PeerExpected,
        now: datetime,
    ) -> bool:
        """Whether the responses at hand prove the peer; if they do not, newer ones may."""
        known = self.revocation.known(digests)
        if not digests or len(known) != len(digests):
            return False
        try:
            self.prover.check_consumer_side(configuration, certificates, known, expected.provider, now)
        except NotProved:
            return False
        return True
