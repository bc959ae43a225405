"""What either server's administration writes to its audit log is called as X-Road 7.8 calls it, operation by operation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from central_server.app import CentralServer
from central_server.config import CentralSettings
from gateway.server.process import GatewayProcess
from gateway.settings.config import GatewaySettings
from gateway.settings.datafolder import DataFolder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from serving.api.operations import Operation

LISTS = Path(__file__).parent


def differences(listed: str, operations: Iterable[Operation]) -> list[str]:
    """Lines of a list (method, path, event) that the operations do otherwise."""
    named = {f"{o.method} /api/v1{re.sub(r'{[^}]*}', '{}', o.path)}": o.event for o in operations}
    lines = (LISTS / listed).read_text(encoding="utf-8").splitlines()
    assert len(lines) > 50
    return [line for line in lines if named.get(line.rpartition(" ")[0]) != line.rpartition(" ")[2]]


@pytest.mark.xroad("F136")
async def test_a_gateways_operations_are_recorded_under_x_roads_names(tmp_path: Path) -> None:
    host = GatewayProcess(DataFolder(tmp_path), GatewaySettings(), None)
    try:
        assert differences("gateway_events.txt", host.api.operations) == []
    finally:
        host.logins.close()
        host.store.close()


@pytest.mark.xroad("F136")
async def test_a_central_servers_operations_are_recorded_under_x_roads_names(tmp_path: Path) -> None:
    server = CentralServer(tmp_path, CentralSettings())
    try:
        assert differences("central_events.txt", server.admin.operations) == []
    finally:
        await server.stop()
