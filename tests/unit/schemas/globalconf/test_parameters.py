"""The parts of a configuration, rule by rule: one change to a good document, and what was expected instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from schemas.faults import Fault, Kind
from schemas.globalconf.anchor import Anchor, AnchorSource, parse_anchor, render_anchor
from schemas.globalconf.cost import CostOrder, in_order_of_cost
from schemas.globalconf.elements import CONF_NS
from schemas.globalconf.parts import (
    LEAST_FETCH_INTERVAL_S,
    parse_fetch_interval,
    parse_monitoring_client,
    parse_verify_next_update,
    render_fetch_interval,
    render_monitoring_client,
    render_verify_next_update,
)
from schemas.globalconf.private import ManagementService, PrivateParameters, parse_private, render_private
from schemas.globalconf.shared import (
    VERSIONS,
    AcmeServer,
    ApprovedCa,
    ApprovedTsa,
    CaInfo,
    CostType,
    Member,
    MemberClass,
    OcspInfo,
    SecurityServer,
    SharedParameters,
    Source,
    Subsystem,
    parse_shared,
)
from schemas.globalconf.sharedwriting import render_shared
from schemas.globalconf.witnesses import parse_appointments
from schemas.identifiers import ClientId

OWNER = ClientId("MX", "GOB", "15-ISSEMYM")
AFIL = OWNER.subsystem("AFIL")
SHARED = SharedParameters(
    "MX",
    version=6,
    sources=(Source("cs.mx", (b"internal",), (b"external",)),),
    approved_cas=(
        ApprovedCa("CA", CaInfo(b"top", (OcspInfo("http://o", b"o", CostType.FREE),)), "Basic", True),
    ),
    approved_tsas=(ApprovedTsa("TSA", "http://t", b"t", CostType.PAID),),
    members=(Member(OWNER, "Gobierno", "ISSEMYM", (Subsystem("AFIL"),)),),
    security_servers=(SecurityServer(OWNER.server("SS1"), "ss1.mx", frozenset((b"d",)), frozenset((AFIL,))),),
    member_classes=(MemberClass("GOB", "Gobierno"),),
)
ANCHOR = Anchor("MX", (AnchorSource("http://cs.mx/conf", (b"v",)),), datetime(2026, 1, 1, tzinfo=UTC))
PRIVATE = PrivateParameters("MX", ManagementService("https://cs.mx:4001", AFIL, b"tls"), 60, (ANCHOR,))


def read_shared(raw: bytes) -> object:
    return parse_shared(raw, 6)


def refused(read: Callable[[bytes], object], raw: bytes, old: str, new: str) -> str:
    """The reason for which a good document is refused once one thing is changed in it."""
    read(raw)
    assert old.encode() in raw, (old, raw)
    with pytest.raises(Fault) as caught:
        read(raw.replace(old.encode(), new.encode(), 1))
    assert caught.value.kind is Kind.MALFORMED_GLOBAL_CONF
    return caught.value.detail


def test_documents_come_back_as_they_were_written() -> None:
    assert parse_shared(render_shared(SHARED), 6) == SHARED
    assert parse_private(render_private(PRIVATE)) == PRIVATE
    for anchor in (ANCHOR, replace(ANCHOR, generated_at=None)):
        assert parse_anchor(render_anchor(anchor)) == anchor
    assert parse_monitoring_client(render_monitoring_client(AFIL)) == AFIL
    assert parse_monitoring_client(render_monitoring_client(None)) is None
    assert parse_verify_next_update(render_verify_next_update(verify=False)) is False


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "<instanceIdentifier>MX</instanceIdentifier>",
            "<instanceIdentifier> </instanceIdentifier>",
            "is empty",
        ),
        ("<instanceIdentifier>MX</instanceIdentifier>", "", "has 0 instanceIdentifier; 1 to 1 were expected"),
        ("<source>", "<source/><source>", "has 0 address; 1 to 1 were expected"),
        ("<approvedCA>", "<member/><approvedCA>", "cannot hold approvedCA here"),
        ("<name>CA</name>", "<name>CA</name><name>CB</name>", "has 2 name; 1 to 1 were expected"),
        (
            "<authenticationOnly>true<",
            "<authenticationOnly>TRUE<",
            "authenticationOnly is 'TRUE'; true or false",
        ),
        ("<costType>FREE<", "<costType>free<", "costType is 'free'; FREE, PAID or UNDEFINED"),
        ("<cert>dG9w<", "<cert>?<", "cert is not base64"),
        ("<cert>dG9w<", "<cert>dG9<", "cert is not base64"),
        ("<ocspFreshnessSeconds>", "<ocspFreshnessSeconds>x", "ocspFreshnessSeconds is not an integer"),
        ('id="id1"', 'id="id0"', "the id 'id0' is there twice"),
        ("<client>id1<", "<client>id7<", "refers to 'id7', which is no member or subsystem"),
        ("<owner>id0<", "<owner><!-- id0 --><", "refers to '', which"),
        ("<owner>id0<", "<owner>id1<", "must be a member, not MX/GOB/15-ISSEMYM/AFIL"),
        ("<subsystemCode>AFIL<", "<subsystemCode><", "shared parameters: "),
        ("<memberCode>15-ISSEMYM<", "<memberCode><", "shared parameters: "),
        (CONF_NS, "urn:other", f"conf in {CONF_NS} was expected"),
    ],
)
def test_shared_parameters_that_break_a_rule_say_which(old: str, new: str, words: str) -> None:
    assert words in refused(read_shared, render_shared(SHARED), old, new)


RICH = replace(
    SHARED,
    approved_cas=(
        ApprovedCa("CA", CaInfo(b"top"), "Basic", None, (CaInfo(b"sub"),), "DER", AcmeServer("http://a", "10.0.0.1", "ap", "sp")),
        ApprovedCa("CB", CaInfo(b"top", (OcspInfo("http://o", None, CostType.PAID),)), "Basic"),
    ),
    members=(Member(OWNER, "Gobierno", "ISSEMYM", (Subsystem("AFIL", "Afiliación"), Subsystem("PENS"))),),
    security_servers=(
        SecurityServer(OWNER.server("SS1"), "ss1.mx", frozenset((b"d",)), frozenset((AFIL,)), "hasta las 5"),
        SecurityServer(OWNER.server("SS2"), "", frozenset(), frozenset((AFIL,)), ""),
        SecurityServer(OWNER.server("SS3"), "ss3.mx", frozenset((b"e",)), frozenset((AFIL, OWNER.subsystem("PENS")))),
    ),
)  # fmt: skip
# What came with a version, by a piece of the document; and what went with it.
SINCE = {
    "externalVerificationCert": 3, "acmeServer": 3, "ipAddress": 3, "CertificateProfileId": 4, "subsystemName": 5,
    "inMaintenanceMode": 5, "costType": 6, "defaultCsrFormat": 6,
}  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_a_version_says_what_it_knows_and_hides_clients_of_a_server_whose_maintenance_it_cannot_say(
    version: int,
) -> None:
    raw = render_shared(RICH, version).decode()
    assert {piece for piece in SINCE if piece in raw} == {p for p, since in SINCE.items() if since <= version}
    found = parse_shared(raw.encode(), version)
    shown = [] if version < 5 else [AFIL]
    assert [sorted(server.clients, key=ClientId.path) for server in found.security_servers] == [
        shown, shown, [AFIL, OWNER.subsystem("PENS")]
    ]  # fmt: skip
    assert (found == RICH) == (version == 6)


def test_a_member_to_which_nothing_refers_needs_no_id() -> None:
    raw = render_shared(RICH).replace(b' id="id2"', b"").replace(b"<client>id2</client>", b"")
    assert parse_shared(raw, 6).members == RICH.members


@pytest.mark.parametrize(
    ("order", "names"),
    [
        (CostOrder.NONE, "paid free unsaid free2 undefined"),
        (CostOrder.ONLY_FREE, "free free2"),
        (CostOrder.FREE_FIRST, "free free2 paid unsaid undefined"),
        (CostOrder.ONLY_PAID, "paid"),
        (CostOrder.PAID_FIRST, "paid free free2 unsaid undefined"),
    ],
)
def test_services_are_asked_in_the_order_of_their_cost(order: CostOrder, names: str) -> None:
    costs = {
        "paid": CostType.PAID,
        "free": CostType.FREE,
        "unsaid": None,
        "free2": CostType.FREE,
        "undefined": CostType.UNDEFINED,
    }
    services = [OcspInfo(name, None, cost) for name, cost in costs.items()]
    assert [s.url for s in in_order_of_cost(services, order)] == names.split()


@pytest.mark.parametrize("version", [min(VERSIONS) - 1, max(VERSIONS) + 1, 0])
def test_a_version_that_nobody_wrote_a_schema_for_is_refused(version: int) -> None:
    with pytest.raises(Fault, match=f"of version {version}; {min(VERSIONS)} to {max(VERSIONS)} are known"):
        parse_shared(render_shared(SHARED), version)


def test_what_follows_is_let_be_from_version_3_on_only() -> None:
    for version, passes in ((2, False), (3, True)):
        raw = render_shared(SHARED, version).replace(b"</globalSettings>", b"</globalSettings><more/>")
        if passes:
            assert parse_shared(raw, version).instance == "MX"
        else:
            with pytest.raises(Fault, match="cannot hold more here"):
                parse_shared(raw, version)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("<instanceIdentifier>MX<", "<instanceIdentifier><", "anchor's instance identifier is empty"),
        ("2026-01-01T00:00:00.000Z", "ayer", "'ayer' is not a date and time"),
        ("<verificationCert>dg==", "<verificationCert>d", "verificationCert is not base64"),
        ("<downloadURL>", "<downloadURL/><downloadURL>", "has 2 downloadURL"),
    ],
)
def test_an_anchor_that_breaks_a_rule_says_which(old: str, new: str, words: str) -> None:
    assert words in refused(parse_anchor, render_anchor(ANCHOR), old, new)


def test_a_time_without_an_offset_is_utc() -> None:
    raw = render_anchor(ANCHOR).replace(b"2026-01-01T00:00:00.000Z", b"2026-01-01T00:00:00")
    assert parse_anchor(raw).generated_at == ANCHOR.generated_at


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("<timeStampingIntervalSeconds>60<", "<timeStampingIntervalSeconds>6o<", "is not an integer"),
        ("15-ISSEMYM", "", "private parameters: "),
        ("<authCertRegServiceAddress>", "<x/><authCertRegServiceAddress>", "cannot hold x here"),
    ],
)
def test_private_parameters_that_break_a_rule_say_which(old: str, new: str, words: str) -> None:
    assert words in refused(parse_private, render_private(PRIVATE), old, new)


def test_optional_parts_that_break_a_rule_say_which() -> None:
    client, switch = render_monitoring_client(AFIL), render_verify_next_update(verify=True)
    assert "monitoring parameters: " in refused(parse_monitoring_client, client, "15-ISSEMYM", "")
    assert "true or false was expected" in refused(parse_verify_next_update, switch, ">true<", ">yes<")
    assert "is not an integer" in refused(parse_fetch_interval, render_fetch_interval(60), ">60<", ">1e3<")


@pytest.mark.parametrize(("said", "meant"), [(59, 60), (60, 60), (61, 61), (-1, 60)])
def test_a_fetch_interval_is_never_below_a_minute(said: int, meant: int) -> None:
    assert LEAST_FETCH_INTERVAL_S == 60
    assert parse_fetch_interval(render_fetch_interval(said)) == meant


def test_witnesses_are_appointed_for_security_servers_only() -> None:
    def log(kind: str, code: str) -> bytes:
        return (
            f'<c:conf xmlns:c="{CONF_NS}" xmlns:i="http://x-road.eu/xsd/identifiers"><log><server i:objectType="{kind}">'
            "<i:xRoadInstance>MX</i:xRoadInstance><i:memberClass>GOB</i:memberClass>"
            f"<i:memberCode>A</i:memberCode>{code}</server><logKey>x</logKey><witnessKey>y</witnessKey></log></c:conf>"
        ).encode()

    for raw, words in (
        (log("MEMBER", ""), "a security server was expected; MX/GOB/A came"),
        (log("SERVER", "<i:serverCode> </i:serverCode>"), "witnesses: "),
    ):
        with pytest.raises(Fault, match=words):
            parse_appointments(raw)
