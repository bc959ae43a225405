"""Shared parameters are written once for versions that say the same of them, and the bytes are those of each version all the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from schemas.globalconf.shared import (
    VERSIONS,
    AcmeServer,
    CostType,
    OcspInfo,
    SharedParameters,
    Source,
    Subsystem,
)
from schemas.globalconf.sharedwriting import oldest_same, render_shared
from tests.worlds import world

PLAIN = world().shared


def with_ca(**changed: Any) -> SharedParameters:
    first, *others = PLAIN.approved_cas
    return replace(PLAIN, approved_cas=(msgspec.structs.replace(first, **changed), *others))


def with_maintenance() -> SharedParameters:
    first, *others = PLAIN.security_servers
    return replace(
        PLAIN, security_servers=(msgspec.structs.replace(first, maintenance="until noon"), *others)
    )


def with_names() -> SharedParameters:
    first, *others = PLAIN.members
    named = msgspec.structs.replace(first, subsystems=(*first.subsystems, Subsystem("N", "Named")))
    return replace(PLAIN, members=(named, *others))


def with_tsa_cost() -> SharedParameters:
    first, *others = PLAIN.approved_tsas
    return replace(PLAIN, approved_tsas=(msgspec.structs.replace(first, cost_type=CostType.FREE), *others))


def with_ocsp_cost() -> SharedParameters:
    top = msgspec.structs.replace(
        PLAIN.approved_cas[0].top, ocsp=(OcspInfo("http://o/", None, CostType.PAID),)
    )
    return with_ca(top=top)


CASES = {
    "nothing of a later version": PLAIN,
    "sources": replace(PLAIN, sources=(Source("cs.example", (b"i",), (b"e",)),)),
    "acme": with_ca(acme_server=AcmeServer("https://a/")),
    "acme profile": with_ca(acme_server=AcmeServer("https://a/", signing_profile_id="s")),
    "csr format": with_ca(default_csr_format="PEM"),
    "cost of an OCSP responder": with_ocsp_cost(),
    "cost of a timestamp": with_tsa_cost(),
    "maintenance": with_maintenance(),
    "names of subsystems": with_names(),
}


@pytest.mark.parametrize("shared", CASES.values(), ids=CASES)
@pytest.mark.parametrize("version", VERSIONS[1:])
def test_a_document_that_is_shared_by_versions_is_that_of_each(
    shared: SharedParameters, version: int
) -> None:
    same = oldest_same(shared, version)
    assert 3 <= same <= version
    assert render_shared(shared, same) == render_shared(shared, version)


def test_version_2_has_digests_of_its_own_and_is_shared_with_none() -> None:
    assert [oldest_same(PLAIN, version) for version in VERSIONS] == [2, 3, 3, 3, 3]
