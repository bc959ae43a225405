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
from gateway.keys.store import KeyConfStore
from gateway.policies.gate import Binding, Excess
from gateway.policies.store import PolicyStore
from schemas.identifiers import ClientId, ServiceId

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 3, 1, tzinfo=UTC)
OWNER = ClientId("MX", "GOB", "A")
CLIENT = OWNER.subsystem("S")
GOOD = ServiceId(CLIENT, "good")
# Columns of a service's row that an earlier version might have kept otherwise.
OLD: dict[str, dict[str, object]] = {
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


# Rows of the other tables, and what is read of each.
BYTES = b"\x30\x03\x02\x01\x07"
OTHERS: dict[str, tuple[str, dict[str, object]]] = {
    "client without a member": ("client", {"client_id": "MX/GOB", "connection": "HTTP"}),
    "client of nothing": ("client", {"client_id": "", "connection": "HTTP"}),
    "client of too many parts": ("client", {"client_id": "MX/GOB/A/S/T/U", "connection": "HTTP"}),
    "blank member": ("client", {"client_id": "MX/GOB//S", "connection": "HTTP"}),
    "unknown connection": ("client", {"client_id": "MX/GOB/B/S", "connection": "CARRIER_PIGEON"}),
    "unknown rename": ("client", {"client_id": "MX/GOB/B/S", "connection": "HTTP", "rename_status": "MAYBE"}),
    "added after all time": ("client", {"client_id": "MX/GOB/B/S", "connection": "HTTP", "added_at": 1 << 60}),
    "added before all time": ("client", {"client_id": "MX/GOB/B/S", "connection": "HTTP", "added_at": -(1 << 60)}),
    "certificate added never": ("client_certificate", {"client_id": CLIENT.path(), "der": BYTES, "added_at": 1 << 60}),
    "certificate that is a number": ("client_certificate", {"client_id": CLIENT.path(), "der": -7, "added_at": 0}),
    "unknown request": ("pending_request", {"id": 9, "kind": "clientGift", "subject": "x", "detail": ""}),
    "request sent never": ("pending_request", {"id": 9, "kind": "clientReg", "subject": "x", "sent_at": 1 << 60}),
    "group of too many parts": ("client_group", {"id": 9, "client_id": CLIENT.path(), "code": "g", "updated_at": 1 << 60}),
    "member of nothing": ("client_group_member", {"group_id": 1, "member": "", "added_at": 0}),
    "member of too many parts": ("client_group_member", {"group_id": 1, "member": "a/b/c/d/e", "added_at": 0}),
    "member added never": ("client_group_member", {"group_id": 1, "member": "MX/GOB/B", "added_at": 1 << 60}),
    "right of nobody": ("granted_right", {"endpoint_id": 1, "subject_type": "SUBSYSTEM", "subject": "", "granted_at": 0}),
    "right of no kind": ("granted_right", {"endpoint_id": 1, "subject_type": "?", "subject": "x", "granted_at": 0}),
    "right of half a group": ("granted_right", {"endpoint_id": 1, "subject_type": "GLOBALGROUP", "subject": "MX", "granted_at": 0}),
    "request of nobody": ("access_request", {"id": 9, "client": "", "provider": "MX/GOB/A/S", "state": "WAITING"}),
    "request in no state": ("access_request", {"id": 9, "client": "MX/GOB/B/S", "provider": "MX/GOB/A/S", "state": "LOST"}),
    "unknown token": ("key_token", {"token_id": "t", "type": "PAPER", "name": "t"}),
    "unknown usage": ("token_key", {"key_id": "k", "token_id": "0", "usage": "fishing", "public_key": BYTES}),
    "key that is a number": ("token_key", {"key_id": "k", "token_id": "0", "usage": "sign", "public_key": -7}),
    "csr of no member": ("signing_request", {"request_id": "r", "key_id": "k", "usage": "sign", "member": "a", "subject": "[]"}),
    "csr of no subject": ("signing_request", {"request_id": "r", "key_id": "k", "usage": "sign", "subject": "{"}),
    "csr of another subject": ("signing_request", {"request_id": "r", "key_id": "k", "usage": "sign", "subject": "[1]"}),
    "certificate of no usage": ("own_certificate", {"der": BYTES, "key_id": "k", "usage": "?", "status": "saved"}),
    "certificate of no state": ("own_certificate", {"der": BYTES, "key_id": "k", "usage": "sign", "status": "?"}),
    "certificate of nobody": ("own_certificate", {"der": BYTES, "key_id": "k", "usage": "sign", "status": "saved", "member": "/"}),
    "policy of no client": ("service_policy", {"client_id": "x", "service_code": "good", "policy_id": "p", "excess": "refuse"}),
}  # fmt: skip


def put(path: Path, table: str, row: dict[str, object]) -> None:
    """Keep a row as an earlier version might have: what is not given of it is empty."""
    with sqlite3.connect(path) as database:
        for _, name, kind, _, _, key in database.execute(f"PRAGMA table_info({table})").fetchall():
            if not key or kind != "INTEGER":
                row.setdefault(name, 0 if kind == "INTEGER" else b"" if kind == "BLOB" else "")
        nullable = {r[1] for r in database.execute(f"PRAGMA table_info({table})") if not r[3] and not r[5]}
        known = {name: value for name, value in row.items() if value != "" or name not in nullable}
        columns = ", ".join(known)
        database.execute(
            f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(known))})", [*known.values()]
        )


