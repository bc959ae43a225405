"""Whatever a stranger wrote, a line of a log stays one line, says the same, and steers no terminal and no reader's eye.

Each way to write lines is tried with every character that no text may hold: the log in JSON, its file, the audit log and what a
collector gets of it, mail, metrics, and what commands print.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import socket
import unicodedata
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from schemas.names import unsuitable_characters
from schemas.showing import shown, shown_json
from serving.api.metrics import Gauge, Metrics
from serving.config.logsettings import LogStreamSettings
from serving.printable import escape_controls, safe_stream
from serving.process.telemetry import AUDIT_RECORDS, configure
from serving.storage.audit import AUDIT_STEP, AuditEntry, AuditLog
from serving.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
CONTROLS = [chr(c) for c in range(0x110000) if unsuitable_characters(chr(c))]
# What whoever reads lines would take for the next one, an order to the terminal, or a text in another order.
FORGED = (
    'x\n{"level":"info","message":"login of ana"}',
    "x\r\nJan  1 00:00:00 centre sshd: accepted",
    "x\x85y\u2028z\u2029w\x0bv\x0cu",
    "\x1b[2J\x1b]0;title\x07\x9b31m\x90q",
    "invoice\u202egpj.exe\u2066\u2069",
    'x", "level":"critical", "y":"',
    "%s %d %(name)s {0} $HOME `id`",
    "<134>1 2026-01-01T00:00:00Z h sacbe 1 audit - {}",
    "half \ud800 a pair \udfff",
    "hidden\u200b\ufeff\u00ad\U000e0041",
    "\x00",
)
# Apart, so that halves of a pair stay halves; of thousands that show nothing some.
TEXTS = (*FORGED, "x".join((*CONTROLS[:120], *CONTROLS[120::40])))


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    root, records = logging.getLogger(), logging.getLogger(AUDIT_RECORDS)
    kept = (root.handlers[:], root.level, records.handlers[:])
    yield
    for handler in (*root.handlers, *records.handlers):
        if handler not in (*kept[0], *kept[2]):
            handler.close()
    root.handlers[:], records.handlers[:] = kept[0], kept[2]
    root.setLevel(kept[1])


def steering(text: str, meant: str = "") -> set[str]:
    """The characters of a text that steer or hide, but those that the writer means."""
    return {
        c for c in text if c not in meant and (unsuitable_characters(c) or unicodedata.category(c) == "Cc")
    }


def one_line(written: str) -> str:
    """What was written, which is one line that steers nothing."""
    assert written.endswith("\n")
    line = written[:-1]
    assert steering(line) == set()
    assert len(line.splitlines()) == 1
    return line


@pytest.mark.parametrize("text", TEXTS)
def test_a_line_of_the_log_is_one_object_whatever_is_in_it(text: str, tmp_path: Path) -> None:
    stream, file = io.StringIO(), tmp_path / "a.log"
    configure("info", stream, LogStreamSettings(file=str(file)))

    class Strange:
        def __str__(self) -> str:
            return text

    log = logging.getLogger("t")
    try:
        raise ValueError(text)
    except ValueError:
        log.exception(
            "went wrong: %s",
            text,
            extra={
                "reason": text,
                text or "x": 1,
                "nested": {text: [text, (text, Strange())]},
                "one": Strange(),
            },
        )
    line = one_line(stream.getvalue())
    assert one_line(file.read_text()) == line
    found = json.loads(line)
    assert found["level"] == "error"
    assert found["reason"] == found["one"] == escape_controls(text)
    assert found["message"] == f"went wrong: {escape_controls(text)}"
    assert escape_controls(text).splitlines()[0] in found["exception"]


@pytest.mark.parametrize("text", TEXTS)
def test_an_audit_record_says_the_same_in_one_line_to_whoever_reads_it(text: str, tmp_path: Path) -> None:
    database = Database(tmp_path / "audit.sqlite", (AUDIT_STEP,))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.bind(("127.0.0.1", 0))
        collector.settimeout(30)
        where = f"127.0.0.1:{collector.getsockname()[1]}"
        configure("info", io.StringIO(), LogStreamSettings(audit_syslog=where))
        log = AuditLog(database)
        entry = AuditEntry(NOW, text, text, "ADD_USER", "done", f"POST /{text}", {text: text}, (text, text))
        number = log.append(entry)
        told = collector.recv(1 << 20).decode()
    log.verify()
    ((_, kept, _),) = log.records()
    database.close()
    assert number == 1
    assert steering(kept) == set() and steering(told) == set()
    said = text.encode("utf-8", "backslashreplace").decode()
    record = json.loads(kept)
    assert (record["who"], record["detail"], record["changes"]) == (said, {said: said}, [said, said])
    assert re.match(r"<\d+>1 [-0-9T:.]+Z \S+ sacbe \d+ audit - \{", told)
    assert json.loads(told[told.index("{") :])["record"] == record


@pytest.mark.parametrize("text", TEXTS)
def test_what_a_command_shows_of_a_stranger_steers_nothing(text: str) -> None:
    raw = io.BytesIO()
    terminal = io.TextIOWrapper(raw, encoding="utf-8")  # kept: it closes what it wraps when it goes
    stream = safe_stream(terminal)
    stream.write(f"member {text}\n")
    stream.flush()
    assert steering(raw.getvalue().decode(), "\t\n") == set()
    assert steering(shown(text, 10**6)) == set()
    assert steering(shown_json({text: [text]})) == set()
    assert json.loads(shown_json({"a": text})) == {"a": text}


@pytest.mark.parametrize("text", TEXTS)
def test_a_figure_s_labels_are_one_line(text: str) -> None:
    async def read() -> Iterable[Gauge]:
        return [Gauge("thing", "A thing", (({"name": text}, 1.0),))]

    rendered = asyncio.run(Metrics("gateway", read).render()).decode()
    lines = [line for line in rendered.split("\n") if line.startswith("sacbe_thing")]
    assert len(lines) == 1
    assert re.fullmatch(r'sacbe_thing\{name="(?:[^"\\]|\\.)*"\} 1\.0', lines[0])
    assert steering(rendered, "\t\n") == set()
