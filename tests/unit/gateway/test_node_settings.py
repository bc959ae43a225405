"""Where a gateway's state is kept is found by every command of its folder, and said wrongly it stops a start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateway.clients.store import ServerConfStore
from gateway.server.nodes import check_found
from gateway.settings.config import load
from gateway.settings.datafolder import find_folder
from gateway.settings.livesettings import LiveSettings
from gateway.settings.nodesettings import NodeSettings, read_node
from serving.errors import OperatorError

if TYPE_CHECKING:
    from pathlib import Path

ADDRESS = "postgresql://sacbe@db.example/state"
VARIABLE = "SACBE_GATEWAY_NODE_DATABASE"


def test_without_a_setting_everything_is_in_the_folder(tmp_path: Path) -> None:
    folder = find_folder(tmp_path, {"SACBE_GATEWAY_LISTEN_HTTP_PORT": "8081"})
    assert folder.database == ""
    assert folder.serverconf == tmp_path / "serverconf.sqlite"
    assert not folder.message_log.is_shared


def test_the_folders_own_file_or_the_environment_names_the_database(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text(f'log_level = "debug"\n[node]\ndatabase = "{ADDRESS}"\n')
    assert find_folder(tmp_path, {}).serverconf == ADDRESS
    other = ADDRESS.replace("state", "other")
    assert find_folder(tmp_path, {VARIABLE: other}).database == other
    assert ADDRESS not in repr(find_folder(tmp_path, {}))


def test_the_password_comes_from_a_file_that_its_owner_alone_reads(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("p&ss word\n")
    secret.chmod(0o600)
    (tmp_path / "settings.toml").write_text(
        f'[node]\ndatabase = "{ADDRESS}"\npassword = {{ file = "{secret}" }}\n'
    )
    assert find_folder(tmp_path, {}).database == f"{ADDRESS}?password=p%26ss%20word"
    secret.chmod(0o644)
    with pytest.raises(OperatorError, match=r"node\.password: .* can be read by others"):
        find_folder(tmp_path, {})


@pytest.mark.parametrize(
    "address", ["mysql://db/state", "state", "sqlite:///x", "/var/lib/state", "postgresql+psycopg://db/state"]
)
def test_another_kind_of_address_is_refused(tmp_path: Path, address: str) -> None:
    with pytest.raises(OperatorError, match="expected postgresql://"):
        find_folder(tmp_path, {VARIABLE: address})


def test_a_misspelt_setting_of_the_node_stops_every_command(tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text('[node]\ndatabse = "postgresql://db/state"\n')
    with pytest.raises(OperatorError, match="databse"):
        read_node(tmp_path, {})


def test_a_database_that_only_another_file_names_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.toml").write_text(f'[node]\ndatabase = "{ADDRESS}"\n')
    chosen = load(tmp_path / "elsewhere.toml", {}).node
    with pytest.raises(OperatorError, match=r"commands of .* do not read"):
        check_found(tmp_path, chosen, {})
    check_found(tmp_path, chosen, {VARIABLE: ADDRESS})
    check_found(tmp_path, NodeSettings(), {})


def test_where_settings_are_kept_is_not_kept_there(tmp_path: Path) -> None:
    store = ServerConfStore(tmp_path / "serverconf.sqlite")
    with pytest.raises(OperatorError, match=r"cannot be kept there: set it in settings\.toml"):
        LiveSettings(store.database, None, {}).set("node.database", ADDRESS)
    store.close()


@pytest.mark.parametrize(
    "address", ["bucket/x", "file:///srv/bodies", "s3://", "http://store/bucket", "s3:bucket"]
)
def test_bodies_go_to_an_object_store_or_nowhere(tmp_path: Path, address: str) -> None:
    with pytest.raises(OperatorError, match=r"node\.bodies is .*; expected s3://bucket/prefix"):
        find_folder(tmp_path, {"SACBE_GATEWAY_NODE_BODIES": address})
    assert find_folder(tmp_path, {"SACBE_GATEWAY_NODE_BODIES": "s3://bucket/a/"}).objects == "s3://bucket/a"
