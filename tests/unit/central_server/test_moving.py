"""A central server moved to PostgreSQL and back, made several nodes, and recovered: by the commands that the documentation names."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shlex
import shutil
import sqlite3
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import argon2
import pytest
from click.testing import CliRunner

from central_server.cli.folder import open_node, read_settings
from central_server.cli.main import main
from central_server.cli.serving import check_start
from central_server.publication.node import open_store
from central_server.store import sources
from central_server.store.loading import import_registry
from central_server.store.members import rename_client
from central_server.store.moving import PARTS, move_central
from central_server.store.records import Actor, CentralStore
from certs.configuration import verify_directory
from schemas.globalconf.anchor import parse_anchor
from schemas.globalconf.parts import SHARED_ID
from serving.config import nodetable
from serving.errors import OperatorError
from serving.login.users import Logins
from serving.storage import moving as copying
from serving.storage import nodes as shared_nodes
from serving.storage.audit import AuditLog
from serving.storage.moving import MOVED
from tests.instance import Instance
from tests.killing import kill_at
from tests.paths import PROJECT
from tests.postgres import BINARIES
from tests.programs import need

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres import Cluster

pytestmark = pytest.mark.processes
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ANA = Actor("ana")
QUICK = argon2.PasswordHasher(1, 8, 1)
PIN = "Secret1234"
PAGES = (("central-server.md", "servidor-central.md"), ("recovery.md", "recuperar.md"))


def procedures(page: str) -> list[list[str]]:
    """The numbered commands of each section of a page that has some."""
    text = (PROJECT / "docs" / page).read_text(encoding="utf-8")
    sections = [
        re.findall(r"^ {4}(\S.*?) +# \d+$", part, re.MULTILINE) for part in re.split(r"(?m)^##+ ", text)
    ]
    return [section for section in sections if section]


def test_both_languages_name_the_same_commands() -> None:
    for english, spanish in PAGES:
        assert procedures(english) == procedures(spanish)
        assert procedures(english)


def run(folder: Path, command: str, status: int = 0) -> str:
    """What a command of a page says, run in a folder: its own programs in this process, others as they are."""
    words = shlex.split(command)
    if words[0] != "central-server":
        words[0] = need(words[0], package="postgresql-client", beside=BINARIES)
        subprocess.run(words, cwd=folder, check=True)
        return ""
    with contextlib.chdir(folder):
        done = CliRunner().invoke(main, words[1:], env={"SACBE_LANG": "en"})
    assert done.exit_code == status, done.output
    return done.output


def write_secret(file: Path, text: str) -> None:
    file.touch(mode=0o600)
    file.write_text(text)


def make_central(folder: Path, instance: Instance) -> Path:
    """A stopped central server with a registry, an administrator and a published configuration."""
    data = folder / "central"
    write_secret(folder / "pin", PIN)
    run(folder, "central-server init --data central --pin-file pin --kind ec-p256")
    store = CentralStore(data / "central.sqlite")
    with store.change(ANA, NOW) as records:
        import_registry(records, instance.registry())
        sources.set_node_address(records, "cs.example")
    store.close()
    logins = Logins(data / "admin.sqlite", QUICK)
    logins.save_user("ana", "secret", ["XROAD_SECURITY_OFFICER"])
    logins.close()
    run(folder, "central-server key add internal --data central --pin-file pin --kind ec-p256")
    (data / "settings.toml").write_text('[publishing]\nkey_kind = "ec-p256"\n')
    return data


@pytest.fixture
def instance(tmp_path: Path) -> Instance:
    return Instance(tmp_path, NOW)


@pytest.fixture
def central(tmp_path: Path, instance: Instance) -> Path:
    return make_central(tmp_path, instance)


def anchor_of(data: Path) -> bytes:
    """The anchor of the instance's own configuration, as a node of the folder hands it out."""
    with contextlib.closing(open_store(data, read_settings(data, None))) as store:
        found = sources.source_anchor(store.read(), "internal")
    assert found is not None
    return found[0]


def publish(data: Path, pin: str, anchor: bytes) -> bytes:
    """What a node of the folder publishes now as shared parameters, proved by an anchor."""

    async def published() -> bytes:
        async with open_node(data, None) as node:
            await node.keys.log_in(pin, ANA, NOW)
            assert await node.publish_if_due(NOW), node.problem
            current = node.published.current
            assert current is not None
            trusted = [c for s in parse_anchor(anchor).sources for c in s.verification_certificates]
            directory = verify_directory(current.directories["internal", 6], trusted, NOW)
            assert SHARED_ID in {part.content_id for part in directory.parts}
            return next(p.content for p in current.parts[6] if p.content_id == SHARED_ID)

    return asyncio.run(published())


