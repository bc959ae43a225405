"""Proving the provider's gateway on a connection to it, with OCSP responses remembered or asked of it."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.exchange.peertrust import path_of
from schemas.faults import Fault, Kind, NotProved

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from certs.configuration import TrustedConfiguration
    from gateway.edges.peers import PeerExpected
    from gateway.edges.revocation import PeerRevocation
    from gateway.exchange.peertrust import PeerProver


@dataclass(frozen=True, slots=True)
class PeerProof:
    """What `gateway.edges.peers.PeerClient` asks each time a connection is about to carry a message."""

    configuration: Callable[[], TrustedConfiguration | None]
    revocation: PeerRevocation
    prover: PeerProver
    now: Callable[[], datetime]

    async def check(self, certificates: Sequence[bytes], expected: PeerExpected) -> None:
        """Prove the peer. For the cheap case its OCSP response is known and its verdict remembered."""
        configuration = self.configuration()
        if configuration is None:
            raise NotProved(Kind.GLOBAL_CONF_OUTDATED, "there is no global configuration")
        now = self.now()
        try:
            path = path_of(configuration, certificates, expected.provider.instance, now)
        except Fault as fault:
            raise NotProved(
                Kind.SSL_AUTHENTICATION_FAILED, f"the provider's gateway is not proved: {fault.detail}"
            ) from fault
        pairs = list(itertools.pairwise(path))
        known = self.revocation.known(pairs)
        if len(known) == len(pairs):
            with contextlib.suppress(NotProved):
                self.prover.check_consumer_side(configuration, certificates, known, expected.provider, now)
                return
        try:
            asked = await self.revocation.ask(expected.server.address, pairs)
        except NotProved as fault:
            raise NotProved(Kind.SSL_AUTHENTICATION_FAILED, fault.detail) from fault
        self.prover.check_consumer_side(configuration, certificates, asked, expected.provider, now)
