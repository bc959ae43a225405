"""Names, codes and descriptions that XML, a terminal, a URL or PostgreSQL cannot carry, at every entrance; and old rows of the kind."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import argon2
import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from msgspec import inspect

from central_server.admin.api import make_api as make_central_api
from central_server.admin.context import CentralAdminContext
from central_server.cli.main import main as central_server
from central_server.config import Publishing
from central_server.datafolder import BACKUP_CONTENT
from central_server.edges.management import StoreKeeper
from central_server.management.requests import MANUAL
from central_server.publication.node import CentralNode
from central_server.registry.model import check_registry
from central_server.store import groups, members, servers, sources
from central_server.store.loading import import_registry
from central_server.store.records import Actor, CentralStore
from gateway.admin.api import make_api as make_gateway_api
from gateway.clients.model import ConnectionType, Endpoint
from gateway.clients.store import ServerConfStore
from gateway.edges.revocation import PeerRevocation
from gateway.server.process import GatewayProcess
from gateway.settings.config import GatewaySettings
from gateway.settings.datafolder import DataFolder
from schemas.faults import BadMessage, Fault, NotProved
from schemas.identifiers import ClientId
from schemas.management import (
    ManagementRequest,
    ManagementServiceCode,
    RequestHeader,
    parse_request,
    render_request,
)
from schemas.names import (
    check_code,
    check_host,
    check_name,
    is_host,
    not_in_xml,
    unsuitable_characters,
    without_unprintable,
)
from serving.api.authentication import Clock
from serving.api.backupoperations import BackupResource
from serving.api.operations import MultipartForm, Part
from serving.api.problems import Problem
from serving.api.validation import parse_body
from serving.config.adminsettings import AdminSettings
from serving.errors import OperatorError
from serving.login.users import Logins
from serving.storage.keysafe import KeySafe, Seal
from tests.instance import Instance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from serving.api.operations import Operation

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ANA = Actor("ana")
QUICK = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
MEMBER = ClientId("MX", "GOB", "15-ISSEMYM")

BAD_TEXTS = {
    "NUL": "A\x00B",
    "backspace": "A\x08B",
    "escape": "A\x1b[31mB",
    "unit separator at the end": "AB\x1f",
    "DEL": "A\x7fB",
    "C1 next line": "A\x85B",
    "C1 CSI": "A\x9b31mB",
    "C1 last": "A\x9fB",
    "U+FFFE": "A\ufffeB",
    "U+FFFF": "A\uffffB",
    "noncharacter of the block FDD0": "A\ufdd0B",
    "noncharacter of plane 1": "A\U0001fffeB",
    "noncharacter of plane 16": "A\U0010ffffB",
    "line separator": "A\u2028B",
    "paragraph separator": "A\u2029B",
    "right-to-left override": "A\u202eB",
    "left-to-right embedding": "A\u202aB",
    "isolate": "A\u2066B",
    "end of isolate": "A\u2069B",
    "right-to-left mark": "A\u200fB",
    "left-to-right mark": "A\u200eB",
    "Arabic letter mark": "A\u061cB",
    "zero width space": "A\u200bB",
    "zero width joiner between Latin letters": "A\u200dB",
    "zero width non-joiner between Latin letters": "A\u200cB",
    "byte order mark": "A\ufeffB",
    "word joiner": "A\u2060B",
    "soft hyphen": "A\u00adB",
    "Hangul filler": "A\u3164B",
    "tag letter": "A\U000e0041B",
    "interlinear annotation": "A\ufff9B",
    "tab": "A\tB",
    "two lines": "A\nB",
    "carriage return": "A\rB",
}
BAD_CODES = {
    "slash": "A/B",
    "backslash": "A\\B",
    "colon": "A:B",
    "semicolon": "A;B",
    "percent": "A%42B",
    "this folder": ".",
    "parent folder": "..",
    "three dots": "...",
    "one character that is two dots": "\u2025",
    "full-width dots": "\uff0e\uff0e",
    "one-dot leaders": "\u2024\u2024",
    "no-break space": "A\u00a0B",
    "ideographic space": "A\u3000B",
    "variation selector": "A\ufe0fB",
}
BAD_ENDS = {"blank before": " A", "blank after": "A ", "nothing": "", "blank": "   ", "too long": "A" * 256}
GOOD = (
    "ISSEMYM",
    "Instituto de Salud (Estado de México)",
    "Ñandú & Cía. <S.A.>",
    "社会保険",
    "a..b",
    "v1.0",
    "می\u200cخواهم",
    "😀",
)


def cases(*kinds: dict[str, str]) -> list[Any]:
    return [pytest.param(text, id=name) for kind in kinds for name, text in kind.items()]


# The rule


@pytest.mark.parametrize("text", cases(BAD_TEXTS, BAD_ENDS))
def test_no_name_is_taken_that_cannot_be_carried_or_seen(text: str) -> None:
    with pytest.raises(BadMessage):
        check_name(text, "the name")
    with pytest.raises(BadMessage):
        check_code(text, "the code")


@pytest.mark.parametrize("text", cases(BAD_CODES))
@pytest.mark.xroad("F135")
def test_no_code_is_taken_that_a_path_or_an_identifier_reads_otherwise(text: str) -> None:
    with pytest.raises(BadMessage):
        check_code(text, "the code")


@pytest.mark.parametrize("text", GOOD)
def test_names_of_the_world_are_taken(text: str) -> None:
    assert check_name(text, "the name") == text


@given(st.text(st.characters(codec=None), min_size=1, max_size=20))
def test_a_name_that_is_taken_is_carried_by_xml_and_shown_in_one_line(text: str) -> None:
    try:
        check_name(text, "the name")
    except BadMessage as fault:
        assert fault.detail.isprintable() or not fault.detail.isascii()
        return
    element = etree.Element("a")
    element.text = text
    assert etree.fromstring(etree.tostring(element)).text == text
    assert len(text.splitlines()) == 1
    assert "\x00" not in text.encode().decode()


@given(st.text(st.characters(codec=None)))
def test_a_mended_text_is_one_that_xml_carries(text: str) -> None:
    mended = without_unprintable(text)
    assert not_in_xml(mended) == ""
    assert len(mended) == len(text)
    etree.Element("a").text = mended


# Every field of both admin APIs, found from the tables


@pytest.fixture
async def operations(tmp_path: Path) -> AsyncIterator[list[Operation]]:
    settings, clock = AdminSettings(), Clock(lambda: NOW, lambda: 0.0)
    host = GatewayProcess(DataFolder(tmp_path / "gateway"), GatewaySettings(), None)
    node = CentralNode(
        tmp_path / "c", CentralStore(tmp_path / "central.sqlite"), Publishing(key_kind="ec-p256")
    )

    async def ask(*_: object) -> None:
        raise AssertionError("no external source is asked for")

    context = CentralAdminContext(
        node, lambda: MANUAL, StoreKeeper(node.store, lambda: MANUAL).trusted, ask, "test"
    )
    backups = BackupResource(
        tmp_path, BACKUP_CONTENT, tuple, lambda: "MX", "test", KeySafe((Seal.of_token(bytes(32)),))
    )
    logins = [Logins(tmp_path / f"logins{n}.sqlite", QUICK) for n in (1, 2)]
    gateway = make_gateway_api(host, settings, logins[0], clock, {})
    central = make_central_api(context, settings, logins[1], clock, backups, {})
    yield [*gateway.operations, *central.operations]
    for login in (*logins, host.logins):
        login.close()
    host.store.close()
    await node.close()


def string_fields(kind: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    """Where a type has strings: member names, ``[]`` for an item, ``{}`` for a mapping's key; and what is said of each."""
    extra: dict[str, Any] = {}
    while isinstance(kind, inspect.Metadata):
        extra |= kind.extra or {}
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        for each in kind.types:
            yield from string_fields(each, place)
    elif isinstance(kind, inspect.StructType):
        for member in kind.fields:
            yield from string_fields(member.type, (*place, member.encode_name))
    elif isinstance(kind, (inspect.ListType, inspect.VarTupleType, inspect.SetType, inspect.FrozenSetType)):
        yield from string_fields(kind.item_type, (*place, "[]"))
    elif isinstance(kind, inspect.DictType):
        yield from string_fields(kind.key_type, (*place, "{}"))
        yield from string_fields(kind.value_type, (*place, "{}value"))
    elif isinstance(kind, inspect.StrType):
        yield place, extra