@pytest.mark.xroad("F008")
def test_a_moved_central_server_has_everything_and_publishes_under_its_anchor(
    central: Path, postgres: Cluster
) -> None:
    there, anchor = postgres.new_database(), anchor_of(central)
    before = publish(central, PIN, anchor)
    said = run(central.parent, f"central-server storage move --data central --to '{there}'")
    assert "registry, audit log of" in said
    for part in PARTS:
        assert not (central / part.path).exists()
        assert (central / (part.path + MOVED)).exists()
    assert (anchor_of(central), publish(central, PIN, anchor)) == (anchor, before)
    logins = Logins(there, QUICK)
    assert logins.verify_password("ana", "secret") is not None
    logins.close()
    # Commands without --settings find the database, and make no file beside it.
    assert "internal" in run(central.parent, "central-server key list --data central")
    assert not (central / "central.sqlite").exists()
    with contextlib.closing(CentralStore(there)) as store:
        AuditLog(store.database).verify()
        with store.change(ANA, NOW) as records:  # numbers that the database gives go on after those copied
            ((certificate,),) = records.rows("SELECT certificate FROM tsa")
            records.insert("tsa", name="t", url="http://tsa", certificate=certificate)
    run(central.parent, "central-server storage move --data central --to sqlite")
    assert publish(central, PIN, anchor) != before
    (central / "settings.toml").write_text(f'[node]\ndatabase = "{there}"\n')
    with pytest.raises(OperatorError, match="was moved away from the database"):
        list(check_start(central, read_settings(central, None), None))


@pytest.mark.xroad("F008")
def test_a_move_that_was_stopped_anywhere_goes_on_with_the_same_command(
    central: Path, postgres: Cluster
) -> None:
    there = postgres.new_database()
    whole = len(list(move_central(central, "", postgres.new_database())))
    for stopped_after in range(1, whole - len(PARTS) + 1, 7):
        moving = move_central(central, "", there)
        for _ in range(stopped_after):
            next(moving)
        moving.close()
    assert len(list(move_central(central, "", there))) == whole
    # Copied whole, and stopped before the settings named it: the copy is compared, and taken.
    run(central.parent, f"central-server storage move --data central --to '{there}'")
    # Stopped before the files had their other names: nodes that ran meanwhile went on from what is here.
    for part in PARTS:
        (central / (part.path + MOVED)).rename(central / part.path)
    run(central.parent, f"central-server storage move --data central --to '{there}'")
    assert not (central / "central.sqlite").exists()


# Where a move is killed, one after the other: in the middle of copying, and before and after each thing that is on the disk from then on.
THERE = (
    (copying, "_copy_anew", 3, False),
    (copying, "_continue", 1, True),
    (nodetable, "name_database", 1, False),
    (nodetable, "name_database", 1, True),
    (copying, "put_aside", 1, False),
    (copying, "put_aside", 1, True),
    (copying, "put_aside", 1, False),
)
BACK = (
    (copying, "_copy_anew", 3, False),
    (copying, "_continue", 1, True),
    (shared_nodes, "note_moved", 1, False),
    (shared_nodes, "note_moved", 1, True),
    (nodetable, "forget_database", 1, False),
)


def test_a_move_killed_at_each_of_its_steps_goes_on_with_the_same_command(
    central: Path, postgres: Cluster
) -> None:
    there, anchor = postgres.new_database(), anchor_of(central)
    with sqlite3.connect(central / "admin.sqlite") as database:
        users = database.execute("SELECT * FROM admin_user").fetchall()
    database.close()
    assert users
    for to, steps in ((there, THERE), ("sqlite", BACK)):
        command = f"central-server storage move --data central --to '{to}'"
        for owner, name, nth, after in steps:
            kill_at(lambda command=command: run(central.parent, command), owner, name, nth, after=after)  # type: ignore[misc]
            assert anchor_of(central) == anchor, (
                name,
                after,
            )  # wherever its settings say, the server is whole
        run(central.parent, command)
        assert anchor_of(central) == anchor
        publish(central, PIN, anchor)
        # What is in force has the users, and what was put aside is what was there.
        aside = "" if to == "sqlite" else MOVED
        with sqlite3.connect(central / f"admin.sqlite{aside}") as database:
            assert database.execute("SELECT * FROM admin_user").fetchall() == users
        database.close()
        with contextlib.closing(Logins(there if aside else central / "admin.sqlite", QUICK)) as logins:
            assert logins.verify_password("ana", "secret") is not None


