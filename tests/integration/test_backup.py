"""A gateway's backup, made while it runs, brings a fresh machine to the same keys, services and rights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from gateway.clients.store import ServerConfStore
from gateway.keys.store import KeyConfStore
from tests.integration.conftest import PROVIDER

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.federation import Federation

pytestmark = pytest.mark.processes


def test_a_backup_of_a_running_gateway_restores_on_an_empty_folder(
    federation: Federation, tmp_path: Path
) -> None:
    (tmp_path / "passphrase").write_text("frase de paso de prueba")
    run = CliRunner().invoke
    (tmp_path / "passphrase").chmod(0o600)
    close = ["--passphrase-file", str(tmp_path / "passphrase")]
    data, out, fresh = federation.data(PROVIDER), tmp_path / "gateway.age", tmp_path / "fresh"
    made = run(main, ["backup", "create", "--data", str(data), *close, str(out)])
    assert made.exit_code == 0, made.output
    restored = run(main, ["backup", "restore", "--data", str(fresh), *close, str(out)])
    assert restored.exit_code == 0, restored.output
    old, new = (ServerConfStore(folder / "serverconf.sqlite") for folder in (data, fresh))
    try:
        assert new.load() == old.load()
        assert new.anchor() == old.anchor()
        assert KeyConfStore(new.database).list_keys() == KeyConfStore(old.database).list_keys()
    finally:
        old.close()
        new.close()
    keys = sorted(p.name for p in (data / "token").iterdir())
    assert sorted(p.name for p in (fresh / "token").iterdir()) == keys
    # Nothing is laid over a running gateway's files: it restores the backup itself.
    itself = run(main, ["backup", "restore", "--data", str(data), *close, str(out)])
    assert (itself.exit_code, "the gateway starts anew" in itself.output) == (0, True), itself.output
    federation.wait_for(f"http://{PROVIDER.address}:5588/")
