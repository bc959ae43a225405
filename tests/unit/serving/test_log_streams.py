"""Where log lines go and how much of each area; audit records on their way to a collector."""

from __future__ import annotations

import io
import json
import logging
import re
import socket
import stat
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from serving.config.logsettings import LogStreamSettings
from serving.errors import OperatorError
from serving.process.telemetry import AUDIT_RECORDS, configure, set_levels
from serving.storage.audit import AUDIT_STEP, AuditEntry, AuditLog
from serving.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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


def lines(stream: io.StringIO) -> list[tuple[str, str]]:
    return [(line["area"], line["message"]) for line in map(json.loads, stream.getvalue().splitlines())]


@pytest.mark.xroad("F142")
def test_single_areas_write_more_or_less_than_the_rest_and_again_as_the_rest() -> None:
    stream, chosen = io.StringIO(), LogStreamSettings(levels=("t.peers=debug", "t.loud=error"))
    configure("info", stream, chosen)
    for area in ("t.peers", "t.peers.one", "t.loud", "t.other"):
        logging.getLogger(area).debug("d")
        logging.getLogger(area).info("i")
    assert lines(stream) == [
        ("t.peers", "d"), ("t.peers", "i"), ("t.peers.one", "d"), ("t.peers.one", "i"), ("t.other", "i"),
    ]  # fmt: skip
    stream.truncate(0)
    stream.seek(0)
    set_levels("warning", LogStreamSettings(), chosen)
    for area in ("t.peers", "t.loud", "t.other"):
        logging.getLogger(area).info("i")
        logging.getLogger(area).warning("w")
    assert lines(stream) == [("t.peers", "w"), ("t.loud", "w"), ("t.other", "w")]


@pytest.mark.parametrize("text", ["", "gateway", "gateway=", "=debug", "gateway=loud"])
def test_a_level_that_is_none_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(OperatorError, match=r"logging\.levels"):
        LogStreamSettings(levels=(text,)).area_levels()


@pytest.mark.xroad("F142")
def test_a_file_is_put_aside_when_it_has_grown_and_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / "gateway.log"
    configure("info", io.StringIO(), LogStreamSettings(file=str(file), file_bytes=4096, files_kept=2))
    for number in range(200):
        logging.getLogger("t").info("a line of some length, number %d", number)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["gateway.log", "gateway.log.1", "gateway.log.2"]
    assert all(stat.S_IMODE(p.stat().st_mode) == 0o600 for p in tmp_path.iterdir())
    assert json.loads(file.read_text().splitlines()[-1])["message"].endswith("number 199")


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[AuditLog]:
    database = Database(tmp_path / "audit.sqlite", (AUDIT_STEP,))
    yield AuditLog(database)
    database.close()


def entry(event: str) -> AuditEntry:
    at = datetime(2026, 3, 1, 12, tzinfo=UTC)
    return AuditEntry(at, "ana", "10.0.0.1", event, "done", detail={"50 %": "ñ"})


@pytest.mark.xroad("F137")
def test_every_audit_record_reaches_the_collector_whole_with_its_place_in_the_chain(audit: AuditLog) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as collector:
        collector.bind(("127.0.0.1", 0))
        collector.settimeout(10)
        port = collector.getsockname()[1]
        configure("info", stream := io.StringIO(), LogStreamSettings(audit_syslog=f"127.0.0.1:{port}"))
        audit.append(entry("ADD_CLIENT"))
        audit.append(entry("LOGOUT"))
        came = [collector.recv(65536).decode() for _ in range(2)]
    # local0 (16), informational (6)
    found = re.fullmatch(r"<134>1 \S+T\S+Z \S+ sacbe \d+ audit - (\{.*\})", came[0])
    assert found is not None
    assert [json.loads(c.partition("audit - ")[2])["number"] for c in came] == [1, 2]
    told = json.loads(found[1])
    assert (told["record"]["event"], told["record"]["detail"]) == ("ADD_CLIENT", {"50 %": "ñ"})
    assert json.loads(came[1].partition("audit - ")[2])["head"] == audit.head()
    # The log stream has the heads, as ever, and not the records.
    assert [m for _, m in lines(stream)] == ["ADD_CLIENT done by ana", "LOGOUT done by ana"]


@pytest.mark.xroad("F137")
def test_a_collector_that_is_gone_is_told_of_and_costs_no_change(audit: AuditLog, tmp_path: Path) -> None:
    where = str(tmp_path / "log.sock")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as collector:
        collector.bind(where)
        configure("info", stream := io.StringIO(), LogStreamSettings(audit_syslog=where))
        audit.append(entry("ADD_CLIENT"))
        assert b"ADD_CLIENT" in collector.recv(65536)
    (tmp_path / "log.sock").unlink()
    assert audit.append(entry("LOGOUT")) == 2
    assert ("logging", "audit record not forwarded") in lines(stream)
    assert audit.verify()[0] == 2
