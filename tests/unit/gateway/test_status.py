"""``gateway status``: where the running process listens, not where the settings would have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from click.testing import CliRunner

from gateway.cli.status import look, status
from gateway.server.running import note_running
from serving.process.addresses import ListenAddress

if TYPE_CHECKING:
    from pathlib import Path

TAKEN = (
    ListenAddress("consumers by TLS", "https", "10.0.0.7", 9443, "listen.consumer_host", "listen.https_port"),
    ListenAddress("health", "http", "127.0.0.1", 1, "listen.health_host", "listen.health_port", "/"),
)


def test_a_running_gateway_is_where_it_listens_whatever_the_settings_say_now(tmp_path: Path) -> None:
    note_running(tmp_path, "127.0.0.1", 4100, "", "", TAKEN)
    assert look(tmp_path, None)["addresses"] == {
        "consumers by TLS": "https://10.0.0.7:9443",
        "health": "http://127.0.0.1:1/",
    }


def test_what_a_listener_is_for_is_said_in_the_readers_language(tmp_path: Path) -> None:
    note_running(tmp_path, "127.0.0.1", 4100, "", "", TAKEN)
    (tmp_path / "settings.toml").touch()
    shown = CliRunner().invoke(status, ["--data", str(tmp_path)], env={"SACBE_LANG": "es"}).output
    assert "sistemas, por TLS" in shown
    assert "intercambio: detenido" in shown