def value_at(place: tuple[str, ...], text: str) -> Any:
    """A value that holds ``text`` at a place and nothing else."""
    if not place:
        return text
    inner = value_at(place[1:], text)
    match place[0]:
        case "[]":
            return [inner]
        case "{}":
            return {inner: "value"}
        case "{}value":
            return {"key": inner}
        case name:
            return {name: inner}


def refused_rules(kind: Any, place: tuple[str, ...], text: str) -> set[str]:
    """The rules that a body breaks with this text there, without those of members that are missing."""
    try:
        parse_body(kind, json.dumps(value_at(place, text)).encode())
    except Problem as problem:
        if not problem.validation_errors:
            return {"JSON"}
        return {rule for rules in problem.validation_errors.values() for rule in rules} - {"NotNull", "Type"}
    return set()


@pytest.mark.xroad("F135")
async def test_every_string_field_of_every_operation_refuses_what_cannot_be_carried(
    operations: list[Operation],
) -> None:
    tried, let_through = 0, []
    for operation in operations:
        for kind in (operation.body, operation.query):
            if kind is None or not isinstance(kind, type) or not issubclass(kind, msgspec.Struct):
                continue
            for place, extra in string_fields(inspect.type_info(kind)):
                bad = {**BAD_TEXTS, "surrogate": "A\ud800B", "very long": "A" * 100_000}
                for name in ("tab", "two lines", "carriage return") if extra.get("lines") else ():
                    del bad[name]
                for name, text in {**bad, **(BAD_CODES if extra.get("identifier") else {})}.items():
                    tried += 1
                    if not refused_rules(kind, place, text):
                        let_through.append(f"{operation.id} {'.'.join(place)}: {name}")
    assert let_through == []
    assert tried > 3000