@pytest.mark.parametrize("name", OTHERS)
def test_an_old_row_of_any_table_is_named_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    path = tmp_path / "serverconf.sqlite"
    store = ServerConfStore(path)
    store.initialise(OWNER.server("SS1"), b"anchor", owner_added_at=NOW)
    keys = KeyConfStore(store.database)
    policies = PolicyStore(store.database)
    with store.change() as tables:
        tables.clients.add(CLIENT, ConnectionType.HTTP, NOW)
        group = tables.groups.add(CLIENT, "people", "", NOW)
        tables.groups.add_member(group.id, OWNER, NOW)
        made = tables.descriptions.add(CLIENT, ServiceType.REST, "http://h/", NOW)
        tables.descriptions.add_service(new_service(GOOD, made.id, "http://h/", ""))
        tables.endpoints.ensure_all(CLIENT, [Endpoint("good")], generated=True)
    table, row = OTHERS[name]
    put(path, table, dict(row))
    with caplog.at_level(logging.ERROR):
        loaded = store.load()
        tables_now = store.view
        assert [c.id for c in tables_now.clients.all()] == [OWNER, CLIENT]
        assert tables_now.clients.certificates() == () and tables_now.requests.all() == ()
        assert tables_now.access_requests.all() == ()
        assert [m.id for m in tables_now.groups.get(group.id).members] == [OWNER]
        assert keys.list_keys() == () and keys.requests() == () and keys.certificates() == ()
        assert [t.id for t in keys.tokens()] == []
        assert policies.snapshot().bindings == {}
    assert loaded.service(GOOD) is not None and loaded.rights == ()
    left_out = {
        str(getattr(r, "row", "")).split()[0] for r in caplog.records if r.message == "a row is left out"
    }
    assert left_out == {table}
    assert all(len(r.row) < 400 for r in caplog.records if hasattr(r, "row"))
    store.close()


def test_a_binding_whose_way_cannot_be_read_is_applied_strictly_and_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "serverconf.sqlite"
    store = ServerConfStore(path)
    store.initialise(OWNER.server("SS1"), b"anchor", owner_added_at=NOW)
    put(
        path,
        "service_policy",
        {"client_id": CLIENT.path(), "service_code": "good", "policy_id": "p", "excess": "often"},
    )
    bound = PolicyStore(store.database).snapshot().bindings
    assert bound == {(CLIENT, "good"): Binding("p", Excess.REFUSE)}
    store.close()
