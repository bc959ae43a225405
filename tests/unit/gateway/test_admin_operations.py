"""The gateway's admin API against the list of operations that X-Road 7.8's security server has (method and path)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gateway.server.process import GatewayProcess
from gateway.settings.config import GatewaySettings
from gateway.settings.datafolder import DataFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

LIST = Path(__file__).with_name("admin_operations.txt")


def served(document: dict[str, dict[str, dict[str, object]]]) -> Iterator[str]:
    """Method and path of every operation, parameters without their names."""
    for path, methods in document["paths"].items():
        base = "" if "servers" in methods else "/api/v1"
        for method in set(methods) - {"servers"}:
            yield f"{method.upper()} {base}{re.sub(r'{[^}]*}', '{}', path)}"


@pytest.mark.xroad("F133")
async def test_every_operation_of_the_list_is_served(tmp_path: Path) -> None:
    host = GatewayProcess(DataFolder(tmp_path), GatewaySettings(), None)
    try:
        wanted = set(LIST.read_text(encoding="utf-8").splitlines())
        assert len(wanted) == 151
        assert wanted - set(served(host.api.document)) == set()
    finally:
        host.logins.close()
        host.store.close()
