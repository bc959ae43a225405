"""Settings of a running gateway: taken without a restart, exchanges under way undisturbed, what is refused changes nothing."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest
import requests
from click.testing import CliRunner

from gateway.cli.main import main
from gateway.server.partsettings import body_rules
from gateway.settings.config import TABLE
from serving.login.users import Logins
from serving.storage.audit import AuditLog
from tests.integration.calling import call, logged, until
from tests.integration.conftest import CONSUMER
from tests.integration.hosting import api_key, hosted, prepare

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.federation import Federation
    from gateway.server.process import GatewayProcess
    from tests.integration.calling import Answer

pytestmark = pytest.mark.processes
OTHER = {
    "descriptions.denied_networks": "10.0.0.0/8",
    "backup.recipients": "age1x",
    "trust.ocsp_order": "free-first",
    "log.timestamp_order": "paid-first",
    "log.archive_grouping": "member",
    "notices.smtp_security": "starttls",
    "fault_spelling": "camel",
    "log_level": "warning",
    "logging.levels": "gateway.peers=debug",
    "transparency.witnesses": "http://w.invalid w.invalid+dd34e7a5+BAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
    "keys.sign_kind": "ec-p256",
    "keys.auth_kind": "ec-p384",
}


def other_value(name: str) -> str:
    """Some valid value that is not the default."""
    default, row = TABLE.defaults[name], TABLE.setting(name)
    if name in OTHER:
        return OTHER[name]
    if isinstance(default, bool):
        return "false" if default else "true"
    if isinstance(default, int | float):
        high = row.high or 1
        return str(int(high) if high != default and high >= 1 else 0.5)
    return "other"


def run(*arguments: str) -> str:
    done = CliRunner().invoke(main, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_every_live_setting_is_taken_by_a_running_gateway(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    prepare(folder)
    with hosted(folder) as (url, host):
        headers = api_key(host)
        for name in (n for n, r in TABLE.settings.items() if r.live):
            value = other_value(name)
            answer = requests.put(
                f"{url}/api/v1/settings/{name}", json={"value": value}, headers=headers, timeout=90
            )
            assert answer.status_code == 200, answer.text
            told = answer.json()
            assert (told["value"], told["source"], told["needs_restart"]) == (value, "set", False), name
            assert told["value"] != told["default"], name
        assert host.gateway is not None
        assert host.gateway.failed_loops() == []
        check_handed_on(host)
        shown = requests.get(
            f"{url}/api/v1/diagnostics/message-log-encryption-status", headers=headers, timeout=90
        ).json()
        assert (
            shown["message_log_database_encryption_status"],
            shown["message_log_archive_encryption_status"],
        ) == (True, host.settings.log.seal_archives)


def check_handed_on(host: GatewayProcess) -> None:
    """What the parts of the gateway go by is what its settings say."""
    gateway, settings = host.gateway, host.settings
    assert gateway is not None
    exchange, evidence = gateway.exchange, gateway.evidence
    assert exchange.consumer_listener._context.max_body_bytes == settings.limits.body_bytes
    assert exchange.peer_listener._context is exchange.consumer_listener._context
    assert exchange.consumer_listener._spelling == settings.fault_spelling
    assert exchange.peers._times.connect_s == settings.limits.peer_connect_s
    assert evidence.timestamper._settings.race == settings.log.timestamp_race
    assert evidence.retention._settings.keep_days == settings.log.keep_records_days
    assert evidence.retention._settings.seal == settings.log.seal_archives
    assert evidence.log._settings.bodies == body_rules(settings)
    assert gateway.records._settings.write_s == settings.monitoring.write_s
    assert evidence.log._settings.queue_length == settings.log.queue_length
    assert exchange.consumer_server.room.bounds.keepalive_s == settings.limits.keepalive_s
    assert gateway.notifier._settings is settings.notices
    assert gateway.acme._settings is settings.acme


def test_a_refused_value_changes_nothing_and_a_listener_waits_for_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    prepare(folder)
    with hosted(folder) as (url, host):
        headers, base = api_key(host), f"{url}/api/v1/settings"
        before = host.settings
        bad = requests.put(f"{base}/limits.connections", json={"value": "0"}, headers=headers, timeout=90)
        assert (bad.status_code, bad.json()["error"]["code"]) == (400, "invalid_setting")
        assert "expected int 1..1000000; came 0" in bad.json()["error"]["metadata"][0]
        assert requests.get(f"{base}/no.such", headers=headers, timeout=90).status_code == 404
        assert host.settings is before
        later = requests.put(f"{base}/listen.http_port", json={"value": "81"}, headers=headers, timeout=90)
        assert later.json()["needs_restart"] is True
        assert host.settings is before
        texts = [text for _, text, _ in host.api.audit.records()]
        assert any('"done"' not in text and "limits.connections" in text for text in texts)
        assert any("+ setting listen.http_port set to 81" in text for text in texts)


@pytest.mark.xroad("F140")
def test_a_set_value_is_taken_while_an_exchange_goes_on_undisturbed(federation: Federation) -> None:
    data, address = federation.data(CONSUMER), CONSUMER.address
    body = b"x" * 4096
    slow: list[Answer] = []
    under_way = threading.Thread(
        target=lambda: slow.append(
            call(
                address,
                "00-RNSS/INDICE/large/slow?s=3",
                body=body,
                method="POST",
                headers={"X-Road-Id": "under-way"},
            )
        )
    )
    try:
        under_way.start()
        until(lambda: logged(federation, CONSUMER, "under-way"), bool)
        run("settings", "set", "--data", str(data), "limits.body_bytes", "2048")
        refused = until(lambda: call(address, body=body, method="POST"), lambda a: a.status != 200)
        assert "2048" in refused.message
        under_way.join()
        assert [answer.status for answer in slow] == [200]
        assert slow[0].body == body
    finally:
        run("settings", "unset", "--data", str(data), "limits.body_bytes")
    until(lambda: call(address, body=body, method="POST"), lambda a: a.status == 200)


def test_the_file_is_read_again_on_sighup_and_a_bad_file_changes_nothing(federation: Federation) -> None:
    data, address = federation.data(CONSUMER), CONSUMER.address
    file, pid = data / "settings.toml", federation.processes[CONSUMER.key].pid
    kept = file.read_text()
    body = b"x" * 4096
    try:
        file.write_text("[limits]\nbody_bytes = 2048\n" + kept)
        os.kill(pid, signal.SIGHUP)
        until(lambda: call(address, body=body, method="POST"), lambda a: a.status != 200)
        file.write_text("[limits]\nbody_bytes = -1\n")
        os.kill(pid, signal.SIGHUP)
        until(lambda: reloads(data), lambda found: any('"failed"' in text for text in found))
        assert call(address, body=body, method="POST").status != 200
        assert any("limits.body_bytes: 4294967296 -> 2048" in text for text in reloads(data))
    finally:
        file.write_text(kept)
        os.kill(pid, signal.SIGHUP)
    until(lambda: call(address, body=body, method="POST"), lambda a: a.status == 200)


def reloads(data: Path) -> list[str]:
    """What the audit log says of signals."""
    logins = Logins(data / "admin.sqlite")
    found = [text for _, text, _ in AuditLog(logins.database).records() if "SETTINGS_RELOAD" in text]
    logins.close()
    return found
