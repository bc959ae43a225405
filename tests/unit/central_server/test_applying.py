"""A registry file adds and changes; what it does not speak of goes only when asked, and never what requests brought."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from central_server.cli.main import main
from central_server.management.requests import add_request, approve_request
from central_server.registry.merging import Registered, lines_of, plan
from central_server.registry.model import (
    OWNERS_GROUP,
    RegisteredServer,
    Registry,
    check_registry,
    parse_registry,
)
from central_server.registry.registryfile import render_registry
from central_server.store import members, servers
from central_server.store.loading import import_registry, load_registry
from central_server.store.records import Actor, CentralStore
from central_server.store.requests import NewRequest, RequestOrigin, RequestType
from certs.certificates import der_of
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
    Subsystem,
)
from schemas.identifiers import ClientId, GlobalGroupId, suspicious_characters
from schemas.names import unsuitable_characters
from tests.instance import Instance

if TYPE_CHECKING:
    from click.testing import Result

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ANA = Actor("ana")
ISSEMYM = ClientId("MX", "GOB", "15-ISSEMYM")
AFIL, HIST = ISSEMYM.subsystem("AFIL"), ISSEMYM.subsystem("HIST")
NEW = ClientId("MX", "GOB", "30-NUEVO")
NOTHING = Registered()


@cache
def certificates() -> tuple[bytes, ...]:
    """A few real ones."""
    made = Instance(Path(tempfile.mkdtemp()), NOW)
    return tuple(der_of(made.auth(ISSEMYM)[1]) for _ in range(4))


# Round trips

QUICK = [
    Phase.explicit,
    Phase.reuse,
    Phase.generate,
]  # what fails is large already; shrinking it takes minutes

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=12).filter(
    lambda t: t == t.strip() and not unsuitable_characters(t)
)
CODES = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=8
).filter(lambda t: not suspicious_characters(t) and t.strip() and "/" not in t)
COSTS = st.none() | st.sampled_from(CostType)
CERTIFICATES = st.sampled_from(range(4)).map(lambda n: certificates()[n])
HOSTS = st.from_regex(r"[a-z][a-z0-9]{0,8}(\.[a-z][a-z0-9]{0,8}){0,2}", fullmatch=True)
RESPONDERS = st.builds(OcspInfo, TEXT, st.none() | CERTIFICATES, COSTS)
INFOS = st.builds(
    CaInfo, CERTIFICATES, st.lists(RESPONDERS, max_size=2, unique_by=lambda o: o.url).map(tuple)
)
CAS = st.builds(
    ApprovedCa,
    TEXT,
    INFOS,
    st.just("ee.ria.xroad.common.certificateprofile.impl.BasicCertificateProfileInfoProvider"),
    st.booleans(),
    st.lists(INFOS, max_size=2, unique_by=lambda i: i.certificate).map(tuple),
    st.none() | st.sampled_from(("PEM", "DER")),
    st.none() | st.builds(AcmeServer, TEXT, st.none() | TEXT, st.none() | TEXT, st.none() | TEXT),
)
SUBSYSTEMS = st.lists(st.builds(Subsystem, CODES, st.none() | TEXT), max_size=3, unique_by=lambda s: s.code)


@st.composite
def registries(draw: st.DrawFn) -> Registry:
    codes = draw(st.lists(CODES, min_size=1, max_size=2, unique=True))
    names = draw(st.lists(st.tuples(st.sampled_from(codes), CODES), min_size=1, max_size=3, unique=True))
    found = [Member(ClientId("MX", c, m), c, draw(TEXT), tuple(draw(SUBSYSTEMS))) for c, m in names]
    clients = [m.id for m in found] + [m.id.subsystem(s.code) for m in found for s in m.subsystems]
    some = st.lists(st.sampled_from(clients), max_size=3, unique=True)
    ders = draw(st.permutations(certificates()))
    made = tuple(
        RegisteredServer(
            m.id.server(draw(CODES)),
            draw(HOSTS),
            (ders[n],) if draw(st.booleans()) else (),
            tuple(c for c in draw(some) if c != m.id),
            draw(st.none() | TEXT),
        )
        for n, m in enumerate(found)
    )
    owners = frozenset(s.id.owner for s in made if s.auth_certificates)
    groups = draw(st.lists(CODES.filter(lambda c: c != OWNERS_GROUP), max_size=2, unique=True))
    return Registry(
        "MX", draw(TEXT), draw(st.sampled_from(clients)), tuple(MemberClass(c, draw(TEXT)) for c in codes),
        tuple(found), made,
        (GlobalGroup(GlobalGroupId("MX", OWNERS_GROUP), draw(TEXT), owners),
         *(GlobalGroup(GlobalGroupId("MX", g), draw(TEXT), frozenset(draw(some))) for g in groups)),
        tuple(draw(st.lists(CAS, max_size=2, unique_by=lambda c: c.top.certificate))),
        tuple(draw(st.lists(st.builds(ApprovedTsa, TEXT, TEXT, CERTIFICATES, COSTS), max_size=2,
                            unique_by=lambda t: t.certificate))),
        draw(st.integers(1, 10**6)), draw(st.integers(1, 10**6)), draw(st.integers(1, 10**6)),
    )  # fmt: skip


@settings(max_examples=60, deadline=None, phases=QUICK, suppress_health_check=list(HealthCheck))
@given(registries(), st.booleans())
def test_a_registry_written_as_a_file_and_applied_to_itself_changes_nothing(
    registry: Registry, prune: bool
) -> None:
    assert list(check_registry(registry)) == []
    text, files = render_registry(registry, "a note\nof two lines")
    read = parse_registry(text, files.__getitem__)
    assert plan(registry, read, NOTHING, prune=prune).changes == ()
    alone = plan(None, read, NOTHING, prune=prune).registry
    said, meant = set(lines_of(alone)), set(lines_of(registry))
    assert {line for line in said ^ meant if OWNERS_GROUP not in line} == set()


@settings(max_examples=40, deadline=None, phases=QUICK, suppress_health_check=list(HealthCheck))
@given(registries(), registries())
def test_without_prune_nothing_is_removed_but_what_the_file_replaces(old: Registry, new: Registry) -> None:
    found = plan(old, new, NOTHING, prune=False).registry
    assert {m.id for m in found.members} == {m.id for m in old.members} | {m.id for m in new.members}
    assert list(check_registry(found)) == []
    assert {s.id for s in found.servers} >= {s.id for s in old.servers}
    there = {(s.id, c) for s in found.servers for c in s.clients}
    assert there >= {(s.id, c) for s in old.servers for c in s.clients}
    assert {d for s in found.servers for d in s.auth_certificates} >= {
        d for s in old.servers for d in s.auth_certificates
    }
    assert {g.id for g in found.groups} >= {g.id for g in old.groups}
    assert {c.top.certificate for c in found.cas} >= {c.top.certificate for c in old.cas}
    assert plan(found, new, NOTHING, prune=False).changes == ()


@settings(max_examples=40, deadline=None, phases=QUICK, suppress_health_check=list(HealthCheck))
@given(registries(), registries())
def test_with_prune_the_registry_is_what_the_file_says_but_for_what_requests_brought(
    old: Registry, new: Registry
) -> None:
    found = plan(old, new, NOTHING, prune=True).registry
    assert {m.id for m in found.members} == {m.id for m in new.members}
    assert {s.id for s in found.servers} == {s.id for s in new.servers}
    everything = Registered(
        frozenset(m.id for m in old.members),
        frozenset(s.id for s in old.servers),
        frozenset(d for s in old.servers for d in s.auth_certificates),
        frozenset((s.id, c) for s in old.servers for c in s.clients),
    )
    kept = plan(old, new, everything, prune=True).registry
    assert {m.id for m in kept.members} >= {m.id for m in old.members}
    assert {s.id for s in kept.servers} >= {s.id for s in old.servers}


# On a store


class Place:
    """A central server's folder and a registry file."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.data = folder, folder / "data"
        self.instance = Instance(folder, NOW)
        self.wanted = self.instance.registry(AFIL, HIST)
        self.store = CentralStore(self.data / "central.sqlite")
        with self.store.change(ANA, NOW) as records:
            import_registry(records, self.wanted)
        self.write(self.wanted)

    def write(self, registry: Registry) -> None:
        text, files = render_registry(registry)
        (self.folder / "registry.toml").write_text(text, encoding="utf-8")
        for name, der in files.items():
            (self.folder / name).parent.mkdir(exist_ok=True)
            (self.folder / name).write_bytes(der)

    def run(self, command: str, *words: str, status: int = 0) -> Result:
        done = CliRunner().invoke(main, [command, "--data", str(self.data), *words], env={"SACBE_LANG": "en"})
        assert done.exit_code == status, done.output
        return done

    def apply(self, *words: str) -> str:
        return self.run("apply", *words, str(self.folder / "registry.toml")).output

    def register(self) -> None:
        """A server of a new member, with a client, as an institute's requests bring them."""
        server = NEW.server("SS1")
        with self.store.change(ANA, NOW) as records:
            members.add_member(records, NEW, "Nuevo")
            for asked in (
                NewRequest(RequestType.AUTH_CERT_REGISTRATION, RequestOrigin.SECURITY_SERVER, server,
                           address="ss1.nuevo", certificate=certificates()[0]),
                NewRequest(RequestType.CLIENT_REGISTRATION, RequestOrigin.SECURITY_SERVER, server,
                           client=NEW.subsystem("AFIL"), subsystem_name="Afiliación"),
            ):  # fmt: skip
                approve_request(records, add_request(records, asked).number)

    def lines(self) -> set[str]:
        return set(lines_of(load_registry(self.store.read())))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.mark.parametrize("words", [(), ("--prune",)])
