"""Settings as one table: what each takes and does, what is refused and why, and documents that say the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from central_server import config as central
from gateway.clients.store import ServerConfStore
from gateway.settings.config import TABLE, GatewaySettings, load
from gateway.settings.livesettings import LiveSettings
from serving.cli.commands import explain
from serving.config.settingtable import SettingTable
from serving.errors import OperatorError
from tests.paths import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ServerConfStore]:
    made = ServerConfStore(tmp_path / "serverconf.sqlite")
    yield made
    made.close()


def live(store: ServerConfStore, file: Path | None = None, **environ: str) -> LiveSettings:
    return LiveSettings(store.database, file, environ)


def test_every_setting_says_what_it_does_where_it_stands() -> None:
    assert set(TABLE.settings) == set(TABLE.types)
    assert TABLE.names == tuple(TABLE.types)
    assert central.TABLE.names == tuple(central.TABLE.types)
    assert all(setting.help for setting in TABLE.settings.values())
    assert sum(setting.live for setting in TABLE.settings.values()) >= 40


def test_a_field_that_says_nothing_of_itself_is_no_setting() -> None:
    class Silent(msgspec.Struct):
        port: int = 1

    with pytest.raises(TypeError, match="the setting port says nothing of itself"):
        _ = SettingTable(Silent).settings


def test_every_default_is_within_its_own_range() -> None:
    for name, value in TABLE.defaults.items():
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            assert TABLE.parse(name, str(value)) == value, name


@pytest.mark.parametrize(("name", "language"), [("settings.md", "en"), ("ajustes.md", "es")])
@pytest.mark.xroad("F140")
def test_documentation_is_in_step_with_the_table(name: str, language: str) -> None:
    written = (PROJECT / "docs" / name).read_text(encoding="utf-8")
    assert TABLE.render_markdown(language) in written, f"gateway settings table --language {language}"


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("log.keep_records_days", "many", "expected int 0..36500; came 'many'"),
        ("log.keep_records_days", "-1", "expected int 0..36500; came -1"),
        ("limits.peer_read_s", "nan", "expected float 0..86400; came nan"),
        ("log.timestamp_race", "perhaps", "expected true | false; came 'perhaps'"),
        ("keys.sign_kind", "rsa-512", "came 'rsa-512'"),
        ("log_level", "loud", "expected debug | info | warning | error; came 'loud'"),
        ("keys.tokens", "[]", "write it into the settings file"),
        ("log.keep_record_days", "3", "there is no setting 'log.keep_record_days'"),
    ],
)
def test_a_bad_value_says_what_was_expected_and_changes_nothing(
    store: ServerConfStore, name: str, text: str, reason: str
) -> None:
    with pytest.raises(OperatorError, match=r".") as refused:
        live(store).set(name, text)
    assert reason in str(refused.value)
    assert live(store).revision() == ()


@pytest.mark.xroad("F019", "F140", "F141")
def test_what_is_set_goes_before_the_file_and_the_environment_before_both(
    store: ServerConfStore, tmp_path: Path
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[log]\nkeep_records_days = 20\narchive_interval_s = 60.0\n")
    settings = live(store, file)
    assert (settings.load().log.keep_records_days, settings.source("log.keep_records_days")) == (20, "file")
    (change,) = settings.set("log.keep_records_days", "10")
    assert change.line() == "setting log.keep_records_days: 20 -> 10"
    assert settings.load().log == msgspec.structs.replace(
        GatewaySettings().log, keep_records_days=10, archive_interval_s=60.0
    )
    over = live(store, file, SACBE_GATEWAY_LOG_KEEP_RECORDS_DAYS="5")
    assert (over.load().log.keep_records_days, over.source("log.keep_records_days")) == (5, "environment")
    settings.unset("log.keep_records_days")
    assert settings.load().log.keep_records_days == 20


def test_lists_are_written_with_commas(store: ServerConfStore) -> None:
    live(store).set("notices.recipients", "a@x.mx, b@x.mx")
    assert live(store).load().notices.recipients == ("a@x.mx", "b@x.mx")


def test_a_file_outside_the_ranges_is_refused_with_every_reason(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("[log]\nkeep_records_days = -1\n[limits]\nconnections = 0\n")
    with pytest.raises(OperatorError) as refused:
        load(file, {})
    assert "log.keep_records_days" in str(refused.value)
    assert "limits.connections: expected int 1..1000000; came 0" in str(refused.value)


def test_only_live_settings_are_taken_while_running() -> None:
    old = GatewaySettings()
    log = msgspec.structs.replace(old.log, keep_records_days=3)
    listen = msgspec.structs.replace(old.listen, http_port=81)
    taken = TABLE.with_live(old, msgspec.structs.replace(old, log=log, listen=listen, log_level="debug"))
    assert (taken.log, taken.listen, taken.log_level) == (log, old.listen, "debug")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[listen]\nhost = "127.0.0.1"', "no hay ningún ajuste 'listen.host'; ¿es listen.peer_host"),
        ("[listne]\npeer_port = 1", "no hay ningún ajuste 'listne'; ¿es listen?"),
        (
            "[listen]\nzzzz = 1",
            "no hay ningún ajuste 'listen.zzzz'; hay: listen.consumer_host, listen.http_port",
        ),
        ('[admin]\nport = "x"', "admin.port: se esperaba int; llegó 'x'"),
    ],
)
def test_a_file_with_a_setting_that_is_none_says_which_ones_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, expected: str
) -> None:
    monkeypatch.setenv("SACBE_LANG", "es")
    file = tmp_path / "settings.toml"
    file.write_text(text)
    with pytest.raises(OperatorError) as refused:
        load(file, {})
    assert expected in explain(refused.value)
    assert str(file) in explain(refused.value)
