"""A configuration fetched once by its anchor, for tools that verify and do not stay."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.edges.configuration import ConfigurationClient
from schemas.faults import Fault, Kind
from serving.process.outward import outward_session

if TYPE_CHECKING:
    from certs.configuration import TrustedConfiguration


async def download_configuration(anchor: bytes) -> TrustedConfiguration:
    """The configuration an anchor leads to, proved. Raises `Fault`."""
    with tempfile.TemporaryDirectory() as folder:
        async with outward_session() as session:
            client = ConfigurationClient(anchor, Path(folder), session, clock=lambda: datetime.now(UTC))
            await client.refresh()
    if client.current is None:
        raise Fault(Kind.GLOBAL_CONF_DOWNLOAD_FAILED, "the configuration could not be had")
    return client.current