def test_what_requests_registered_is_never_removed_by_silence(place: Place, words: tuple[str, ...]) -> None:
    place.register()
    before = place.lines()
    told = place.apply(*words)
    assert place.lines() == before
    assert "nothing to change" in told
    assert "security server MX/GOB/30-NUEVO/SS1 has client MX/GOB/30-NUEVO/AFIL" in told
    assert f"group {OWNERS_GROUP} has MX/GOB/30-NUEVO" in before


def test_a_dry_run_says_every_change_line_by_line_and_makes_none(place: Place) -> None:
    other = replace(place.wanted, address="central.example", members=(
        *(m for m in place.wanted.members if m.id != ISSEMYM),
        Member(ISSEMYM, "x", "Otro nombre", (Subsystem("AFIL"), Subsystem("OTRO", "Otro"))),
    ))  # fmt: skip
    place.write(other)
    before = place.lines()
    told = place.apply("--dry-run").splitlines()
    assert [line for line in told if line[0] in "+-"] == [
        "- address 127.0.0.1",
        "- member MX/GOB/15-ISSEMYM: 15-ISSEMYM",
        "+ address central.example",
        "+ member MX/GOB/15-ISSEMYM: Otro nombre",
        "+ subsystem MX/GOB/15-ISSEMYM/OTRO: Otro",
    ]
    assert "  subsystem MX/GOB/15-ISSEMYM/HIST" in told
    assert place.lines() == before
    pruned = place.apply("--dry-run", "--prune")
    assert "- subsystem MX/GOB/15-ISSEMYM/HIST" in pruned
    assert place.lines() == before
    as_json = json.loads(place.apply("--prune", "--json"))
    assert as_json["applied"] is True
    assert "- subsystem MX/GOB/15-ISSEMYM/HIST" in as_json["changes"]
    assert "subsystem MX/GOB/15-ISSEMYM/HIST" not in place.lines()


