"""A description of thousands of services is changed in a process of its own: the same outcome as here, and nothing half done."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest

from gateway.admin import describing
from gateway.admin.describing import LARGE, DescriptionChange, change_description, make_change
from gateway.clients.descriptions.described import DescribedService, ParsedDescription
from gateway.clients.descriptions.reading import COMMAND_LIMITS
from gateway.clients.descriptionwriting import DescriptionContent
from gateway.clients.model import ConnectionType, ServiceType
from gateway.clients.records import Document
from gateway.clients.store import ServerConfStore
from schemas.faults import Fault
from schemas.identifiers import ClientId
from serving.errors import Refused
from serving.process.childprocess import ChildLimits, run_child

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.postgres import Cluster

NOW = datetime(2026, 3, 1, tzinfo=UTC)
OWNER = ClientId("MX", "GOB", "A")
CLIENT = OWNER.subsystem("S")
SERVICES = tuple(DescribedService(f"op{n}", "v1", f"Servicio {n} ñ", "http://h/") for n in range(LARGE + 1))
WSDL = DescriptionContent(
    ServiceType.WSDL,
    "http://h/x.wsdl",
    None,
    NOW,
    ParsedDescription(SERVICES),
    Document(b"<\x00\xff any bytes", "text/xml"),
)
OPENAPI = DescriptionContent(
    ServiceType.OPENAPI3,
    "http://h/x.yaml",
    "api",
    NOW,
    ParsedDescription(
        (DescribedService("", title="t", url="http://h"),), tuple(("GET", f"/a/{n}") for n in range(LARGE))
    ),
    Document(b"openapi", "text/yaml"),
)


@pytest.fixture(
    params=["here", "in a process", pytest.param("over PostgreSQL in a process", marks=pytest.mark.processes)]
)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServerConfStore]:
    where: Path | str = tmp_path / "serverconf.sqlite"
    if request.param.startswith("over"):
        cluster: Cluster = request.getfixturevalue("postgres")
        where = cluster.new_database()
    store = ServerConfStore(where)
    store.initialise(OWNER.server("SS1"), b"anchor", owner_added_at=NOW)
    with store.change() as tables:
        tables.clients.add(CLIENT, ConnectionType.HTTP, NOW)
    yield store
    store.close()


async def change(store: ServerConfStore, made: DescriptionChange, how: str) -> describing.DescriptionChanged:
    return make_change(store, made) if how == "here" else await change_description(store, made)


@pytest.mark.parametrize("content", [WSDL, OPENAPI], ids=["WSDL", "OpenAPI"])
async def test_adding_changing_and_removing_are_the_same_in_a_process(
    store: ServerConfStore, request: pytest.FixtureRequest, content: DescriptionContent
) -> None:
    how = request.node.callspec.params["store"]
    added = await change(store, DescriptionChange(client=CLIENT, content=content), how)
    assert added.shown is not None
    number = int(added.shown.id)
    kept = store.view.descriptions.get(number)
    assert len(added.lines) == len(kept.services) == len(added.shown.services) == len(store.load().services)
    assert store.view.descriptions.document(number) == content.document
    described = content.described
    fewer = msgspec.structs.replace(
        described, services=described.services[:300], operations=described.operations[: LARGE // 2]
    )
    later = msgspec.structs.replace(content, code=None, described=fewer)
    with pytest.raises(Refused) as refused:
        await change(store, DescriptionChange(number=number, content=later), how)
    assert refused.value.code == "warnings_detected"
    assert [w.code for w in refused.value.warnings] == [
        "deleting_services" if content is WSDL else "deleting_endpoints"
    ]
    assert store.view.descriptions.get(number) == kept
    accepted = msgspec.structs.replace(later, ignore_warnings=True)
    changed = await change(store, DescriptionChange(number=number, content=accepted), how)
    assert changed.shown is not None
    assert len(changed.shown.services) == len(fewer.services)
    assert sum(len(s.endpoints) for s in changed.shown.services) == len(fewer.services) + len(
        fewer.operations
    )
    removed = await change(store, DescriptionChange(number=number), how)
    assert removed.shown is None
    assert (store.load().services, store.load().endpoints) == ((), ())
    with pytest.raises(Refused) as missing:
        await change(store, DescriptionChange(number=number, content=later), how)
    assert missing.value.code == "service_description_not_found"


async def test_what_may_be_kept_nowhere_is_refused_with_its_reason_and_changes_nothing(
    store: ServerConfStore, request: pytest.FixtureRequest
) -> None:
    how = request.node.callspec.params["store"]
    bad = (*SERVICES[:-1], msgspec.structs.replace(SERVICES[-1], title="pago\u202e"))
    content = msgspec.structs.replace(WSDL, described=ParsedDescription(bad))
    with pytest.raises(Fault, match=r"U\+202E"):
        await change(store, DescriptionChange(client=CLIENT, content=content), how)
    assert store.load().services == ()


@pytest.mark.parametrize(
    "limits", [ChildLimits(seconds=0.01), ChildLimits(memory_bytes=8 << 20)], ids=["time", "memory"]
)
async def test_a_process_that_goes_past_its_bounds_says_so_and_is_gone(limits: ChildLimits) -> None:
    outcome = await run_child(describing.__name__, [], b"", limits)
    assert (outcome.output, bool(outcome.failure)) == (b"", True)


async def test_a_process_that_nobody_waits_for_any_more_is_gone(tmp_path: Path) -> None:
    """It says which process it is and then waits for its input's end, which does not come by itself."""
    (tmp_path / "sleeper.py").write_text(
        "import os, pathlib, time\npathlib.Path(os.environ['SAYS']).write_text(str(os.getpid()))\ntime.sleep(300)\n"
    )
    says = tmp_path / "pid"
    environment = {"PYTHONPATH": str(tmp_path), "SAYS": str(says)}
    running = asyncio.create_task(run_child("sleeper", [], b"", environment=environment))
    async with asyncio.timeout(60):
        while not (says.exists() and says.read_text()):
            await asyncio.sleep(0.01)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    with pytest.raises(ProcessLookupError):
        os.kill(int(says.read_text()), 0)


async def test_a_process_that_cannot_be_begun_is_an_outcome_and_no_failure_of_who_wanted_it() -> None:
    outcome = await run_child("json", ["x" * (1 << 20)], b"")  # longer than an argument may be
    assert (outcome.output, "could not be begun" in outcome.failure) == (b"", True)


@pytest.mark.parametrize("limits", [ChildLimits(), COMMAND_LIMITS])
async def test_a_process_comes_after_messages_and_before_nobody_where_a_command_waits(
    tmp_path: Path, limits: ChildLimits
) -> None:
    (tmp_path / "placed.py").write_text(
        "import os, sys\n"
        "from serving.process.childprocess import bound_itself\n"
        "bound_itself(*sys.argv[1:])\n"
        "print(os.nice(0))\n"
    )
    environment = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    outcome = await run_child("placed", [], b"", limits, environment)
    expected = min(os.nice(0) + (0 if limits is COMMAND_LIMITS else 19), 19)
    assert (outcome.failure, int(outcome.output)) == ("", expected)