async def test_every_form_field_refuses_what_cannot_be_carried(operations: list[Operation]) -> None:
    assert any(isinstance(o.body, MultipartForm) and o.body.fields for o in operations)
    for text in (*BAD_TEXTS.values(), "A" * 100_000):
        if text.strip(" \t\r\n") == text:
            with pytest.raises(Problem):
                Part(text.encode()).text()
    with pytest.raises(Problem):
        Part(b"A\xff").text()


# Below the APIs: the stores themselves, whoever calls them


@pytest.fixture(scope="module")
def instance(tmp_path_factory: pytest.TempPathFactory) -> Instance:
    return Instance(tmp_path_factory.mktemp("instance"), NOW)


@pytest.fixture
def store(tmp_path: Path, instance: Instance) -> Iterator[CentralStore]:
    made = CentralStore(tmp_path / "central.sqlite")
    with made.change(ANA, NOW) as records:
        import_registry(records, instance.registry(MEMBER))
    yield made
    made.close()


@pytest.mark.parametrize("text", cases(BAD_TEXTS, BAD_ENDS))
def test_the_registry_keeps_no_such_name(store: CentralStore, text: str) -> None:
    other = ClientId("MX", "GOB", "99-OTRO")
    acts: list[Any] = [
        lambda r: members.add_member(r, other, text),
        lambda r: members.rename_client(r, MEMBER, text),
        lambda r: members.add_subsystem(r, MEMBER.subsystem("X"), text),
        lambda r: members.add_member_class(r, "NEW", text),
        lambda r: members.describe_member_class(r, "GOB", text),
        lambda r: groups.add_group(r, "new", text),
        lambda r: groups.describe_group(r, "security-server-owners", text),
        lambda r: servers.add_server(r, MEMBER.server("SS9"), text),
        lambda r: sources.set_node_address(r, text),
    ]
    for act in acts:
        with pytest.raises(BadMessage), store.change(ANA, NOW) as records:
            act(records)