def test_the_registry_exported_and_applied_changes_nothing(place: Place, tmp_path: Path) -> None:
    place.register()
    out = tmp_path / "elsewhere" / "registry.toml"
    out.parent.mkdir()
    place.run("export", str(out))
    for words in ((), ("--prune",)):
        told = place.run("apply", "--dry-run", *words, str(out)).output
        assert told.strip() == "nothing to change"


def test_a_name_that_came_with_a_request_stays_when_the_file_gives_none(place: Place) -> None:
    place.register()
    place.write(
        replace(place.wanted, members=(*place.wanted.members, Member(NEW, "", "Nuevo", (Subsystem("AFIL"),))))
    )
    place.apply()
    assert "subsystem MX/GOB/30-NUEVO/AFIL: Afiliación" in place.lines()


@pytest.mark.parametrize("words", [(), ("--prune",)])
def test_a_client_that_its_server_disabled_stays_disabled(place: Place, words: tuple[str, ...]) -> None:
    place.register()
    with place.store.change(ANA, NOW) as records:
        server = servers.need_server(records, NEW.server("SS1"))
        servers.enable_server_client(records, server, NEW.subsystem("AFIL"), enabled=False)
    server_file = RegisteredServer(NEW.server("SS1"), "other.address", (), ())
    member = Member(NEW, "", "Nuevo", (Subsystem("AFIL"),))
    place.write(replace(place.wanted, members=(*place.wanted.members, member), servers=(server_file,)))
    place.apply(*words)
    records = place.store.read()
    kept = servers.need_server(records, NEW.server("SS1"))
    assert kept.address == "other.address"
    assert servers.find_server_client(records, kept, NEW.subsystem("AFIL")) is False


def test_export_of_a_registry_that_is_not_whole_says_what_is_missing(tmp_path: Path) -> None:
    CentralStore(tmp_path / "data" / "central.sqlite").close()
    words = ["export", "--data", str(tmp_path / "data"), str(tmp_path / "out.toml")]
    done = CliRunner().invoke(main, words, env={"SACBE_LANG": "en"})
    assert done.exit_code == 1
    assert "not whole yet" in done.output
