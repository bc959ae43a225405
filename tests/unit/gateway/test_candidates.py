"""Who could be granted a right: subsystems and groups of every instance at hand, found by each filter."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from certs.configuration import TrustedConfiguration
from gateway.admin.context import AdminContext
from gateway.admin.rights import CandidateQuery, RightResource
from gateway.clients.model import ConnectionType
from gateway.clients.store import ServerConfStore
from schemas.globalconf.shared import GlobalGroup, Member, SharedParameters, Subsystem
from schemas.globalconf.sharedwriting import render_shared
from schemas.identifiers import ClientId, GlobalGroupId
from serving.api.operations import Call
from tests import worlds
from tests.worlds import CONSUMER, CONSUMER_SERVER, NOW

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FOREIGN = ClientId("SV", "GOB", "22-ISSS", "AFIL")


def federated() -> TrustedConfiguration:
    """The world's configuration and that of another instance, as a gateway keeps both."""
    home = worlds.world().shared
    abroad = replace(
        home,
        instance="SV",
        members=(Member(FOREIGN.member, "Gobierno", "Instituto Salvadoreño", (Subsystem("AFIL"),)),),
        security_servers=(),
        global_groups=(GlobalGroup(GlobalGroupId("SV", "salud"), "Sector salud"),),
    )
    expires = (NOW + timedelta(days=1)).isoformat()
    metadata = f'{{"configurationVersion":"6","expirationDate":"{expires}"}}'.encode()
    files = {"instance-identifier": b"MX"}
    for shared in (home, abroad):
        files |= _files(shared, metadata)
    return TrustedConfiguration.load(files)


def _files(shared: SharedParameters, metadata: bytes) -> dict[str, bytes]:
    name = f"{shared.instance}/shared-params.xml"
    return {name: render_shared(shared), f"{name}.metadata": metadata}


@pytest.fixture
def resource(tmp_path: Path) -> Iterator[RightResource]:
    store, configuration = ServerConfStore(tmp_path / "serverconf.sqlite"), federated()
    store.initialise(CONSUMER_SERVER, b"<anchor/>")
    with store.change() as tables:
        tables.clients.add(CONSUMER, ConnectionType.HTTP, NOW)
        tables.groups.add(CONSUMER, "nuestros", "Los nuestros", NOW)
    process = SimpleNamespace(store=store, configuration=lambda: configuration)
    yield RightResource(AdminContext(cast("Any", process)))
    store.close()


@pytest.mark.xroad("F071")
@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (CandidateQuery(instance="SV"), {"SV:GOB:22-ISSS:AFIL", "SV:salud"}),
        (CandidateQuery(instance="SV", service_client_type="SUBSYSTEM"), {"SV:GOB:22-ISSS:AFIL"}),
        (CandidateQuery(service_client_type="GLOBALGROUP"), {"SV:salud"}),
        (CandidateQuery(member_name_group_description="salvador"), {"SV:GOB:22-ISSS:AFIL"}),
        (CandidateQuery(member_group_code="salud"), {"SV:salud"}),
        (CandidateQuery(subsystem_code="INDICE"), {"MX:GOB:00-RNSS:INDICE"}),
        (CandidateQuery(member_class="COM"), set()),
        (CandidateQuery(member_name_group_description="sector", instance="MX"), set()),
    ],
)
async def test_candidates_of_every_instance_are_found_by_each_filter(
    resource: RightResource, asked: CandidateQuery, found: set[str]
) -> None:
    principal = SimpleNamespace(scope=(), permissions=())
    call = Call(cast("Any", principal), {"id": CONSUMER.encoded()}, NOW, "id", query=asked)
    assert {c.id for c in await resource.candidates(call)} == found


@pytest.mark.xroad("F071")
async def test_without_a_filter_everybody_is_there_local_groups_too(resource: RightResource) -> None:
    principal = SimpleNamespace(scope=(), permissions=())
    call = Call(cast("Any", principal), {"id": CONSUMER.encoded()}, NOW, "id", query=CandidateQuery())
    kinds = [c.service_client_type for c in await resource.candidates(call)]
    assert {k: kinds.count(k) for k in set(kinds)} == {"SUBSYSTEM": 4, "GLOBALGROUP": 1, "LOCALGROUP": 1}
