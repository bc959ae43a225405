"""Values of the protocol for hypothesis: valid ones, as wide as the protocol lets them be."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from schemas.globalconf.shared import (
    AcmeServer,
    ApprovedCa,
    ApprovedTsa,
    CaInfo,
    CostType,
    GlobalGroup,
    Member,
    MemberClass,
    OcspInfo,
    SecurityServer,
    SharedParameters,
    Source,
    Subsystem,
)
from schemas.identifiers import ClientId, GlobalGroupId, LocalGroupId, ServerId, ServiceId
from schemas.names import unsuitable_characters

# What XML can hold and no reader trims away: no control characters, no surrogates, no white space at the ends.
XML_CHARACTERS = st.characters(
    exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff", max_codepoint=0x2FFFF
)
TEXT = st.text(XML_CHARACTERS, max_size=20).map(str.strip)
CODES = (
    st.text(XML_CHARACTERS, min_size=1, max_size=12)
    .map(str.strip)
    .filter(lambda code: bool(code) and not unsuitable_characters(code))
)
BYTES = st.binary(min_size=1, max_size=40)
DIGESTS = st.binary(min_size=64, max_size=64)
MOMENTS = st.datetimes(datetime(1980, 1, 1), datetime(2107, 1, 1), timezones=st.just(UTC))
WHOLE_SECONDS = MOMENTS.map(lambda at: at.replace(microsecond=0))
URLS = st.from_regex(r"https?://[a-z]{1,8}(/[a-zA-Z0-9]{0,5}){0,3}", fullmatch=True)

MEMBERS = st.builds(ClientId, CODES, CODES, CODES)
CLIENTS = st.builds(ClientId, CODES, CODES, CODES, st.none() | CODES)
SUBSYSTEMS = st.builds(ClientId, CODES, CODES, CODES, CODES)
SERVERS = st.builds(ServerId, CODES, CODES, CODES, CODES)
SERVICES = st.builds(ServiceId, CLIENTS, CODES, st.none() | CODES)
IDENTIFIERS = st.one_of(
    CLIENTS, SERVERS, SERVICES, st.builds(GlobalGroupId, CODES, CODES), st.builds(LocalGroupId, CODES)
)

COSTS = st.none() | st.sampled_from(CostType)
OCSP_INFOS = st.builds(OcspInfo, URLS, st.none() | BYTES, COSTS)
CA_INFOS = st.builds(CaInfo, BYTES, st.lists(OCSP_INFOS, max_size=2).map(tuple))
CAS = st.builds(
    ApprovedCa,
    TEXT,
    CA_INFOS,
    CODES,
    st.none() | st.booleans(),
    st.lists(CA_INFOS, max_size=2).map(tuple),
    st.none() | st.sampled_from(("PEM", "DER")),
    st.none() | st.builds(AcmeServer, URLS, st.none() | CODES, st.none() | CODES, st.none() | CODES),
)


@st.composite
def shared_parameters(draw: st.DrawFn) -> SharedParameters:
    """Parameters whose servers and groups refer to what is there."""
    instance = draw(CODES)
    codes = draw(st.lists(st.tuples(CODES, CODES), min_size=1, max_size=3, unique=True))
    members = tuple(
        Member(
            ClientId(instance, member_class, code),
            draw(TEXT),
            draw(TEXT),
            tuple(
                Subsystem(c, draw(st.none() | CODES)) for c in draw(st.lists(CODES, max_size=2, unique=True))
            ),
        )
        for member_class, code in codes
    )
    clients = [m.id for m in members] + [m.id.subsystem(s.code) for m in members for s in m.subsystems]
    servers = tuple(
        SecurityServer(
            draw(st.sampled_from(members)).id.server(code),
            draw(st.just("") | CODES),
            frozenset(draw(st.sets(BYTES, max_size=2))),
            frozenset(draw(st.sets(st.sampled_from(clients), max_size=3))),
            draw(st.none() | st.just("") | CODES),
        )
        for code in draw(st.lists(CODES, max_size=2, unique=True))
    )
    groups = tuple(
        GlobalGroup(GlobalGroupId(instance, code), draw(TEXT), frozenset(draw(st.sets(CLIENTS, max_size=2))))
        for code in draw(st.lists(CODES, max_size=2, unique=True))
    )
    return SharedParameters(
        instance,
        6,
        tuple(
            draw(
                st.lists(st.builds(Source, CODES, st.just((b"i",)), st.just((b"e",))), min_size=1, max_size=2)
            )
        ),
        tuple(draw(st.lists(CAS, max_size=2))),
        tuple(draw(st.lists(st.builds(ApprovedTsa, TEXT, URLS, BYTES, COSTS), max_size=2))),
        members,
        servers,
        groups,
        tuple(draw(st.lists(st.builds(MemberClass, CODES, TEXT), max_size=2))),
        draw(st.integers(1, 10**6)),
    )
