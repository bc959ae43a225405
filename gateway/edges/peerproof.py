"""Proving the provider's gateway on a connection to it, with OCSP responses remembered or asked of it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import msgspec

from gateway.edges.revocation import sha1_of
from gateway.exchange.peertrust import check_consumer_side, path_of
from schemas.faults import Fault, Kind, NotProved

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from certs.configuration import TrustedConfiguration
    from gateway.edges.peers import PeerExpected
    from gateway.edges.revocation import PeerRevocation

_REMEMBERED = 4096


class _PathDigests(msgspec.Struct, frozen=True):
    """SHA-1 of the certificates of a peer's path, leaf first, but for its anchor: they say only which OCSP responses to look for."""

    digests: tuple[bytes, ...]


class PeerProof(msgspec.Struct, frozen=True):
    """The proof that `gateway.edges.peers.PeerClient` asks for each time a connection is about to carry a message."""

    configuration: Callable[[], TrustedConfiguration | None]
    revocation: PeerRevocation
    now: Callable[[], datetime]

    async def check(self, certificates: Sequence[bytes], expected: PeerExpected) -> None:
        """Prove the peer. For the cheap case its OCSP response is known and its verdict remembered.

        Raises `NotProved` (``global_conf_outdated``, ``ssl_authentication_failed``).
        """
        configuration = self.configuration()
        if configuration is None:
            raise NotProved(Kind.GLOBAL_CONF_OUTDATED, "there is no global configuration")
        now = self.now()
        key = (tuple(certificates), expected.provider.instance)
        paths = configuration.memory.of(_PathDigests, _REMEMBERED)
        known = paths.get(key)
        if known is not None and self._is_proved(configuration, certificates, known, expected, now):
            return
        try:
            path = path_of(configuration, certificates, expected.provider.instance, now)
        except Fault as fault:
            raise NotProved(
                Kind.SSL_AUTHENTICATION_FAILED, f"the provider's gateway is not proved: {fault.detail}"
            ) from fault
        pairs = tuple(itertools.pairwise(path))
        digests = _PathDigests(tuple(sha1_of(c) for c, _ in pairs))
        paths.keep(key, digests)
        if self._is_proved(configuration, certificates, digests, expected, now):
            return
        try:
            responses = await self.revocation.ask(expected.server.address, pairs)
        except NotProved as fault:
            raise NotProved(Kind.SSL_AUTHENTICATION_FAILED, fault.detail) from fault
        check_consumer_side(configuration, certificates, responses, expected.provider, now)

    def _is_proved(
        self,
        configuration: TrustedConfiguration,
        certificates: Sequence[bytes],
        path: _PathDigests,
        expected: PeerExpected,
        now: datetime,
    ) -> bool:
        """Whether the responses at hand prove the peer; if they do not, newer ones may."""
        known = self.revocation.known(path.digests)
        if not path.digests or len(known) != len(path.digests):
            return False
        try:
            check_consumer_side(configuration, certificates, known, expected.provider, now)
        except NotProved:
            return False
        return True