@pytest.mark.parametrize("text", cases(BAD_TEXTS, BAD_CODES, BAD_ENDS))
def test_the_registry_keeps_no_such_code(store: CentralStore, text: str) -> None:
    acts: list[Any] = [
        lambda r: members.add_member(r, ClientId("MX", "GOB", text), "Name"),
        lambda r: members.add_subsystem(r, MEMBER.subsystem(text), None),
        lambda r: members.add_member_class(r, text, "Class"),
        lambda r: groups.add_group(r, text, "Group"),
        lambda r: servers.add_server(r, MEMBER.server(text), "host.mx"),
    ]
    for act in acts:
        with pytest.raises(BadMessage), store.change(ANA, NOW) as records:
            act(records)


@pytest.mark.parametrize(
    "text", cases({n: t for n, t in BAD_TEXTS.items() if t not in ("A\tB", "A\nB", "A\rB")})
)
def test_no_statement_of_a_change_keeps_such_a_text(store: CentralStore, tmp_path: Path, text: str) -> None:
    with pytest.raises(BadMessage), store.change(ANA, NOW) as records:
        records.set_parameter("anything", text)
    gateway = ServerConfStore(tmp_path / "serverconf.sqlite")
    with pytest.raises(BadMessage), gateway.database.transaction() as sql:
        sql.execute(
            "INSERT INTO timestamping_service (name, url, added_at) VALUES (?, ?, ?)", (text, "http://t/", 0)
        )
    gateway.close()


@pytest.mark.parametrize("text", cases(BAD_TEXTS, BAD_ENDS))
def test_the_gateway_keeps_no_such_name_and_no_such_code(tmp_path: Path, text: str) -> None:
    store = ServerConfStore(tmp_path / "serverconf.sqlite")
    with pytest.raises(BadMessage):
        store.initialise(MEMBER.server(text), b"anchor")
    store.initialise(MEMBER.server("SS1"), b"anchor", owner_added_at=NOW)
    acts: list[Any] = [
        lambda t: t.clients.add(MEMBER.subsystem(text), ConnectionType.HTTP, NOW),
        lambda t: t.clients.set_name(MEMBER, text, None),
        lambda t: t.groups.add(MEMBER, text, "Group", NOW),
    ]
    for act in acts:
        with pytest.raises(BadMessage), store.change() as tables:
            act(tables)
    if unsuitable_characters(text, lines=True):
        with pytest.raises(BadMessage), store.change() as tables:
            tables.endpoints.add(MEMBER, Endpoint("code", "GET", f"/{text}"), generated=False)
    store.close()


@pytest.mark.parametrize("text", cases(BAD_TEXTS, BAD_ENDS))
def test_no_user_is_called_so(tmp_path: Path, text: str) -> None:
    logins = Logins(tmp_path / "logins.sqlite", QUICK)
    with pytest.raises(OperatorError):
        logins.save_user(text, "a good password", ["XROAD_SYSTEM_ADMINISTRATOR"])
    logins.close()


# Command line and files


@pytest.mark.parametrize("text", ["A\x08B", "A\ufffeB", "A\u202eB", "", "  ", " A", "A" * 3000])
def test_member_add_refuses_the_name_in_one_line(tmp_path: Path, instance: Instance, text: str) -> None:
    store = CentralStore(tmp_path / "data" / "central.sqlite")
    with store.change(ANA, NOW) as records:
        import_registry(records, instance.registry(MEMBER))
    store.close()
    for words in (
        ["MX/GOB/99-X", "--name", text],
        [f"MX/GOB/{text}", "--name", "X"],
        ["MX/GOB/9", "--name", "X", "--subsystem", text],
    ):
        done = CliRunner().invoke(central_server, ["member", "add", *words, "--data", str(tmp_path / "data")])
        assert done.exit_code == 1
        assert len(done.output.splitlines()) == 1
        assert unsuitable_characters(done.output.strip()) == ""
    again = CentralStore(tmp_path / "data" / "central.sqlite")
    assert [c.id.member_code for c in members.list_clients(again.read()) if c.id.is_member] == [
        "00-ONIESS",
        "15-ISSEMYM",
    ]
    again.close()