@pytest.mark.xroad("F008")
def test_a_target_that_differs_or_is_another_server_is_refused_and_nothing_is_switched(
    central: Path, postgres: Cluster
) -> None:
    there = postgres.new_database()
    list(move_central(central, "", there))
    with contextlib.closing(CentralStore(there)) as store, store.database.transaction() as sql:
        sql.execute("UPDATE member_class SET description = 'other'")
    with pytest.raises(OperatorError, match="the copy of the table member_class is not what was copied"):
        list(move_central(central, "", there))
    other = postgres.new_database()
    with contextlib.closing(CentralStore(other)) as store, store.change(ANA, NOW) as records:
        records.set_parameter("instance", "OTHER")
        records.note("INIT_CENTRAL_SERVER", "OTHER")
    said = run(central.parent, f"central-server storage move --data central --to '{other}'", status=1)
    assert "holds another central server" in said
    assert (central / "central.sqlite").exists()
    assert "database" not in (central / "settings.toml").read_text()


@pytest.fixture
def nodes(central: Path, postgres: Cluster) -> Iterator[tuple[Path, str]]:
    """The folder where two nodes were made of one by the page's commands, and their database."""
    folder, there = central.parent, postgres.new_database()
    write_secret(folder / "passphrase", "a long passphrase of the night")
    ((move, *rest),) = procedures(PAGES[0][0])
    run(folder, move.replace("postgresql://sacbe@db.example/sacbe", f"'{there}'"))
    new_folder(central, folder / "central2", "node_1")
    said = [run(folder, command) for command in rest]
    assert [line.split()[:2] for line in said[-1].splitlines()] == [
        ["node_0", "cs.example"],
        ["node_1", "cs2.example"],
    ]
    yield folder, there


def new_folder(of: Path, folder: Path, name: str) -> None:
    """A further node's folder as the page says: the first one's settings, with a name of its own."""
    folder.mkdir(mode=0o700)
    settings = (of / "settings.toml").read_text()
    assert "[node]\n" in settings
    (folder / "settings.toml").write_text(settings.replace("[node]\n", f'[node]\nname = "{name}"\n'))


def pin_in(folder: Path, name: str) -> str:
    return (folder / name).read_text().strip()


@pytest.mark.xroad("F152", "F154")
def test_a_server_alone_becomes_two_nodes_by_the_commands_of_the_page(nodes: tuple[Path, str]) -> None:
    folder, _ = nodes
    first, second = folder / "central", folder / "central2"
    anchor = (folder / "anchor.xml").read_bytes()
    assert {s.download_url.split("/")[2] for s in parse_anchor(anchor).sources} == {
        "cs.example",
        "cs2.example",
    }
    assert publish(first, PIN, anchor) == publish(second, pin_in(folder, "pin2"), anchor)
    # Both are there; doing it again changes nothing, and who is not alone does not move back.
    run(folder, procedures(PAGES[0][0])[0][1])
    assert anchor_of(first) == anchor
    said = run(folder, "central-server storage move --data central --to sqlite", status=1)
    assert "node_1" in said
    shutil.rmtree(second / "token")
    said = run(folder, procedures(PAGES[0][0])[0][1], status=1)
    assert "restore its backup here" in said


@pytest.mark.xroad("F153")
def test_lost_nodes_and_a_lost_database_come_back_by_the_commands_of_the_page(
    nodes: tuple[Path, str], postgres: Cluster, instance: Instance
) -> None:
    folder, there = nodes
    first, second, third = (folder / name for name in ("central", "central2", "central3"))
    anchor, pin2 = anchor_of(first), pin_in(folder, "pin2")
    nightly, lost_node, lost_keys, lost_database = procedures(PAGES[1][0])
    for command in nightly:
        run(folder, command.replace("postgresql://sacbe@db.example/sacbe", f"'{there}'"))

    shutil.rmtree(second)  # a node, and its backup is there
    for command in lost_node:
        run(folder, command)
    assert publish(second, pin2, anchor) == publish(first, PIN, anchor)
    assert anchor_of(first) == anchor

    shutil.rmtree(second)  # a node, and there is none
    new_folder(first, third, "node_1")
    for command in lost_keys:
        run(folder, command)
    renewed, pin3 = (folder / "anchor.xml").read_bytes(), pin_in(folder, "pin3")
    hosts = {s.download_url.split("/")[2] for s in parse_anchor(renewed).sources}
    assert hosts == {"cs.example", "cs3.example"}
    assert publish(third, pin3, renewed) == publish(first, PIN, renewed)
    publish(first, PIN, anchor)  # whoever has the old anchor goes on with the node that stayed

    with contextlib.closing(CentralStore(there)) as store, store.change(ANA, NOW) as records:
        rename_client(records, instance.provider.member, "Later than the copy")
    fresh = postgres.new_database()  # the database, and its copy of the night is there
    for command in lost_database:
        run(folder, command.replace("postgresql://sacbe@db2.example/sacbe", f"'{fresh}'"))
    settings = (first / "settings.toml").read_text()
    (first / "settings.toml").write_text(settings.replace(there, fresh))
    assert b"Later than the copy" not in publish(first, PIN, anchor)
    logins = Logins(fresh, QUICK)
    assert logins.verify_password("ana", "secret") is not None
    logins.close()
