"""Every mutation of a log, in its database, its tiles and its archives, is found and its record named, by a third party."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from gateway.transparency.builder import declare_restored
from gateway.transparency.verification import Difference
from schemas.faults import Fault
from schemas.transparency.entries import parse_first_entry
from tests.logs import NOW, open_log
from tests.mutations import (
    IN_ARCHIVES,
    IN_DATABASE,
    IN_TILES,
    KEY,
    Books,
    archives_changed,
    rechain,
    verify,
)
from tests.mutationtable import Tally, append, make_log, run

RECORDS, EARLIER = 520, 400
PLACES = (7, 256)


@pytest.fixture(scope="module", params=[False, True], ids=["before stamping", "after stamping"])
def original(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Books, bytes, bytes]:
    folder = tmp_path_factory.mktemp("books") / "log"
    folder.mkdir()
    earlier, last = asyncio.run(make_log(folder, RECORDS, EARLIER, is_stamped=request.param))
    return Books(folder), earlier, last


@pytest.fixture
def copied(original: tuple[Books, bytes, bytes], tmp_path: Path) -> tuple[Books, bytes]:
    books, earlier, _ = original
    return books.copy(tmp_path / "log"), earlier


def first(differences: tuple[Difference, ...]) -> tuple[str, int]:
    assert differences
    return differences[0].what, differences[0].record


def test_a_log_that_nobody_touched_is_whole(original: tuple[Books, bytes, bytes]) -> None:
    books, earlier, last = original
    found = verify(books, earlier, last, mirror=books, containers=books.containers())
    assert found.differences == ()
    assert (found.records, found.removed, found.waiting, found.containers) == (RECORDS, 0, 0, RECORDS)
    assert found.first_at == found.last_at == NOW


@pytest.mark.parametrize("n", PLACES)
@pytest.mark.parametrize("is_careful", [False, True], ids=["", "with a new chain"])
@pytest.mark.parametrize("what", IN_DATABASE)
def test_a_change_in_the_database_is_located(
    what: str, is_careful: bool, n: int, copied: tuple[Books, bytes]
) -> None:
    books, earlier = copied
    with books.changing() as connection:
        IN_DATABASE[what](connection, n)
        if is_careful:
            rechain(connection)
    kind, record = first(verify(books, earlier).differences)
    assert record == n
    assert kind == what.split("_", maxsplit=1)[0].replace("insert", "inserted").replace(
        "reorder", "reordered"
    ).replace("delete", "deleted").replace("edit", "edited").replace("truncate", "truncated")


@pytest.mark.parametrize("n", PLACES)
@pytest.mark.parametrize("what", IN_TILES)
def test_a_change_in_the_tiles_is_located(what: str, n: int, copied: tuple[Books, bytes]) -> None:
    books, earlier = copied
    if n % 256 == 255 and what == "reorder_entries":
        n -= 1
    IN_TILES[what](books, n)
    if what == "delete_entry" and n % 256 == 255:  # the last of a bundle: nothing moved
        assert verify(books, earlier).is_whole
        return
    assert first(verify(books, earlier).differences)[1] == n


@pytest.mark.parametrize("n", PLACES)
@pytest.mark.parametrize("what", IN_ARCHIVES)
def test_a_change_in_the_archives_is_located(what: str, n: int, original: tuple[Books, bytes, bytes]) -> None:
    books, earlier, _ = original
    shown = archives_changed(what, books.containers(), n)
    assert first(verify(books, earlier, containers=shown).differences)[1] == n


def rebuilt(books: Books) -> None:
    """The transparency log made anew from the message log as it is, with the log's own key."""
    shutil.rmtree(books.files.folder)
    books.builder().catch_up()


@pytest.mark.parametrize("n", PLACES)
@pytest.mark.parametrize("what", IN_DATABASE)
def test_a_log_built_anew_is_found_by_a_checkpoint_and_located_by_kept_tiles(
    what: str, n: int, copied: tuple[Books, bytes], original: tuple[Books, bytes, bytes]
) -> None:
    books, earlier = copied
    with books.changing() as connection:
        IN_DATABASE[what](connection, n)
        if what == "delete":
            connection.execute("UPDATE record SET id = id - 1 WHERE id > ?", (n,))
        rechain(connection)
    rebuilt(books)
    assert verify(books).is_whole  # by itself it cannot be told
    assert not verify(books, earlier).is_whole
    # Salts follow from the log's key and the record, so entries before the first changed record are as they were.
    located = verify(books, earlier, mirror=original[0]).differences
    assert min(d.record for d in located if d.record) == n
    assert {d.what for d in located} <= {"rebuilt", "rolled back"}