@pytest.mark.parametrize("text", cases(BAD_TEXTS, BAD_ENDS))
def test_a_registry_file_is_refused_with_the_row_at_fault(instance: Instance, text: str) -> None:
    registry = instance.registry(MEMBER)
    renamed = tuple(msgspec.structs.replace(m, name=text) if m.id == MEMBER else m for m in registry.members)
    assert any("MX/GOB/15-ISSEMYM" in p for p in check_registry(replace(registry, members=renamed)))
    assert any("address" in p for p in check_registry(replace(registry, address=text)))


# Management requests


@pytest.mark.parametrize("text", ["A\u202eB", "A\u0085B", "A\u200bB", "A\u2028B", "A\u007fB", "A" * 256])
def test_a_management_request_with_such_a_name_is_refused(text: str) -> None:
    header = RequestHeader(MEMBER, MEMBER.subsystem("M"), "id-1")
    for request in (
        ManagementRequest(
            ManagementServiceCode.CLIENT_REG, MEMBER.server("SS1"), MEMBER.subsystem("A"), subsystem_name=text
        ),
        ManagementRequest(ManagementServiceCode.CLIENT_REG, MEMBER.server("SS1"), MEMBER.subsystem(text)),
        ManagementRequest(ManagementServiceCode.ADDRESS_CHANGE, MEMBER.server("SS1"), address=text),
    ):
        with pytest.raises(Fault):
            parse_request(render_request(request, header))


# Rows that are there already


@pytest.fixture
async def node(tmp_path: Path, instance: Instance) -> AsyncIterator[CentralNode]:
    made = CentralNode(
        tmp_path / "node", CentralStore(tmp_path / "central.sqlite"), Publishing(key_kind="ec-p256")
    )
    with made.store.change(ANA, NOW) as records:
        import_registry(records, instance.registry(MEMBER.subsystem("AFIL")))
        sources.set_node_address(records, "central.mx")
    await made.keys.make_token("1234")
    for source in sources.SOURCES:
        await made.keys.make_signing_key(source, source, ANA, NOW)
    yield made
    await made.close()


def put_in(node: CentralNode, sql: str, *values: object) -> None:
    """Change a row as an older program or a hand would have: past every check."""
    with node.store.database.transaction() as transaction:
        transaction.execute(sql, values)
        transaction.execute(
            "UPDATE parameter SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) WHERE name = 'generation'"
        )


def published(node: CentralNode) -> bytes:
    assert node.published.current is not None
    return next(p.content for p in node.published.current.parts[6] if p.file_name == "shared-params.xml")


ROWS = {
    "member's name": (
        "UPDATE client SET name = ? WHERE member_code = '15-ISSEMYM' AND subsystem_code = ''",
        "15-ISSEMYM",
    ),
    "subsystem's name": ("UPDATE client SET name = ? WHERE subsystem_code = 'AFIL'", "AFIL"),
    "member's code": (
        "UPDATE client SET member_code = ? WHERE member_code = '15-ISSEMYM' AND subsystem_code = ''",
        None,
    ),
    "subsystem's code": ("UPDATE client SET subsystem_code = ? WHERE subsystem_code = 'AFIL'", None),
    "class's description": ("UPDATE member_class SET description = ? WHERE code = 'GOB'", "GOB"),
    "group's description": ("UPDATE global_group SET description = ?", "security-server-owners"),
    "group's code": (
        "INSERT INTO global_group (code, description, created_at, updated_at) VALUES (?, 'x', '', '')",
        None,
    ),
    "name of a CA": ("UPDATE approved_ca SET name = ?", "FFFD"),
    "name of a TSA": ("UPDATE tsa SET name = ?", "TSA"),
    "address of a responder": ("UPDATE ocsp_responder SET url = ?", "FFFD"),
}


@pytest.mark.parametrize("text", ["A\x08B", "\uffff"], ids=ascii)
@pytest.mark.parametrize("row", ROWS)
async def test_one_old_row_at_fault_is_named_and_everybody_else_published(
    node: CentralNode, row: str, text: str
) -> None:
    sql, _ = ROWS[row]
    put_in(node, sql, text)
    assert await node.publish_if_due(NOW)
    assert node.problem is None
    assert node.faults
    assert all(
        unsuitable_characters(fault.into(language)) == ""
        for fault in node.faults
        for language in ("en", "es")
    )
    assert b"00-ONIESS" in published(node)
    etree.fromstring(published(node))


