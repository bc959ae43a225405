"""Traffic recorded from live X-Road 7.8.0 servers: read with the verdict it had, and set beside what ours writes.

The second half compares field by field. What differs on purpose stands, with its reason, in the table of docs/interop.md;
a difference that is not there fails, and so does a row whose difference no longer exists.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from datetime import UTC, datetime
from functools import cache
from typing import IO, TYPE_CHECKING

import pytest
from lxml import etree

from certs.configuration import verify_directory
from certs.edges.configurationfiles import load_configuration_folder
from certs.verify.container import verify_container
from gateway.exchange.soapentity import EntityReader, content_type_for, write_entity
from gateway.messagelog.archive import verify_archive
from gateway.messagelog.spool import SpoolFolder
from schemas.globalconf.anchor import parse_anchor
from schemas.multipart import parse_content_type
from tests.doubles import one_by_one
from tests.paths import PROJECT
from tests.vectors.recorded import (
    KINDS,
    RECORDED,
    Played,
    Wire,
    play_to_consumer,
    play_to_provider,
    recorded,
    split_parts,
    split_with,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

MANIFEST = json.loads((RECORDED / "MANIFEST.json").read_text(encoding="utf-8"))["files"]
NAMES = [entry["file"] for entry in MANIFEST]
FAULTS = {
    "rest-unknown": "unknown_service",
    "rest-denied": "access_denied",
    "soap-unknown": "unknown_service",
}


# Every recorded file has the verdict that the list says


@cache
def expected(name: str) -> str:
    """What the list expects of a file."""
    return str(next(e for e in MANIFEST if e["file"] == name).get("expected", ""))


@cache
def played(kind: str) -> Played:
    """Our consumer side, asked as X-Road's was."""
    return asyncio.run(play_to_consumer(kind))


@cache
def answered(kind: str) -> Wire:
    """Our provider side, sent what X-Road's was."""
    return asyncio.run(play_to_provider(kind))


def check_container(name: str) -> None:
    configuration = load_configuration_folder(RECORDED / "verificationconf-from-x-road", strict=False)
    with (RECORDED / name).open("rb") as file:
        verdict = verify_container(file, configuration)
    assert expected(name).startswith("valid")
    assert verdict.is_valid, verdict.steps


def check_archive(name: str) -> None:
    configuration = load_configuration_folder(RECORDED / "verificationconf-from-x-road", strict=False)
    said = re.fullmatch(r"valid, previous digest (\w+); (\d+) containers", expected(name))
    assert said is not None
    valid: list[str] = []

    def look(inner: str, container: IO[bytes]) -> None:
        verdict = verify_container(container, configuration)
        assert verdict.is_valid, (inner, verdict.steps)
        valid.append(inner)

    with (RECORDED / name).open("rb") as file:
        verdict = verify_archive(file, said[1], look)
    assert valid == verdict.containers
    assert len(valid) == int(said[2])


def check_anchor(name: str) -> None:
    anchor = parse_anchor((RECORDED / name).read_bytes())
    assert anchor.instance == "DEV"
    assert anchor.sources


def check_directory(name: str) -> None:
    anchor = parse_anchor((RECORDED / "ours-anchor.xml").read_bytes())
    certificates = [c for source in anchor.sources for c in source.verification_certificates]
    at = datetime(2026, 11, 29, 15, 2, tzinfo=UTC)
    directory = verify_directory((RECORDED / name).read_bytes(), certificates, at)
    assert str(directory.version) == name.rpartition(".v")[2]
    assert [p.content_id for p in directory.parts] == ["SHARED-PARAMETERS", "PRIVATE-PARAMETERS"]


def check_request(name: str) -> None:
    kind = name.partition(".")[0]
    answer = answered(kind)
    if kind in FAULTS:
        assert f"<faultcode>server.serverproxy.{FAULTS[kind]}<".encode() in answer.body
    else:
        assert [p.kind for p in split_parts(answer)][-1] == "signature/bdoc-1.0/ts", answer.body[:500]


def check_response(name: str) -> None:
    kind = name.partition(".")[0]
    given = played(kind).given
    if kind in FAULTS:
        assert f"server.serverproxy.{FAULTS[kind]}".encode() in given.body
        return
    theirs = split_parts(recorded(kind, "x-road-provider", "response"))
    assert given.first == "HTTP/1.1 200 OK"
    if kind.startswith("rest"):
        assert given.body == theirs[1].content
    elif kind == "soap-getwsdl":
        assert theirs[0].content in given.body
    else:
        assert given.body == theirs[0].content


def check_given(name: str) -> None:
    assert recorded(*name.split(".")).first in ("HTTP/1.1 200", "HTTP/1.1 500")