def test_a_truncated_a_cloned_and_a_re_begun_log_are_found(
    original: tuple[Books, bytes, bytes], copied: tuple[Books, bytes], tmp_path: Path
) -> None:
    whole, earlier, last = original
    books, _ = copied
    # Rolled back: an old copy of everything, whole by itself.
    with books.changing() as connection:
        IN_DATABASE["truncate"](connection, 451)
    rebuilt(books)
    assert verify(books).is_whole
    assert first(verify(books, last).differences) == ("rolled back", 451)
    # Cloned: both copies go on from the same point; whoever has seen one is not fooled by the other.
    clone = whole.copy(tmp_path / "clone")
    shutil.copytree(whole.folder.with_name("log-keys"), tmp_path / "clone-keys")
    asyncio.run(go_on(clone, RECORDS + 1))
    twin = whole.copy(tmp_path / "twin")
    shutil.copytree(whole.folder.with_name("log-keys"), tmp_path / "twin-keys")
    asyncio.run(go_on(twin, RECORDS + 50))
    assert verify(clone, earlier, last).is_whole
    found = verify(twin, clone.cosigned().render())
    assert found.differences[0].what == "forked"
    assert first(verify(twin, mirror=clone).differences) == ("rebuilt", RECORDS + 1)
    # Begun anew, records and all.
    fresh = Books(tmp_path / "fresh")
    asyncio.run(go_on(fresh, 1))
    assert not verify(fresh, earlier).is_whole


async def go_on(books: Books, number: int) -> None:
    log = open_log(books.folder)
    await append(log, number, number + 9)
    books.builder().catch_up()
    await log.close()


def test_a_removed_checkpoint_is_found(copied: tuple[Books, bytes]) -> None:
    books, earlier = copied
    (books.files.folder / "checkpoint").unlink()
    assert verify(books, earlier).differences[0].what == "missing"


@pytest.mark.parametrize("what", ["truncate", "edit"])
def test_the_builder_does_not_sign_for_a_message_log_that_went_back(
    what: str, copied: tuple[Books, bytes]
) -> None:
    books, _ = copied
    with books.changing() as connection:
        IN_DATABASE[what](connection, RECORDS)
    before = books.files.read_checkpoint()
    with pytest.raises(Fault, match="log declare"):
        books.builder().catch_up()
    assert books.files.read_checkpoint() == before


def test_a_restored_copy_declares_itself_and_goes_on(copied: tuple[Books, bytes], tmp_path: Path) -> None:
    books, _ = copied
    with books.changing() as connection:
        IN_DATABASE["truncate"](connection, 451)
    declare_restored(books.files, KEY, 451, "restored from the copy of 2 January", RECORDS + 1, NOW)
    books.builder().catch_up()
    declared = parse_first_entry(next(iter(books.files.entries(1))))
    assert (declared.first, declared.previous_size, declared.lost_after) == (451, RECORDS + 1, RECORDS + 1)
    note = books.files.read_checkpoint()
    assert note is not None
    assert note.text.startswith("MX/GOB/A/SS1/log/2\n1\n")


def test_the_table_of_mutations_names_every_record_and_says_when_one_was_not_found(tmp_path: Path) -> None:
    tally = Tally()
    # One before the earlier checkpoint (216 records), one after it.
    run(tmp_path, 270, [20, 257], tally, is_stamped=False)
    assert tally.is_whole(), tally.render()
    assert len(tally.made) == 3 * len(IN_DATABASE) + len(IN_TILES) + len(IN_ARCHIVES)
    assert tally.render().count("\n| database: ") == 2 * len(IN_DATABASE)
    tally.made["database: delete, before stamping"] += 1
    assert not tally.is_whole()
