"""What a command cannot do is one line for a person and exit status 1, never a stack trace."""

from __future__ import annotations

import contextlib
import json
import socket
from email import message_from_bytes
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote

import pytest
from click.testing import CliRunner

from benchmarks.federation import free_base
from gateway.cli.actions import operations, render_upload
from gateway.cli.main import main
from serving.api.operations import MultipartForm
from serving.storage.database import connect
from tests.integration.hosting import prepare

if TYPE_CHECKING:
    from email.message import Message
    from pathlib import Path

WANTED = '[[client]]\nid = "MX/GOB/15-ISSEMYM/AFIL"\n'


@pytest.mark.parametrize("what", ["backup", "apply"])
def test_before_init_a_command_says_what_to_do_first(what: str, tmp_path: Path) -> None:
    (tmp_path / "passphrase").write_text("frase de paso")
    (tmp_path / "passphrase").chmod(0o600)
    (tmp_path / "gateway.toml").write_text(WANTED)
    arguments = {
        "backup": [
            "backup",
            "create",
            "--passphrase-file",
            str(tmp_path / "passphrase"),
            str(tmp_path / "b.age"),
        ],
        "apply": ["apply", str(tmp_path / "gateway.toml")],
    }[what]
    result = CliRunner().invoke(main, [*arguments, "--data", str(tmp_path / "data")])
    assert result.exit_code == 1
    assert "run 'gateway init' first" in result.output
    assert not (tmp_path / "b.age").exists()


def test_a_missing_pin_file_is_named(tmp_path: Path) -> None:
    prepare(tmp_path / "data")
    result = CliRunner().invoke(
        main, ["serve", "--data", str(tmp_path / "data"), "--pin-file", str(tmp_path / "no-such-file")]
    )
    assert result.exit_code == 1
    assert "no-such-file" in result.output


def test_a_folder_nothing_was_made_in_is_not_served_and_not_made(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["serve", "--data", str(tmp_path / "typo")])
    assert result.exit_code == 1
    assert "correct --data, or make one" in result.output
    assert not (tmp_path / "typo").exists()


@pytest.mark.parametrize(
    ("anchor", "server"),
    [(b"no anchor", "GOB/1/SS"), (None, "GOB/1/SS"), (b"<x/>", "GOB/1/SS"), (b"", "no server")],
)
def test_an_init_that_is_refused_leaves_nothing(anchor: bytes | None, server: str, tmp_path: Path) -> None:
    if anchor is not None:
        (tmp_path / "anchor.xml").write_bytes(anchor)
    words = [
        "init",
        "--data",
        str(tmp_path / "new"),
        "--anchor",
        str(tmp_path / "anchor.xml"),
        "--server",
        server,
    ]
    result = CliRunner().invoke(main, [*words, "--name", "N", "--pin-file", str(tmp_path / "pin")])
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "pin").exists()


def test_a_check_says_where_it_would_listen_and_starts_nothing(tmp_path: Path) -> None:
    prepare(tmp_path / "data")
    base = free_base()
    hosts = [f'{name} = "{base}.7"' for name in ("consumer_host", "peer_host", "health_host")]
    (tmp_path / "data" / "settings.toml").write_text("[listen]\n" + "\n".join(hosts))
    asked = ["serve", "--check", "--data", str(tmp_path / "data")]
    said = CliRunner().invoke(main, asked, env={"SACBE_LANG": "en"})
    assert said.exit_code == 0, said.output
    assert f"health http://{base}.7:5588/" in said.output
    with socket.create_server((f"{base}.7", 5500)):
        taken = CliRunner().invoke(main, asked, env={"SACBE_LANG": "en"})
    assert taken.exit_code == 1
    assert "set listen.peer_port or listen.peer_host" in taken.output


def test_one_that_cannot_listen_leaves_the_databases_of_an_earlier_version_as_they_are(
    tmp_path: Path,
) -> None:
    data = tmp_path / "data"
    prepare(data)
    path = data / "serverconf.sqlite"
    with contextlib.closing(connect(path)) as database:
        database.execute("DELETE FROM step WHERE number = (SELECT max(number) FROM step)")
    before = path.read_bytes()
    base = free_base()
    (data / "settings.toml").write_text(f'[listen]\nhealth_host = "{base}.8"\n')
    with socket.create_server((f"{base}.8", 5588)):
        result = CliRunner().invoke(main, ["serve", "--data", str(data)])
    assert "set listen.health_port" in result.output
    assert path.read_bytes() == before


def test_a_folder_of_a_newer_version_is_not_served(tmp_path: Path) -> None:
    data = tmp_path / "data"
    prepare(data)
    with contextlib.closing(connect(data / "serverconf.sqlite")) as database:
        database.execute("INSERT INTO step SELECT max(number) + 1 FROM step")
    for command in ("serve", "diagnose", "client list"):
        result = CliRunner().invoke(main, [*command.split(), "--data", str(data)])
        assert result.exit_code == 1
        assert "was written by a newer version" in result.output


def test_health_and_status_ask_where_the_folders_settings_say(tmp_path: Path) -> None:
    data = tmp_path / "data"
    prepare(data)
    (data / "settings.toml").write_text('[listen]\nhealth_host = "127.90.0.9"\nhealth_port = 5999\n')
    asked = CliRunner().invoke(main, ["health", "--data", str(data)])
    assert asked.exit_code == 1
    assert "http://127.90.0.9:5999/" in asked.output
    told = CliRunner().invoke(main, ["status", "--json", "--data", str(data)])
    assert told.exit_code == 3
    assert json.loads(told.output)["addresses"]["health"] == "http://127.90.0.9:5999/"


@pytest.mark.parametrize("name", ['llave "pública".der', "a\\b.xml", "año; name=x.wsdl"])
def test_a_file_that_is_sent_in_a_form_keeps_its_name_whatever_it_is(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\r\n--x\x00")
    taken = next(o for o in operations().values() if isinstance(o.body, MultipartForm))
    raw, media_type = render_upload(taken, tmp_path / name)
    found = message_from_bytes(b"Content-Type: " + media_type.encode() + b"\r\n\r\n" + raw)
    (part,) = cast("list[Message]", found.get_payload())
    assert part.get_param("name", header="content-disposition") == "file"
    assert unquote(part.get_filename() or "") == name
    assert part.get_payload(decode=True) == b"\r\n--x\x00"


def test_a_file_name_that_no_header_can_hold_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a\r\nX: y").write_bytes(b"")
    taken = next(o for o in operations().values() if isinstance(o.body, MultipartForm))
    with pytest.raises(ValueError, match="control character"):
        render_upload(taken, tmp_path / "a\r\nX: y")
