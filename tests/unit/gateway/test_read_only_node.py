"""A node whose administrators may only look: X-Road's SECONDARY."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import pytest

from gateway.admin.api import barred_where_read_only, operations
from gateway.settings.config import GatewaySettings, KeySettings
from gateway.settings.nodesettings import NodeSettings
from tests.integration.hosting import api_key, hosted, prepare, settings

if TYPE_CHECKING:
    from pathlib import Path


def chosen(*, read_only: bool) -> GatewaySettings:
    """Settings of a node."""
    return msgspec.structs.replace(settings(KeySettings()), node=NodeSettings(read_only=read_only))


def call(url: str, key: dict[str, str], method: str, path: str, body: object = None) -> tuple[int, object]:
    """Status and JSON of one call of the admin API."""
    raw = None if body is None else json.dumps(body).encode()
    headers = {**key, "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/api/v1{path}", raw, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as found:
            return found.status, json.loads(found.read() or b"null")
    except urllib.error.HTTPError as err:
        return err.code, json.loads(err.read())


@pytest.mark.xroad("F155")
def test_a_read_only_node_says_so_shows_everything_and_changes_nothing(tmp_path: Path) -> None:
    prepare(tmp_path)
    with hosted(tmp_path, chosen=chosen(read_only=True)) as (url, host):
        key = api_key(host)
        assert call(url, key, "GET", "/system/node-type") == (200, {"node_type": "SECONDARY"})
        status, problem = call(url, key, "POST", "/tokens/0/keys", {"label": "k"})
        assert status == 403
        assert "read-only" in json.dumps(problem)
        # The token is opened at the node itself.
        status, problem = call(url, key, "PUT", "/tokens/0/login", {"password": "wrong"})
        assert status != 403, problem


def test_another_node_takes_changes_and_says_what_it_is(tmp_path: Path) -> None:
    prepare(tmp_path)
    with hosted(tmp_path, chosen=chosen(read_only=False)) as (url, host):
        key = api_key(host)
        assert call(url, key, "GET", "/system/node-type") == (200, {"node_type": "STANDALONE"})
        assert call(url, key, "POST", "/tokens/0/keys", {"label": "k"})[0] == 201
        host.folder = replace(host.folder, database="postgresql://db.example/x")
        assert call(url, key, "GET", "/system/node-type") == (200, {"node_type": "PRIMARY"})


def test_every_change_but_of_the_node_itself_is_barred(tmp_path: Path) -> None:
    prepare(tmp_path)
    with hosted(tmp_path, chosen=chosen(read_only=True)) as (_, host):
        barred = barred_where_read_only(host)
        rows = operations(host)
        taken = {o.event for o in rows if o.event is not None and barred(o) is None}
        assert taken == {"LOGIN_TOKEN", "LOGOUT_TOKEN", "SETTINGS_RELOAD"}
        assert all(barred(o) is None for o in rows if o.event is None)
