"""Foreign configurations: loading, questions, signed directories, anchors, optional parts and how a client chooses."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from lxml import etree

from certs.configuration import TrustedConfiguration, verify_directory
from certs.edges.configurationfiles import load_configuration_folder
from certs.verify.chain import ChainPolicy, verify_chain
from gateway.edges.configuration import ConfigurationClient
from gateway.edges.configurationsources import (
    Location,
    federation_filter,
    stored_locations,
    with_https_twins,
    with_version,
)
from schemas.faults import Fault
from schemas.globalconf import parts
from schemas.globalconf.anchor import parse_anchor
from schemas.globalconf.cost import CostOrder, in_order_of_cost
from schemas.globalconf.directory import Directory, parse_signed_content, split_directory
from schemas.globalconf.private import PrivateParameters
from schemas.globalconf.shared import SharedParameters, parse_shared
from schemas.globalconf.sharedwriting import render_shared
from schemas.identifiers import ClientId, GlobalGroupId, ServerId
from tests.paths import VECTORS
from tests.vectors.keystores import load
from tests.vectors.test_signatures import TestTrust

CASES = json.loads((VECTORS / "globalconf/cases.json").read_text(encoding="utf-8"))
MOMENT = datetime(2026, 5, 1, tzinfo=UTC)


def named(case: dict[str, Any]) -> str:
    return str(case.get("name") or case.get("file") or case.get("filter"))


@cache
def trust(folder: str) -> TrustedConfiguration:
    return load_configuration_folder(VECTORS / folder, strict=False)


# Loading


LOADS = [c for c in CASES["load"] if c["expect"]["outcome"] == "invalid" or "instance" in c["expect"]]


@pytest.mark.parametrize("case", LOADS, ids=named)
def test_folder_loads_or_is_refused(case: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "nothing" if case["directory"] is None else VECTORS / case["directory"]
    if case["expect"]["outcome"] == "invalid":
        with pytest.raises(Fault) as caught:
            load_configuration_folder(folder, strict=False)
        assert caught.value.code == "malformed_global_conf"
        return
    expect, found = case["expect"], load_configuration_folder(folder, strict=False)
    assert found.instance == expect["instance"]
    for name in expect["private_and_shared"]:
        assert found.instances[name].private is not None
    for name in expect["shared_only"]:
        assert found.instances[name].private is None
    for name in expect["unknown"]:
        assert found.shared(name) is None


def test_the_good_folder_loads() -> None:
    assert trust("globalconf/good_v4").instance == "EE"


@pytest.mark.parametrize("folder", ["globalconf/empty", "globalconf/malformed"])
def test_a_folder_without_readable_parameters_is_refused_in_whole(folder: str) -> None:
    """X-Road loads these as a configuration without content; here nothing can be trusted that is not there."""
    with pytest.raises(Fault):
        load_configuration_folder(VECTORS / folder, strict=False)


# Questions


def client(path: str) -> ClientId:
    return ClientId(*path.split("/"))


def server(path: str) -> ServerId:
    return ServerId(*path.split("/"))


def group(path: str) -> GlobalGroupId:
    return GlobalGroupId(*path.split("/", 1))


def description(conf: TrustedConfiguration, ask: dict[str, Any]) -> str | None:
    found = conf.global_group(group(ask["description_of_group"]))
    return None if found is None else found.description


def issuer_of(conf: TrustedConfiguration, certificate: x509.Certificate) -> x509.Certificate:
    return next(c for c in conf.all_ca_certificates() if c.subject == certificate.issuer)


def ocsp_urls(conf: TrustedConfiguration, ask: dict[str, Any]) -> list[str]:
    order = CostOrder(ask.get("strategy", "NONE").lower().replace("_", "-"))
    infos = conf.ocsp_infos(issuer_of(conf, load(ask["ocsp_addresses_for"])[1]))
    return [info.url for info in in_order_of_cost(infos, order)]


def members(conf: TrustedConfiguration, instance: str) -> list[str]:
    shared = conf.shared(instance)
    assert shared is not None
    return [
        path
        for m in shared.members
        for path in (m.id.path(), *(m.id.subsystem(s.code).path() for s in m.subsystems))
    ]


def chain(conf: TrustedConfiguration, name: str) -> list[x509.Certificate]:
    leaf = load(name)[1]
    at = leaf.not_valid_before_utc + timedelta(days=1)
    extras = [load(f"certs/test_chain/ca_{n}.p12")[1] for n in (1, 2, 3)]
    return list(verify_chain(leaf, extras, conf, "EE", at, policy=ChainPolicy(allow_weak=True)))


def acme(conf: TrustedConfiguration, ask: dict[str, Any]) -> dict[str, str | None]:
    shared = conf.shared(ask["instance"])
    assert shared is not None
    found = next(ca.acme_server for ca in shared.approved_cas if ca.name == ask["approved_ca"])
    assert found is not None
    return {
        "acme_directory": found.directory_url,
        "authentication_profile_id": found.authentication_profile_id,
        "signing_profile_id": found.signing_profile_id,
    }


def infos_of(conf: TrustedConfiguration, ask: dict[str, Any]) -> list[Any]:
    """Every OCSP entry of an instance, or those of one CA."""
    wanted = None if "ca" not in ask else load(ask["ca"])[1]
    return [
        ocsp
        for _, info, certificate in conf.instances[ask["instance"]].ca_infos
        if wanted is None or certificate == wanted
        for ocsp in info.ocsp
    ]


def server_path(found: Any) -> str | None:
    return None if found is None else found.id.path()


def owner_of(conf: TrustedConfiguration, path: str) -> str | None:
    found = conf.server(server(path))
    return None if found is None else found.id.owner.path()


def is_client_of(conf: TrustedConfiguration, ask: dict[str, Any]) -> bool:
    return server(ask["server"]) in {s.id for s in conf.servers_of(client(ask["client"]))}


Question = Callable[[TrustedConfiguration, Any], Any]


def private(conf: TrustedConfiguration) -> PrivateParameters:
    assert conf.private is not None
    return conf.private


def shared(conf: TrustedConfiguration, instance: str) -> SharedParameters:
    found = conf.shared(instance)
    assert found is not None
    return found


QUESTIONS: dict[str, Question] = {
    "in-group": lambda c, a: c.in_global_group(client(a["is"]), group(a["in_global_group"])),
    "instances": lambda c, _: sorted(c.instances),
    "valid": lambda c, _: c.expires_at > MOMENT,
    "group-description": description,
    "members": lambda c, a: members(c, a["members_of_instance"]),
    "addresses": lambda c, a: [s.address for s in c.servers_of(client(a["provider_addresses"]))],
    "chain": lambda c, a: chain(c, a["certificate_chain_of"]),
    "ocsp-responder-certs": lambda c, _: sum(
        1 for i in c.instances.values() for _, info, _ in i.ca_infos for o in info.ocsp if o.certificate
    ),
    "ocsp-addresses": ocsp_urls,
    "ocsp-order": ocsp_urls,
    "is-ocsp-responder": lambda c, a: (
        load(a["responder"])[1] in c.configured_responders_for(load(a["ca"])[1])
    ),
    "auth-cert-matches": lambda c, a: c.auth_certificate_matches(der(a["certificate"]), client(a["member"])),
    "server-of-cert": lambda c, a: server_path(
        c.server_by_auth_certificate(der(a["server_of_auth_certificate"]))
    ),
    "server-owner": lambda c, a: owner_of(c, a["owner_of_server"]),
    "verification-ca-certs": lambda c, _: sum(len(c.signing_ca_certificates(i)) for i in c.instances),
    "tsa-certs": lambda c, _: sum(len(i.shared.approved_tsas) for i in c.instances.values()),
    "management-address": lambda c, _: private(c).management_service.registration_address,
    "management-service": lambda c, _: private(c).management_service.provider.path(),
    "ocsp-freshness": lambda c, _: c.ocsp_freshness_s,
    "servers": lambda c, a: [
        s.id.path() for s in shared(c, a["security_servers_of_instance"]).security_servers
    ],
    "approved-cas": lambda c, a: len(shared(c, a["number_of_approved_cas_of_instance"]).approved_cas),
    "servers-of-client": lambda c, a: [s.id.path() for s in c.servers_of(client(a["servers_of_client"]))],
    "is-client-of-server": is_client_of,
    "acme": acme,
    "known-addresses": lambda c, _: [
        s.address for i in c.instances.values() for s in i.shared.security_servers
    ],
    "ocsp-cost": lambda c, a: next(o.cost_type for o in infos_of(c, a) if o.url == a["cost_of_ocsp"]),
    "ocsp-count": lambda c, a: len(
        infos_of(c, {"ca": a["number_of_ocsp_addresses_for_ca"], "instance": a["instance"]})
    ),
    "subject-name": lambda c, a: (
        TestTrust(c.instance, c.instances, c.parts)
        .member_of_signing_certificate(load(a["signer_id_of"])[1], "EE")
        .path()
    ),
}
ANY_ORDER = frozenset(
    ("addresses", "known-addresses", "servers-of-client", "members", "servers", "ocsp-addresses")
)


def der(name: str) -> bytes:
    return load(name)[1].public_bytes(Encoding.DER)


@pytest.mark.parametrize("case", CASES["ask"], ids=named)
@pytest.mark.xroad("F053")
def test_question(case: dict[str, Any]) -> None:
    answer = QUESTIONS[case["name"]](trust(case["configuration"]), case["ask"])
    wanted = case["answer"]
    if case["name"] == "chain":
        # The path ends at the first approved CA; X-Road's answer goes on to the top one.
        wanted = [load(name)[1] for name in wanted][: len(answer)]
        assert len(answer) > 1
    if case["name"] in ANY_ORDER:
        answer, wanted = {a for a in answer if a}, set(wanted)
    assert answer == wanted


# Writing what was read


@pytest.mark.parametrize("case", CASES["round_trip"], ids=lambda c: c["file"])
def test_shared_parameters_are_written_as_they_were_read(case: dict[str, Any]) -> None:
    version = int(case["file"].split("/")[1].rpartition("_v")[2])
    shared = parse_shared((VECTORS / case["file"]).read_bytes(), version)
    assert parse_shared(render_shared(shared), version) == shared


# Signed directories


def fetch_parts(directory: Directory, root: Path) -> list[str]:
    for part in directory.parts:
        part.check((root / part.location.lstrip("/")).read_bytes())
    return [part.location for part in directory.parts]


@pytest.mark.parametrize("case", CASES["download"], ids=named)
def test_download(case: dict[str, Any]) -> None:
    raw = (VECTORS / case["directory"]).read_bytes()
    at = datetime.fromisoformat(case["at"])

    def download() -> list[str]:
        directory = verify_directory(raw, [der(case["verification_cert"])], at)
        return fetch_parts(directory, VECTORS / case["part_root"])

    if case["expect"]["outcome"] == "valid":
        assert download() == case["expect"]["parts"]
        return
    with pytest.raises(Fault) as caught:
        download()
    assert caught.value.code == case["expect"]["code"]


def verification_certificates(case: dict[str, Any]) -> list[bytes]:
    if "anchors/" in case["signed_by"]:
        name = case["signed_by"].removeprefix("the certificate in ")
        sources = parse_anchor((VECTORS / name).read_bytes()).sources
        return [c for s in sources for c in s.verification_certificates]
    location = parse_signed_content(split_directory((VECTORS / case["file"]).read_bytes())).parts
    path = next(p.location for p in location if p.content_id == parts.SHARED_ID)
    shared = parse_shared((VECTORS / case["root"] / path.lstrip("/")).read_bytes(), case["version"])
    external = case["file"].endswith("externalconf")
    return [
        c for s in shared.sources for c in (s.external_certificates if external else s.internal_certificates)
    ]


SIGNED = CASES["signed"] + CASES["rotated"]


@pytest.mark.parametrize("case", SIGNED, ids=lambda c: c["file"])
def test_signed_directory(case: dict[str, Any]) -> None:
    raw = (VECTORS / case["file"]).read_bytes()
    directory = verify_directory(raw, verification_certificates(case), MOMENT)
    assert directory.version == case["version"]
    assert directory.expires_at == datetime.fromisoformat(case["expires"])
    assert {p.instance for p in directory.parts} == {case["instance"]}
    if case["expect"]["outcome"] == "invalid":
        with pytest.raises(Fault, match="digest"):
            fetch_parts(directory, VECTORS / case["root"])
        return
    assert set(fetch_parts(directory, VECTORS / case["root"])) == {p.partition(":")[0] for p in case["parts"]}


@pytest.mark.parametrize("case", SIGNED, ids=lambda c: c["file"])
def test_signed_directory_is_refused_once_expired_or_under_another_key(case: dict[str, Any]) -> None:
    raw = (VECTORS / case["file"]).read_bytes()
    certificates = verification_certificates(case)
    with pytest.raises(Fault) as expired:
        verify_directory(raw, certificates, datetime.fromisoformat(case["expires"]))
    assert expired.value.code == "global_conf_outdated"
    with pytest.raises(Fault) as unknown:
        verify_directory(raw, [der("certs/consumer.p12")], MOMENT)
    assert unknown.value.code == "global_conf_missing_verification_cert"


# How a client chooses


@pytest.mark.parametrize("case", CASES["locations"], ids=named)
def test_locations_of_stored_parameters(case: dict[str, Any]) -> None:
    folder = VECTORS / case["stored"] / "EE"
    metadata = json.loads((folder / "shared-params.xml.metadata").read_bytes())
    shared = parse_shared(
        (folder / "shared-params.xml").read_bytes(), int(metadata.get("configurationVersion") or 2)
    )
    found = stored_locations(shared.sources, case["source_url"])
    if isinstance(case["answer"], str):
        assert [location.url.split(":")[0] for location in found] == ["https"] * 3 + ["http"] * 3
        return
    assert [{"url": location.url, "certs": len(location.certificates)} for location in found] == case[
        "answer"
    ]


def test_https_locations_come_before_the_http_ones_of_an_anchor() -> None:
    found = with_https_twins([Location("http://a/x", ()), Location("http://b/x", ())])
    assert [f.url for f in found] == ["https://a/x", "https://b/x", "http://a/x", "http://b/x"]


def test_a_version_parameter_replaces_any_other() -> None:
    assert with_version("http://host/conf?a=1&version=2", 6) == "http://host/conf?a=1&version=6"


# An enforced version is an option of X-Road's own command line; this client has none.
CHOICES = [c for c in CASES["version_choice"] if c["mode"].startswith("range")]


@pytest.mark.parametrize("case", CHOICES, ids=named)
@pytest.mark.xroad("F158")
async def test_newest_version_offered_is_chosen(
    case: dict[str, Any], aiohttp_client: Any, tmp_path: Path
) -> None:
    """Versions the case does not speak of are not there, as 6 was not when it was written."""

    async def probe(request: web.Request) -> web.Response:
        return web.Response(status=case["probes"].get(request.query["version"], 404))

    app = web.Application()
    app.router.add_get("/", probe)
    base = str((await aiohttp_client(app)).make_url("/")).rstrip("/")
    async with aiohttp.ClientSession() as session:
        anchor = (VECTORS / "globalconf/anchors/configuration-anchor1.xml").read_bytes()
        chooser = ConfigurationClient(anchor, tmp_path, session, clock=lambda: MOMENT)
        chosen = await chooser.choose_version(case["url"].replace("http://host", base))
    assert chosen == case["chosen"].replace("http://host", base)


@pytest.mark.parametrize("case", CASES["federation_filter"], ids=named)
def test_federation_filter(case: dict[str, Any]) -> None:
    allowed = federation_filter(case["filter"] or "", case["own_instance"])
    assert [i for i in case["allowed"] if not allowed(i)] == []
    assert [i for i in case["refused"] if allowed(i)] == []


# Optional parts


READERS: dict[str, Callable[[bytes], object]] = {
    "monitoring": parts.parse_monitoring_client,
    "fetchinterval": parts.parse_fetch_interval,
    "nextupdate": parts.parse_verify_next_update,
}
CONTENT: dict[str, Callable[[object], bool]] = {
    "one monitoring client": lambda value: isinstance(value, ClientId),
    "no monitoring client": lambda value: value is None,
    "500 s": lambda value: value == 500,
    "switched off": lambda value: value is False,
}


@pytest.mark.parametrize("case", CASES["optional_parts"], ids=lambda c: c["file"])
def test_optional_part(case: dict[str, Any]) -> None:
    read = READERS[case["file"].rpartition("/")[2].split("-")[1]]
    raw = (VECTORS / case["file"]).read_bytes()
    if case["expect"]["outcome"] == "valid":
        assert CONTENT[case["what"]](read(raw))
        return
    with pytest.raises(Fault):
        read(raw)


# Anchors


@pytest.mark.parametrize("case", CASES["anchors"], ids=lambda c: c["file"])
@pytest.mark.xroad("F162")
def test_anchor(case: dict[str, Any]) -> None:
    raw = (VECTORS / case["file"]).read_bytes()
    if case["expect"]["outcome"] == "error":
        with pytest.raises(Fault):
            parse_anchor(raw)
        return
    anchor = parse_anchor(raw)
    assert anchor.instance == case["instance"]
    if "sha224" in case:
        assert anchor.hash_text() == case["sha224"]
    if "sources" in case:
        assert len(anchor.sources) == case["sources"]
    if "first_url" in case:
        assert anchor.sources[0].download_url == case["first_url"]
        digests = [hashlib.sha1(c).digest() for c in anchor.sources[0].verification_certificates]
        assert [base64.b64encode(d).decode() for d in digests] == case["first_certs_sha1_base64"]


def test_two_anchors_of_an_instance_differ() -> None:
    one, two = (
        parse_anchor((VECTORS / f"globalconf/anchors/configuration-anchor{n}.xml").read_bytes())
        for n in (1, 2)
    )
    assert one != two
    assert etree.fromstring(one.raw).tag == etree.fromstring(two.raw).tag