def check_stored(name: str) -> None:
    folder = RECORDED / name.partition("/")[0]
    assert load_configuration_folder(folder, strict=False).instance == "DEV"


CHECKS: dict[str, Callable[[str], None]] = {
    r".*\.asice": check_container,
    r"mlog.*\.zip": check_archive,
    r".*anchor\.xml": check_anchor,
    r".*internalconf\.v\d+": check_directory,
    r".*\.request\.(bin|headers)": check_request,
    r".*\.response\.(bin|headers)": check_response,
    r".*\.to-client": check_given,
    r"(globalconf|verificationconf)-.*/.*": check_stored,
}


@pytest.mark.parametrize("entry", MANIFEST, ids=NAMES)
@pytest.mark.xroad("F087", "F086", "F088", "F111", "F158")
def test_a_recorded_file_has_the_verdict_it_had_between_the_live_servers(entry: dict[str, str]) -> None:
    raw = (RECORDED / entry["file"]).read_bytes()
    assert hashlib.sha256(raw).hexdigest() == entry["sha256"]
    check = next(c for pattern, c in CHECKS.items() if re.fullmatch(pattern, entry["file"]))
    check(entry["file"])


# Field by field


Fields = dict[str, str]
_LEVELLED = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uuid>"),
    (r"boundary=(xtop|xatt)\w+", r"boundary=\1<any>"),
    (r"boundary=(xroad|sacbe)\w+", r"boundary=xroad<any>"),  # the second was ours then
    (r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", "<date>"),
    (r"[A-Za-z0-9+/]{80,}={0,2}", "<digest>"),
    (r"COM/(1111|4321)/(CliX1|CliA)", "<client>"),
    (r"COM/(1111|4321)/(SvcX1|SvcA)", "<provider>"),
    (r"(rsa|ecdsa)-sha512", "<key>-sha512"),
    (r"rec-[a-z-]+-(ssa-x1|x1-ssa)", "<id>"),
    (r"(ssa|127\.0\.0\.1):\d+", "<peer>"),
)
# The recorder ended every answer's connection; how a connection is kept belongs to the connection (RFC 9110 7.6.1).
_OF_THE_CONNECTION = {"connection", "content-length", "transfer-encoding"}


def level(text: str) -> str:
    """A text without what differs from message to message by nature: identifiers, digests, dates, who called whom."""
    for pattern, stands_for in _LEVELLED:
        text = re.sub(pattern, stands_for, text)
    return text


def http_fields(message: Wire) -> Fields:
    """First line (reasons are free text), framing, every header as it is spelled, and their order."""
    kept = [(n, v) for n, v in message.headers if n.lower() not in _OF_THE_CONNECTION]
    status = re.match(r"HTTP/1.1 \d{3}", message.first)
    found = {"first line": status[0] if status else message.first}
    found["framing"] = "chunked" if message.header("transfer-encoding") == "chunked" else "length"
    found["header order"] = ", ".join(n.lower() for n, _ in kept)
    return found | {f"header {n.lower()}": f"{n}: {level(v)}" for n, v in kept}


def part_fields(message: Wire) -> Fields:
    """The parts in order, their header lines, and the lines of a REST part."""
    parts = split_parts(message)
    found = {"parts": ", ".join(level(p.kind).partition(";")[0] for p in parts)}
    for part in parts:
        name = level(part.kind).partition(";")[0]
        found[f"part {name}"] = ", ".join(f"{n}: {level(v)}" for n, v in part.headers)
        if "rest-re" in part.kind:
            found[f"lines of {name}"] = level(part.content.decode())
        if "hash-chain" in part.kind or "signature" in part.kind:
            found[f"elements of {name}"] = level(", ".join(elements(part.content)))
        for number, inner in enumerate(part.inner, 1):
            found[f"attachment {number}"] = ", ".join(f"{n}: {level(v)}" for n, v in inner.headers)
    return found


def elements(raw: bytes) -> Iterator[str]:
    """The elements of a signature or a hash chain in order, with the algorithms and references they name."""
    for element in etree.fromstring(raw).iter("{*}*"):
        named = [
            f" {n}={v!s}"
            for n, v in sorted(element.attrib.items())
            if n in ("Algorithm", "URI", "Type", "Id", "id")
        ]
        yield etree.QName(element).localname + "".join(named)


def fault_fields(message: Wire) -> Fields:
    """A fault's form with its code, and the words it begins with."""
    text = level(message.body.decode())
    words = re.search(r'<faultstring>(.*?)</faultstring>|"message":\s*"(.*?)"', text)
    assert words is not None
    said = words[1] or words[2]
    return {"fault": text.replace(said, "<text>"), "fault text": said}


