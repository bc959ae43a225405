"""Evidence outlives upgrades: a message log of every version there was is brought up to date, and all in it still proves."""

from __future__ import annotations

import io
import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest

from certs.verify.container import Verdict, verify_container
from gateway.messagelog.export import write_record
from gateway.messagelog.record import FIRST_CHAIN_VALUE, chain_value
from gateway.messagelog.rows import DIGESTED
from gateway.messagelog.steps import DATABASE, STEPS
from gateway.messagelog.store import MessageLog
from schemas.transparency.records import record_digest
from serving.storage.database import apply_steps, connect
from tests import worlds
from tests.logs import append_signed, open_log, stamp_alone

if TYPE_CHECKING:
    from pathlib import Path

# From this step on records are sealed; before it a message, its bodies and their files were clear.
FIRST_SEALED = 3
SIZES = {"q10": 10, "q900": 900, "q100000": 100_000}


def rows_of(database: sqlite3.Connection, table: str) -> list[dict[str, object]]:
    found = database.execute(f"SELECT * FROM {table}")
    names = [d[0] for d in found.description]
    return [dict(zip(names, row, strict=True)) for row in found.fetchall()]


def written_by(step: int, log: MessageLog, source: Path, target: Path) -> None:
    """What is in ``source`` as a version of ``step`` steps wrote it, in ``target``; ``log`` is open on ``source``."""
    target.mkdir()
    shutil.copytree(source / "bodies", target / "bodies")
    old = sqlite3.connect(source / DATABASE)
    made = connect(target / DATABASE)
    apply_steps(made, STEPS[:step])
    for (table,) in made.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        if table == "step":
            continue
        known = {row[1] for row in made.execute(f"PRAGMA table_info({table})").fetchall()}
        for row in rows_of(old, table):
            if step < FIRST_SEALED:
                open_row(table, row, log, target)
            kept = {name: value for name, value in row.items() if name in known}
            marks = ", ".join("?" * len(kept))
            made.execute(f"INSERT INTO {table} ({', '.join(kept)}) VALUES ({marks})", list(kept.values()))
    if step < FIRST_SEALED:
        chain_anew(made)
    made.close()
    old.close()


def open_row(table: str, row: dict[str, object], log: MessageLog, target: Path) -> None:
    """A row as it was before anything was sealed."""
    if table == "record":
        row["message"] = log.reader.open_message(log.reader.record(int(str(row["id"]))))
    if table == "attachment":
        record = log.reader.record(int(str(row["record_id"])))
        attachment = record.attachments[int(str(row["number"])) - 1]
        body = b"".join(log.reader.open_body(record, attachment))
        if row["file_name"] is None:
            row["content"] = body
        else:
            (target / "bodies" / str(row["file_name"])).unlink()
            row["file_name"] = f"b{row['record_id']}-q"
            (target / "bodies" / str(row["file_name"])).write_bytes(body)


def chain_anew(made: sqlite3.Connection) -> None:
    """The chain as it was: over the message itself, and its bodies' digests."""
    chain = FIRST_CHAIN_VALUE
    for number, *row in made.execute(f"SELECT id, {DIGESTED} FROM record ORDER BY id").fetchall():
        bodies = made.execute("SELECT digest FROM attachment WHERE record_id = ? ORDER BY number", (number,))
        chain = chain_value(chain, record_digest([*row, *(digest for (digest,) in bodies.fetchall())]))
        made.execute("UPDATE record SET chain = ? WHERE id = ?", (chain, number))


def verdict_of(log: MessageLog, number: int) -> Verdict:
    out = io.BytesIO()
    write_record(out, log.reader.record(number), log.reader)
    out.seek(0)
    return verify_container(out, worlds.world().configuration)


@pytest.mark.parametrize("step", range(1, len(STEPS) + 1))
async def test_evidence_of_every_version_still_proves_after_the_upgrade(step: int, tmp_path: Path) -> None:
    log = open_log(tmp_path / "new")
    ids = [await append_signed(log, tmp_path, size=n, message_id=name) for name, n in SIZES.items()]
    await stamp_alone(log, *ids)
    written_by(step, log, tmp_path / "new", tmp_path / "log")
    await log.close()
    if step >= FIRST_SEALED:
        shutil.copytree(tmp_path / "new-keys", tmp_path / "log-keys")
    upgraded = open_log(tmp_path / "log")
    assert await upgraded.verify_chain() is None
    for number in ids:
        verdict = verdict_of(upgraded, number)
        assert verdict.is_valid, (step, number, verdict)
    # What comes after is chained to what was there.
    (new,) = [await append_signed(upgraded, tmp_path, size=50, message_id="after")]
    await stamp_alone(upgraded, new)
    assert verdict_of(upgraded, new).is_valid
    assert await upgraded.verify_chain() is None
    await upgraded.close()
    left = b"".join(f.read_bytes() for f in (tmp_path / "log").rglob("*") if f.is_file())
    assert b"x" * 900 not in left  # sealed on the way, to the last byte