async def test_a_row_without_a_code_or_a_member_is_left_out(node: CentralNode) -> None:
    put_in(node, "UPDATE client SET subsystem_code = '  ' WHERE subsystem_code = 'AFIL'")
    put_in(
        node,
        "INSERT INTO client (member_class, member_code, subsystem_code, name, created_at, updated_at) VALUES ('GOB', 'ORPHAN', 'S', 'X', '', '')",
    )
    assert await node.publish_if_due(NOW)
    assert len(node.faults) == 2
    assert b"15-ISSEMYM" in published(node)
    assert b"ORPHAN" not in published(node)


async def test_a_mended_name_is_mended_for_good_when_it_is_corrected(node: CentralNode) -> None:
    put_in(node, ROWS["member's name"][0], "A\x08B")
    assert await node.publish_if_due(NOW)
    assert "A\ufffdB".encode() in published(node)
    with node.store.change(ANA, NOW) as records:
        members.rename_client(records, MEMBER, "Bien")
    assert await node.publish_if_due(NOW)
    assert node.faults == ()
    assert b"Bien" in published(node)


async def test_what_cannot_be_generated_leaves_the_last_configuration_which_does_not_expire(
    node: CentralNode,
) -> None:
    assert await node.publish_if_due(NOW)
    good = published(node)
    put_in(node, "UPDATE parameter SET value = ? WHERE name = 'management_service'", "MX/GOB/A\x08B")
    later = NOW + timedelta(minutes=9)
    assert not await node.publish_if_due(later)
    assert node.problem is not None
    said = node.problem.into("es")
    assert "central.sqlite" in said
    assert "management_service" in said
    assert published(node) == good
    assert node.published.current is not None
    assert node.published.current.at == later


# Where a server is

HOSTS = (
    "ss1.mx",
    "SS1.GOB.MX",
    "a",
    "my_host.local",
    "10.0.0.1",
    "::1",
    "2001:db8::7",
    "ñandú.mx",
    "x-1.mx",
    "a.b.c.d.e",
    "1.mx",
)
NO_HOSTS = (
    *(
        "http://x.mx",
        "x.mx:80",
        "10.0.0.1:5500",
        "[::1]",
        "[::1]:80",
        "x.mx/y",
        "x.mx?y",
        "x.mx#y",
        "x.mx#:5577",
        "user@x.mx",
    ),
    *(
        "a b.mx",
        "x..mx",
        ".mx",
        "x.mx.",
        "-x.mx",
        "x-.mx",
        "*.mx",
        "%41.mx",
        "x%2Fy.mx",
        "x\\y.mx",
        "fe80::1%eth0",
        "fe80::1%25eth0",
    ),
    *(
        "169.254.169.254/latest/meta-data",
        "0x7f.0.0.1",
        "0x7f000001",
        "2130706433",
        "127.1",
        "0177.0.0.1",
        "1.2.3.4.5",
        "256.1.1.1",
    ),
    *(
        "",
        " ",
        "x" * 64 + ".mx",
        "x." * 130 + "mx",
        "x.mx,y.mx",
        "x.mx;y",
        "x.mx\u3002evil",
        "x\u200b.mx",
        "x.mx\u2044y",
        "$(id).mx",
        "'x'.mx",
    ),
)


@pytest.mark.parametrize("host", HOSTS)
def test_a_host_name_or_an_address_is_where_a_server_is(host: str) -> None:
    assert check_host(host, "the address") == host


@pytest.mark.parametrize("text", NO_HOSTS)
def test_what_could_be_read_as_more_than_a_host_is_no_address_of_a_server(text: str) -> None:
    assert not is_host(text)
    with pytest.raises(BadMessage, match="the address"):
        check_host(text, "the address")


@pytest.mark.parametrize("text", NO_HOSTS)
async def test_a_peer_s_registered_address_leads_to_no_other_place(text: str) -> None:
    asked: list[object] = []

    class Session:
        def get(self, *arguments: object, **_: object) -> None:
            asked.append(arguments)

    with pytest.raises(NotProved, match="no host"):
        await PeerRevocation(Session()).ask(text, ())  # type: ignore[arg-type]
    assert asked == []
