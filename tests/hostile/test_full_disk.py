"""A gateway and a central server whose disk is full: nothing is acknowledged without its record, they say so, and go on by themselves.

Every file of a server (databases, bodies, spools, configuration, tiles, archives) is on a small file system of its own, which is
filled to the last byte while the server runs.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import urllib.error
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from benchmarks.federation import Federation, free_base
from tests.integration.calling import Answer, call, until
from tests.integration.pair import consumer, provider, start

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.federation import GatewaySpec

pytestmark = pytest.mark.processes
BASE = free_base()
CONSUMER, PROVIDER = consumer(BASE), provider(BASE)
MOUNT = 'mount -t tmpfs -o size=24m,mode=700 full "$0" && cp -a "$0.whole/." "$0/" && exec "$@"'


def on_small_disk(folder: Path) -> list[str]:
    """A command that starts another in a mount namespace where ``folder`` is a file system of 24 MiB with the same files."""
    folder.rename(folder.with_name(f"{folder.name}.whole"))
    folder.mkdir(mode=0o700)
    return ["unshare", "--mount", "sh", "-c", MOUNT, str(folder)]


@pytest.fixture(scope="module")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root can mount a file system, in a namespace that unshare (util-linux) makes")
    made = Federation(tmp_path_factory.mktemp("full"), [CONSUMER, PROVIDER], base=BASE)
    made.central_environment = {"SACBE_CENTRAL_PUBLISHING_REGENERATE_S": "2"}
    made.set_up()
    made.under = {name: on_small_disk(made.folder / name) for name in (CONSUMER.key, PROVIDER.key, "central")}
    try:
        start(made)
        yield made
    finally:
        made.stop()


def inside(federation: Federation, name: str) -> Path:
    """A server's folder as the server sees it."""
    folder = federation.folder / name
    return type(folder)(f"/proc/{federation.processes[name].pid}/root{folder}")


def fill(folder: Path) -> None:
    """Take every byte that is left, also those that were given back since the last time."""
    with (folder / "ballast").open("ab", buffering=0) as ballast:
        for size in (1 << 20, 4096, 1):
            try:
                while ballast.write(bytes(size)):
                    pass
            except OSError:
                continue


@contextmanager
def full(federation: Federation, name: str) -> Iterator[None]:
    folder = inside(federation, name)
    fill(folder)
    try:
        yield
    finally:
        (folder / "ballast").unlink()


def ask(message_id: str, *, large: bool = False) -> Answer:
    body = b'{"a":1}' * (40_000 if large else 1)
    return call(CONSUMER.address, body=body, headers={"X-Road-Id": message_id})


def recorded(federation: Federation, spec: GatewaySpec, copy: Path) -> set[str]:
    """The messages of which a gateway has request and response, read from a copy: SQLite does not go through ``/proc/PID/root``."""
    copy.mkdir()
    for path in (inside(federation, spec.key) / "log").glob("messages.sqlite*"):
        shutil.copy(path, copy)
    with sqlite3.connect(copy / "messages.sqlite") as log:
        rows = log.execute(
            "SELECT message_id FROM record GROUP BY message_id HAVING count(DISTINCT is_response) = 2"
        )
        return {str(row[0]) for row in rows}


def health(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{address}", timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as err:
        return err.code, err.read().decode()


@pytest.mark.parametrize("spec", [CONSUMER, PROVIDER], ids=["consumer", "provider"])
def test_a_gateway_with_a_full_disk_answers_nothing_without_a_record_and_goes_on_by_itself(
    federation: Federation, spec: GatewaySpec, tmp_path: Path
) -> None:
    until(lambda: ask("before"), lambda a: a.status == 200)
    answers: dict[str, Answer] = {}
    with full(federation, spec.key):
        for number in range(6):
            name = f"{spec.key}-{number}"
            answers[name] = ask(name, large=number % 3 == 0)
            fill(inside(federation, spec.key))
        last = answers[name]
        assert last.code.endswith("logging_failed")
        assert "is full" in last.message and "Free space" in last.message
        status, said = health(f"{spec.address}:5588/")
        assert (status, "the message log cannot be written" in said) == (503, True)
        assert federation.processes[spec.key].poll() is None
    until(lambda: health(f"{spec.address}:5588/")[0], lambda status: status == 200)
    until(lambda: ask("after"), lambda a: a.status == 200)
    given = {name for name, answer in answers.items() if answer.status == 200}
    for gateway in (CONSUMER, PROVIDER):
        assert given | {"after"} <= recorded(federation, gateway, tmp_path / gateway.key)


def test_a_central_server_with_a_full_disk_leaves_what_it_published_and_publishes_again(
    federation: Federation,
) -> None:
    address = f"{federation.central_address}:8080"

    def read() -> bytes:
        with urllib.request.urlopen(f"http://{address}/internalconf", timeout=60) as answer:
            return bytes(answer.read())

    first = until(read, lambda found: found != b"")
    with full(federation, "central"):
        until(lambda: health(f"{address}/health"), lambda h: h[0] == 503 and "No space left" in h[1])
        fill(inside(federation, "central"))
        assert read().startswith(b"Content-Type: multipart/related")
        until(lambda: ask("meanwhile"), lambda a: a.status == 200)
    until(lambda: health(f"{address}/health")[0], lambda status: status == 200)
    until(read, lambda found: found != first)
