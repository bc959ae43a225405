"""Rows that an earlier version kept and today's rules refuse: a gateway starts, serves everything else, and names the row."""

from __future__ import annotations

import logging
import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from gateway.clients.descriptions.changes import new_service
from gateway.clients.model import ConnectionType, Endpoint, ServiceType
from gateway.clients.store import ServerConfStore
from schemas.identifiers import ClientId, ServiceId

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 3, 1, tzinfo=UTC)
OWNER = ClientId("MX", "GOB", "A")
CLIENT = OWNER.subsystem("S")
GOOD = ServiceId(CLIENT, "good")
# Columns of a service's row that an earlier version might have kept otherwise.
OLD = {
    "blank code": {"service_code": ""},
    "code of blanks": {"service_code": "  "},
    "client without a member": {"client_id": "MX/GOB"},
    "client of too many parts": {"client_id": "MX/GOB/A/S/T"},
    "unknown check": {"service_code": "x", "validation": "SOMETIMES"},
    "no description": {"service_code": "x", "description_id": 99},
    "control character": {"service_code": "a\x08b", "title": "t\x1b[31m"},
    "address of nowhere": {"service_code": "x", "url": "javascript:1"},
    "dots": {"service_code": ".."},
}


@pytest.mark.parametrize("name", OLD)
def test_an_old_row_is_left_out_or_served_and_everything_else_is_served(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    store = ServerConfStore(tmp_path / "serverconf.sqlite")
    store.initialise(OWNER.server("SS1"), b"anchor", owner_added_at=NOW)
    with store.change() as tables:
        tables.clients.add(CLIENT, ConnectionType.HTTP, NOW)
        made = tables.descriptions.add(CLIENT, ServiceType.REST, "http://h/", NOW)
        tables.descriptions.add_service(new_service(GOOD, made.id, "http://h/", ""))
        tables.endpoints.ensure_all(CLIENT, [Endpoint("good")], generated=True)
    with sqlite3.connect(tmp_path / "serverconf.sqlite") as database:
        row = {
            "client_id": CLIENT.path(), "service_code": "x", "service_version": "", "description_id": made.id,
            "title": "", "url": "http://h/", "timeout_s": 60, "ssl_auth": 0, "validation": "OFF", **OLD[name],
        }  # fmt: skip
        database.execute(
            f"INSERT INTO described_service ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
            [*row.values()],
        )
    with caplog.at_level(logging.ERROR):
        loaded = store.load()
    assert loaded.service(GOOD) is not None
    assert loaded.endpoints == ((CLIENT, Endpoint("good")),)
    left_out = [str(getattr(r, "row", "")) for r in caplog.records if r.message == "a row is left out"]
    assert len(loaded.services) + len(left_out) == 2
    assert all(found.startswith("described_service ") for found in left_out)
    assert len(store.view.descriptions.all()) == 1
    store.close()
