"""Commands that speak to a running gateway: what an administrator does from the shell, audited with the name of who did it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

from gateway.cli.main import main
from tests.integration.conftest import CONSUMER, PROVIDER

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.federation import Federation

pytestmark = pytest.mark.processes
OWN = ["--json"]


def run(federation: Federation, *arguments: str) -> Any:
    """The JSON that a command prints; None when it prints nothing."""
    data = str(federation.data(PROVIDER))
    done = CliRunner().invoke(main, [*arguments, "--data", data, *OWN], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.output) if done.output.strip() else None


def test_an_administrator_works_from_the_shell(federation: Federation) -> None:
    assert run(federation, "server", "initialization")["is_anchor_imported"] is True
    found = run(federation, "client", "search", "--internal-search")
    assert "MX:GOB:00-RNSS:INDICE" in [c["id"] for c in found]
    assert run(federation, "globalconf", "server", "MX/GOB/00-RNSS/SS1")["server_code"] == "SS1"
    client = "MX/GOB/00-RNSS/INDICE"
    made = run(federation, "group", "add", client, "--code", "prueba", "--description", "una")
    try:
        number = str(made["id"])
        run(federation, "group", "add-members", number, "--items", "MX/GOB/15-ISSEMYM/AFIL")
        (member,) = run(federation, "group", "show", number)["members"]
        assert member["id"] == "MX:GOB:15-ISSEMYM:AFIL"
        allowed = ["service", "allow", "--client", client, "echo", "local:prueba"]
        done = CliRunner().invoke(main, [*allowed, "--data", str(federation.data(PROVIDER))])
        assert done.exit_code == 0, done.output
        callers = run(federation, "service", "callers", f"{client}:echo")
        assert any(c.get("local_group_code") == "prueba" for c in callers)
    finally:
        run(federation, "group", "delete", number)
    assert run(federation, "api", "GET", "/tokens")[0]["logged_in"] is True
    assert run(federation, "token", "list")[0]["logged_in"] is True
    assert run(federation, "settings", "reload")["taken"] == []


def test_commands_are_on_the_audit_log_and_leave_no_key(federation: Federation) -> None:
    run(federation, "backup", "forget-running")
    assert run(federation, "api-key", "list") == []
    done = CliRunner().invoke(main, ["audit", "export", "--data", str(federation.data(PROVIDER))])
    records = [json.loads(line)["record"] for line in done.output.splitlines()]
    told = [r for r in records if r["event"] == "COMMAND"]
    assert told[-1]["who"].startswith("local:")
    assert told[-1]["changes"] == ["PUT /notifications/alerts/reset"]


def test_a_refusal_is_one_line_with_what_the_gateway_said(federation: Federation) -> None:
    data = str(federation.data(PROVIDER))
    done = CliRunner().invoke(main, ["client", "show", "MX/GOB/00-RNSS/NADA", "--data", data])
    assert done.exit_code == 1
    assert "client_not_found (404)" in done.output


def test_a_file_is_downloaded_and_a_gateway_elsewhere_wants_its_key(
    federation: Federation, tmp_path: Path
) -> None:
    data, out = federation.data(PROVIDER), tmp_path / "anchor.xml"
    run_out = CliRunner().invoke(
        main, ["globalconf", "download-anchor", "--data", str(data), "--out", str(out)]
    )
    assert run_out.exit_code == 0, run_out.output
    assert out.read_bytes() == federation.anchor.read_bytes()
    elsewhere = ["--gateway", f"https://{CONSUMER.address}:4000"]
    refused = CliRunner().invoke(main, ["user", "whoami", *elsewhere])
    assert refused.exit_code == 1
    assert "--key-file" in refused.output


def test_one_command_makes_a_backup_there_or_here(federation: Federation, tmp_path: Path) -> None:
    data = ["--data", str(federation.data(PROVIDER))]
    refused = CliRunner().invoke(main, ["backup", "create", *data], env={"SACBE_LANG": "en"})
    assert refused.exit_code == 1
    assert "backup_recipients_not_set" in refused.output
    (tmp_path / "passphrase").write_text("of this backup\n")
    (tmp_path / "passphrase").chmod(0o600)
    given = ["--passphrase-file", str(tmp_path / "passphrase"), str(tmp_path / "made.age")]
    done = CliRunner().invoke(main, ["backup", "create", *data, *given], env={"SACBE_LANG": "en"})
    assert done.exit_code == 0, done.output
    (tmp_path / "settings.toml").touch()
    stopped = CliRunner().invoke(
        main, ["backup", "create", "--data", str(tmp_path)], env={"SACBE_LANG": "en"}
    )
    assert stopped.exit_code == 2
    assert "no gateway runs" in stopped.output