def entity_fields(message: Wire) -> Fields:
    """The parts a system is given, each with its header lines."""
    boundary = parse_content_type(message.header("content-type") or "")[1].get("boundary")
    if boundary is None:
        return {}
    parts = split_with(message.body, boundary.encode())
    return {
        f"entity part {n}": ", ".join(f"{a}: {level(b)}" for a, b in p.headers)
        for n, p in enumerate(parts, 1)
    }


def request_fields(kind: str) -> Iterator[tuple[str, Fields, Fields]]:
    theirs, ours = recorded(kind, "x-road-consumer", "request"), played(kind).sent
    yield (
        "request to a peer",
        http_fields(theirs) | part_fields(theirs),
        http_fields(ours) | part_fields(ours),
    )


def answer_fields(kind: str) -> Iterator[tuple[str, Fields, Fields]]:
    theirs, ours = recorded(kind, "x-road-provider", "response"), answered(kind)
    within = fault_fields if kind in FAULTS else part_fields
    yield "answer to a peer", http_fields(theirs) | within(theirs), http_fields(ours) | within(ours)


def given_fields(kind: str) -> Iterator[tuple[str, Fields, Fields]]:
    theirs, ours = recorded(kind, "x-road-consumer", "to-client"), played(kind).given
    of_theirs, of_ours = http_fields(theirs) | entity_fields(theirs), http_fields(ours) | entity_fields(ours)
    if kind in FAULTS:  # its words are the provider's
        of_theirs |= {"fault": fault_fields(theirs)["fault"]}
        of_ours |= {"fault": fault_fields(ours)["fault"]}
    yield "answer to a system", of_theirs, of_ours


@cache
def differences() -> dict[tuple[str, str], tuple[str, str]]:
    """Where and in which field ours differs from X-Road's, with what each writes; a text differs if it begins otherwise."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for kind in KINDS:
        for compare in (request_fields, answer_fields, given_fields):
            for where, theirs, ours in compare(kind):
                for name in sorted(theirs.keys() | ours.keys()):
                    a, b = theirs.get(name, ""), ours.get(name, "")
                    if a != b and not (name == "fault text" and b.startswith(a)):
                        found[where, name] = (a, b)
    return found


_PLACES = {
    "petición a un par": "request to a peer",
    "respuesta a un par": "answer to a peer",
    "respuesta a un sistema": "answer to a system",
}
# "| request to a peer | header order | theirs | ours | why |"
_ROW = re.compile(
    rf"\| ({'|'.join((*_PLACES, *_PLACES.values()))}) \| ([^|]+) \| ([^|]*) \| ([^|]*) \| ([^|]+) \|"
)


def listed(page: str) -> dict[tuple[str, str], tuple[str, str]]:
    """The deliberate differences, as a page lists them; each has a reason."""
    text = (PROJECT / "docs" / page).read_text(encoding="utf-8")
    return {(_PLACES.get(m[1], m[1]), m[2].strip()): (cell(m[3]), cell(m[4])) for m in _ROW.finditer(text)}


def cell(text: str) -> str:
    """What a cell of the table says; a dash says that there is none."""
    text = text.strip().strip("`")
    return "" if text == "-" else text


@pytest.mark.xroad("F088")
def test_every_difference_from_x_road_that_a_peer_can_see_is_listed_with_its_reason_and_exists() -> None:
    assert differences() == listed("interop.md") == listed("interoperar.md")


def test_every_kind_that_was_recorded_is_compared() -> None:
    assert {entry["kind"] for entry in MANIFEST if "kind" in entry} == set(KINDS)


async def test_a_description_reaches_its_system_in_the_bytes_in_which_x_road_hands_it_on(
    tmp_path: Path,
) -> None:
    head, _, entity = (
        (RECORDED / "soap-getwsdl.x-road-consumer.to-client").read_bytes().partition(b"\r\n\r\n")
    )
    (content_type,) = re.findall(r"(?m)^Content-Type: (.+)\r$", head.decode())
    reader = EntityReader(content_type, one_by_one(entity, 700), SpoolFolder(tmp_path).new, 1 << 20)
    envelope = await reader.read_envelope()
    assert envelope is not None
    bodies = await reader.read_bodies()
    # What is ours to choose is the boundary: here the recorded one.
    boundary = parse_content_type(content_type)[1]["boundary"]
    handed_on = content_type_for(content_type, envelope, bodies, boundary)
    assert b"".join([chunk async for chunk in write_entity(envelope, bodies, handed_on)]) == entity
    reader.discard()
