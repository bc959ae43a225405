"""What a gateway is, written as a file and applied, changes nothing; rights go to somebody who is known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.cli.knownsubjects import nearest
from gateway.cli.main import main
from gateway.clients.desiredfile import render_desired
from gateway.clients.model import (
    AccessRight,
    Client,
    ConnectionType,
    Endpoint,
    LocalGroup,
    ServerConf,
    Service,
    ServiceType,
    Validation,
)
from gateway.clients.records import TimestampingService
from gateway.desired.file import compare, compare_timestamping, parse_desired, settle
from schemas.identifiers import (
    ClientId,
    GlobalGroupId,
    LocalGroupId,
    ServerId,
    ServiceId,
    suspicious_characters,
)
from tests.integration.hosting import prepare
from tests.worlds import CONSUMER

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

CODES = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=8
).filter(lambda t: not suspicious_characters(t) and t.strip() and "/" not in t)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
CLIENTS = st.builds(ClientId, st.just("MX"), CODES, CODES, st.none() | CODES)
SERVER = ServerId("MX", "GOB", "1", "SS1")
PATHS = st.sampled_from(("**", "/a/*", "/**", "*/b"))


@st.composite
def configurations(draw: st.DrawFn) -> ServerConf:
    clients = draw(
        st.lists(
            st.builds(Client, CLIENTS, st.sampled_from(ConnectionType), st.frozensets(st.binary(min_size=1), max_size=2)),
            max_size=3,
            unique_by=lambda c: c.id,
        )
    )  # fmt: skip
    services, rights, groups = [], [], []
    for client in clients:
        codes = draw(st.lists(st.tuples(CODES, st.none() | CODES), max_size=3, unique=True))
        services += [
            Service(
                ServiceId(client.id, *code), ServiceType.REST, draw(st.just("http://h/") | st.just("https://h:1/%C3%B1/%22")),
                draw(st.floats(0, 1000)), draw(st.booleans()), draw(st.none() | TEXT),
                validation=draw(st.sampled_from(Validation)),
            )
            for code in codes
        ]  # fmt: skip
        mine = draw(st.lists(CODES, max_size=2, unique=True))
        groups += [LocalGroup(client.id, g, draw(st.frozensets(CLIENTS, max_size=2))) for g in mine]
        subjects = CLIENTS | st.builds(GlobalGroupId, CODES, CODES)
        if mine:
            subjects |= st.sampled_from([LocalGroupId(g) for g in mine])
        for code in {c for c, _ in codes}:
            for _ in range(draw(st.integers(0, 2))):
                endpoint = Endpoint(code, draw(st.sampled_from(("*", "GET", "POST"))), draw(PATHS))
                rights.append(AccessRight(client.id, draw(subjects), endpoint))
    found = dict.fromkeys(rights)
    return ServerConf(SERVER, tuple(clients), tuple(services), tuple(found), tuple(groups), ())


@settings(max_examples=80, deadline=None)
@given(
    configurations(),
    st.lists(
        st.builds(TimestampingService, TEXT, TEXT, st.sampled_from(("FREE", "PAID", "UNDEFINED"))),
        max_size=2,
        unique_by=lambda t: (t.name, t.url),
    ),
)
def test_a_configuration_written_as_a_file_and_read_changes_nothing(
    conf: ServerConf, timestamping: list[TimestampingService]
) -> None:
    text, files = render_desired(conf, timestamping, "a note")
    read = parse_desired(text, SERVER, files.__getitem__, files.__getitem__)
    if conf.clients:
        assert compare(conf, settle(conf, read.conf)) == []
    else:
        assert not read.says_clients
    assert compare_timestamping(timestamping, read.timestamping) == []


def run(data: Path, *words: str, status: int = 0) -> Result:
    done = CliRunner().invoke(main, [*words, "--data", str(data)], env={"SACBE_LANG": "en"})
    assert done.exit_code == status, done.output
    return done


@pytest.fixture
def data(tmp_path: Path) -> Path:
    prepare(tmp_path / "data")
    client = ("--client", CONSUMER.path())
    run(
        tmp_path / "data",
        "service",
        "add",
        *client,
        "--url",
        "http://127.0.0.1:9/",
        "--code",
        "sum",
        "--type",
        "REST",
    )
    return tmp_path / "data"


def test_what_is_exported_applies_to_no_change(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "gateway.toml"
    run(data, "apply", "--export", str(out))
    assert f'id = "{CONSUMER.path()}"' in out.read_text()
    assert run(data, "apply", str(out)).output.strip() == "nothing to change"


@pytest.mark.parametrize("text", ["", "# nothing\n", "timestamping = []\n"])
def test_a_file_without_clients_takes_no_client_away(data: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "gateway.toml").write_text(text)
    run(data, "apply", str(tmp_path / "gateway.toml"))
    assert CONSUMER.path() in run(data, "client", "list").output


@pytest.mark.parametrize(
    "subject",
    ["MX/GOB/15-ISSEMYM/AFILX", "MX/GOB/99", "group:MX/nogroup", "local:x", "XX/GOB/15-ISSEMYM/AFIL"],
)
def test_nobody_is_allowed_by_mistake(data: Path, subject: str) -> None:
    words = ("service", "allow", "--client", CONSUMER.path(), "sum", subject)
    refused = run(data, *words, status=1).output
    assert f"nobody knows {subject} here" in refused
    assert "--force" in refused
    assert "may call sum" in run(data, *words, "--force").output


def test_a_near_name_is_proposed(data: Path) -> None:
    words = ("service", "allow", "--client", CONSUMER.path())
    assert "do you mean sum? (there are: sum)" in run(data, *words, "summ", CONSUMER.path(), status=1).output
    assert nearest("AFILX", ["HIST", "AFIL"]) == "AFIL"
    assert nearest("qqqq", ["HIST", "AFIL"]) is None
    assert nearest("x", []) is None
