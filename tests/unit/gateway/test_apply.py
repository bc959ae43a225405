"""One wanted file in TOML or YAML: timestamping authorities, applied once, shown before, nothing the second time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from gateway.clients.store import ServerConfStore
from gateway.desired.apply import apply_file
from schemas.identifiers import ServerId
from serving.errors import OperatorError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gateway.clients.model import ServerConf

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOML = """
[[client]]
id = "MX/GOB/1/SUB"
connection = "HTTP"
[[client.service]]
code = "s1"
url = "http://127.0.0.1:9000"
[[client.service.allow]]
subject = "MX/GOB/2/SUB"
[[timestamping]]
name = "TSA"
url = "http://127.0.0.1:9/tsa"
"""
YAML = """
client:
  - id: MX/GOB/1/SUB
    connection: HTTP
    service:
      - code: s1
        url: http://127.0.0.1:9000
        allow:
          - subject: MX/GOB/2/SUB
timestamping:
  - name: TSA
    url: http://127.0.0.1:9/tsa
"""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ServerConfStore]:
    made = ServerConfStore(tmp_path / "serverconf.sqlite")
    made.initialise(ServerId("MX", "GOB", "1", "SS1"), b"anchor")
    yield made
    made.close()


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


@pytest.mark.parametrize(("name", "text"), [("w.toml", TOML), ("w.yaml", YAML)])
def test_second_apply_changes_nothing(store: ServerConfStore, tmp_path: Path, name: str, text: str) -> None:
    file = written(tmp_path, name, text)
    shown = apply_file(store, file, NOW, dry_run=True)
    assert "+ timestamping TSA at http://127.0.0.1:9/tsa" in shown
    assert store.view.timestamping.all() == ()
    assert apply_file(store, file, NOW) == shown
    generation = store.generation()
    assert apply_file(store, file, NOW) == []
    assert store.generation() == generation


def test_yaml_and_toml_ask_for_the_same(store: ServerConfStore, tmp_path: Path) -> None:
    apply_file(store, written(tmp_path, "w.toml", TOML), NOW)
    assert apply_file(store, written(tmp_path, "w.yml", YAML), NOW) == []


def test_file_without_timestamping_leaves_it_and_an_empty_list_ends_it(
    store: ServerConfStore, tmp_path: Path
) -> None:
    apply_file(store, written(tmp_path, "w.toml", TOML), NOW)
    silent = TOML[: TOML.index("[[timestamping]]")]
    assert apply_file(store, written(tmp_path, "silent.toml", silent), NOW) == []
    assert len(store.view.timestamping.all()) == 1
    ended = written(tmp_path, "none.yaml", YAML[: YAML.index("timestamping:")] + "timestamping: []\n")
    assert apply_file(store, ended, NOW) == ["- timestamping TSA at http://127.0.0.1:9/tsa"]
    assert store.view.timestamping.all() == ()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("w.yaml", "client: [}"),
        ("w.yaml", "client: 5"),
        ("w.yaml", "!!python/object/apply:os.system ['true']"),
        ("w.toml", 'timestamping = [{name = "T", url = "u"}, {name = "T", url = "u"}]'),
        ("w.toml", "unknown = 1"),
    ],
)
def test_file_that_is_not_understood_changes_nothing(
    store: ServerConfStore, tmp_path: Path, name: str, text: str
) -> None:
    generation = store.generation()
    with pytest.raises(OperatorError):
        apply_file(store, written(tmp_path, name, text), NOW)
    assert store.generation() == generation


def test_what_somebody_else_changed_while_the_file_was_compared_is_not_undone(
    store: ServerConfStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an administrator does at a page, or another `apply`: keys made for the file take seconds."""
    load = store.load

    def load_and_change() -> ServerConf:
        found = load()
        store.replace_anchor(b"of somebody else")
        return found

    monkeypatch.setattr(store, "load", load_and_change)
    with pytest.raises(OperatorError, match="changed by somebody else"):
        apply_file(store, written(tmp_path, "w.toml", TOML), NOW)
    assert store.view.timestamping.all() == ()
    assert store.anchor() == b"of somebody else"
    monkeypatch.undo()
    assert apply_file(store, written(tmp_path, "w.toml", TOML), NOW)
