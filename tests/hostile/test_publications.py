"""Whoever stands between a central server and a gateway may alter, cut, swap, mix and replay what is published: nothing comes of it.

Either an answer leads to exactly what was signed last, or it is refused with a reason, what was in force stays in force until
its own end, the files on the disk stay as they are, and whoever watches is told.
"""

from __future__ import annotations

import hashlib
import random
import re
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp import web

from central_server.config import Publishing
from central_server.publication.node import CentralNode
from central_server.store import sources
from central_server.store.loading import import_registry
from central_server.store.records import Actor, CentralStore
from gateway.edges.configuration import ConfigurationClient
from schemas.faults import Fault
from schemas.globalconf.anchor import Anchor, AnchorSource, render_anchor
from tests.instance import Instance

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from central_server.publication.publish import Publication

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
EXPIRES_S = 600
ANA = Actor("ana")
VERSION = 6
DIRECTORY = f"/internalconf?version={VERSION}"

# What a gateway asks for, and what it is given.
Files = dict[str, bytes]


def files_of(publication: Publication) -> Files:
    """All that is served of a publication: both directories of the newest version, and its parts."""
    found = {
        f"/{source}conf?version={version}": directory
        for (source, version), directory in publication.directories.items()
        if version == VERSION
    }
    return found | {part.path: part.content for part in publication.parts[VERSION]}


def paths_of(files: Mapping[str, bytes]) -> tuple[str, str]:
    """Where the shared and the private part of some files are."""
    parts = [path for path in files if path.startswith("/V")]
    shared, private = (next(p for p in parts if name in p) for name in ("shared", "private"))
    return shared, private


@dataclass
class Between:
    """A gateway's configuration client, and somebody between it and the publications it is to have."""

    make: Callable[[Path], ConfigurationClient]
    folder: Path
    older: Files  # in force at the gateway before
    newer: Files  # published since
    ahead: Files  # published while the central server's clock ran a year ahead
    foreign: Files  # of another central server that says it is the same instance, later
    served: Files = field(default_factory=dict)
    content_type: str = "text/plain"
    now: datetime = NOW
    told: list[str] = field(default_factory=list)
    client: ConfigurationClient = field(init=False)

    async def begin(self) -> None:
        """The client has the older publication, and nothing since."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.client = self.make(self.folder)
        self.client.when_refused(lambda _url, reason: self.told.append(reason))
        self.served, self.now = dict(self.older), NOW
        await self.client.refresh()
        assert self.told == []

    async def answer(self, request: web.BaseRequest) -> web.Response:
        body = self.served.get(request.path_qs)
        if body is None:
            return web.Response(status=404)
        return web.Response(body=body, headers={"Content-Type": self.content_type})

    def on_disk(self) -> dict[str, str]:
        """Digests of what the client keeps."""
        return {
            str(path.relative_to(self.folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }

    def in_force(self) -> tuple[bytes, ...]:
        """The bytes of the parts in force."""
        return tuple(path.read_bytes() for path in sorted(self.folder.glob("MX/*-params.xml")))


async def publications(folder: Path, name: str, moments: list[datetime]) -> tuple[bytes, list[Files]]:
    """A central server's certificate of its internal source, and what it publishes at some moments."""
    node = CentralNode(
        folder / name,
        CentralStore(folder / name / "central.sqlite"),
        Publishing(key_kind="ec-p256", minimum_version=VERSION),
    )
    try:
        with node.store.change(ANA, NOW) as records:
            import_registry(records, Instance(folder / f"{name}-world", NOW).registry())
        await node.keys.make_token("Secret1234")
        keys = [await node.keys.make_signing_key(s, s, ANA, NOW) for s in sources.SOURCES]
        found = []
        for moment in moments:
            with node.store.change(ANA, moment) as records:
                records.set_parameter(
                    "timestamping_interval_s", str(60 + moment.second)
                )  # of the private part
                records.set_parameter("ocsp_freshness_s", str(3600 + moment.second))  # of the shared one
            assert await node.publish_if_due(moment)
            assert node.published.current is not None
            found.append(files_of(node.published.current))
        return keys[0].certificate, found
    finally:
        await node.close()


@pytest.fixture
async def between(tmp_path: Path) -> AsyncIterator[Between]:
    later = NOW + timedelta(seconds=7)
    year = NOW + timedelta(days=366)
    certificate, (older, ahead, newer) = await publications(tmp_path, "ours", [NOW, year, later])
    _, (foreign,) = await publications(tmp_path, "theirs", [later + timedelta(seconds=1)])
    async with aiohttp.ClientSession() as session:

        async def answer(request: web.BaseRequest) -> web.Response:
            return await made.answer(request)

        runner = web.ServerRunner(web.Server(answer, access_log=None))
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        anchor = render_anchor(
            Anchor("MX", (AnchorSource(f"http://{host}:{port}/internalconf", (certificate,)),), NOW)
        )
        made = Between(
            lambda folder: ConfigurationClient(anchor, folder, session, clock=lambda: made.now),
            tmp_path / "conf",
            older,
            newer,
            ahead,
            foreign,
        )
        await made.begin()
        yield made
        await runner.cleanup()


def swapped(files: Mapping[str, bytes], one: str, other: str) -> Files:
    return {**files, one: files[other], other: files[one]}


def reheaded(change: Callable[[bytes], bytes]) -> Callable[[Between], Files]:
    """The newer publication, its internal directory changed."""
    return lambda b: {**b.newer, DIRECTORY: change(b.newer[DIRECTORY])}


def substituted(
    pattern: bytes, by: bytes | Callable[[re.Match[bytes]], bytes], count: int = 0
) -> Callable[[Between], Files]:
    """The same by a regular expression, which must be found."""

    def change(directory: bytes) -> bytes:
        changed, found = re.subn(pattern, by, directory, count=count)
        assert found
        return changed

    return reheaded(change)


def boundaries(directory: bytes) -> tuple[bytes, bytes]:
    outer, inner = re.findall(rb"boundary=\"?([A-Za-z0-9]+)", directory)[:2]
    return outer, inner


def parts_of(b: Between, other: Callable[[Between], Files]) -> Files:
    """The newer directory at whose paths the parts of another publication are."""
    mine, theirs = paths_of(b.newer), paths_of(other(b))
    return {**b.newer, **{m: other(b)[t] for m, t in zip(mine, theirs, strict=True)}}


def signed_by_another(b: Between) -> Files:
    """The newer directory's signed part, with the signature part of the foreign one."""
    outer = boundaries(b.newer[DIRECTORY])[0]
    theirs = b.foreign[DIRECTORY].replace(boundaries(b.foreign[DIRECTORY])[0], outer)
    mark = b"--" + outer
    mine, given = b.newer[DIRECTORY].split(mark), theirs.split(mark)
    return {**b.newer, DIRECTORY: mark.join([*mine[:2], *given[2:]])}


def with_first_part(extra: bytes) -> Callable[[Between], Files]:
    """The newer directory with a part in front of the signed one."""

    def change(directory: bytes) -> bytes:
        mark = b"--" + boundaries(directory)[0] + b"\r\n"
        head, _, rest = directory.partition(mark)
        return head + mark + extra + b"\r\n" + mark + rest

    return reheaded(change)


FORGED_LIST = b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nExpire-date: 2036-01-01T00:00:00Z\r\nVersion: 6\r\n\r\n--x--"
REFUSED: dict[str, Callable[[Between], Files]] = {
    "no directory": lambda b: {p: c for p, c in b.newer.items() if p != DIRECTORY},
    "empty directory": reheaded(lambda _: b""),
    "cut in the middle": reheaded(lambda d: d[: len(d) // 2]),
    "cut before the signature": reheaded(lambda d: d[: d.rindex(b"--" + boundaries(d)[0], 0, -40)]),
    "external directory": lambda b: {**b.newer, DIRECTORY: b.newer[f"/externalconf?version={VERSION}"]},
    "a part as the directory": lambda b: {**b.newer, DIRECTORY: b.newer[paths_of(b.newer)[0]]},
    "a later end": substituted(rb"Expire-date: 2026", b"Expire-date: 2036"),
    "no end": substituted(rb"Expire-date: [^\r\n]*\r\n", b""),
    "another version": substituted(rb"Version: 6", b"Version: 2"),
    "another instance": substituted(rb"instance='MX'", b"instance='XM'"),
    "another place of a part": substituted(rb"Content-location: /V6", b"Content-location: //evil.example/V6"),
    "one part less": substituted(rb"(?s)Content-identifier: PRIVATE.*?\r\n\r\n[^\r\n]*\r\n", b"\r\n", 1),
    "a digest of another part": substituted(
        rb"(?s)(sha512\r\n\r\n)(.)", lambda m: m[1] + (b"A" if m[2] != b"A" else b"B"), 1
    ),
    "a weaker digest": substituted(rb"Hash-algorithm-id: [^\r\n]*", b"Hash-algorithm-id: http://www.w3.org/2000/09/xmldsig#sha1"),
    "no inner boundary": substituted(rb"(multipart/mixed[^\r\n]*?); ?boundary=[^\r\n]*", rb"\1", 1),
    "a signature of nothing": substituted(rb"(?si)(Signature-algorithm-id: [^\r\n]*).*\Z", rb"\1\r\n\r\n", 1),
    "no signature algorithm": substituted(rb"(?i)Signature-algorithm-id: [^\r\n]*\r\n", b""),
    "an unkeyed algorithm": substituted(
        rb"(?i)Signature-algorithm-id: [^\r\n]*", b"Signature-algorithm-id: http://www.w3.org/2000/09/xmldsig#hmac-sha1"
    ),
    "another certificate's hash": lambda b: {
        **b.newer,
        DIRECTORY: re.sub(
            rb"(?i)(Verification-certificate-hash: )[^;\r\n]*",
            rb"\g<1>" + re.findall(rb"(?i)Verification-certificate-hash: ([^;\r\n]*)", b.foreign[DIRECTORY])[0],
            b.newer[DIRECTORY],
        ),
    },
    "signed by a foreign key": lambda b: b.foreign,
    "a foreign signature under our list": signed_by_another,
    "a list in front of the signed one": with_first_part(FORGED_LIST),
    "the closing line as the inner boundary": lambda b: {
        **b.newer,
        DIRECTORY: b.newer[DIRECTORY].replace(
            b"boundary=" + boundaries(b.newer[DIRECTORY])[1], b"boundary=" + boundaries(b.newer[DIRECTORY])[1] + b"--", 1
        ),
    },
    "the parts swapped": lambda b: swapped(b.newer, *paths_of(b.newer)),
    "the parts of before": lambda b: parts_of(b, lambda x: x.older),
    "the parts of another": lambda b: parts_of(b, lambda x: x.foreign),
    "no parts": lambda b: {DIRECTORY: b.newer[DIRECTORY]},
    "an empty part": lambda b: {**b.newer, paths_of(b.newer)[0]: b""},
    "a part and a byte": lambda b: {**b.newer, paths_of(b.newer)[0]: b.newer[paths_of(b.newer)[0]] + b"\n"},
    "a part twice": lambda b: {**b.newer, paths_of(b.newer)[0]: b.newer[paths_of(b.newer)[0]] * 2},
    "the foreign directory, our parts": lambda b: {**b.newer, DIRECTORY: b.foreign[DIRECTORY]},
}  # fmt: skip


async def refused(between: Between, served: Files, how: str = "") -> str:
    """Why what is served is refused; that nothing came of it."""
    before, kept = between.client.current, between.on_disk()
    between.served = served
    try:
        await between.client.refresh()
    except Fault as fault:
        detail = fault.detail
    else:
        pytest.fail(f"taken: {how}")
    assert between.client.current is before, how
    assert between.on_disk() == kept, how
    assert str(between.client.last_failure) == detail
    return detail


async def test_what_is_tampered_with_is_refused_and_what_was_in_force_stays(between: Between) -> None:
    for how, tamper in REFUSED.items():
        served = tamper(between)
        assert served != between.newer, how
        await refused(between, served, how)
        is_absent = how in ("no directory", "no parts")  # no tampering: the loop that failed says it
        assert len(between.told) == 1 - is_absent, (how, between.told)
        between.served = dict(between.newer)
        await between.client.refresh()
        assert set(between.in_force()) == {between.newer[path] for path in paths_of(between.newer)}, how
        between.told.clear()
        await between.begin()


@pytest.mark.parametrize("what", ["directory", "shared", "private"])
async def test_no_byte_of_what_is_signed_can_be_changed(between: Between, what: str) -> None:
    shared, private = paths_of(between.newer)
    path = {"directory": DIRECTORY, "shared": shared, "private": private}[what]
    content, rng = between.newer[path], random.Random(7)
    for place in sorted(rng.sample(range(len(content)), 60)):
        changed = bytearray(content)
        changed[place] ^= rng.choice((1, 2, 32, 128))
        between.served = {**between.newer, path: bytes(changed)}
        try:
            await between.client.refresh()
        except Fault:
            assert between.client.current is not None
            assert between.client.current.timestamping_interval_s == 60
            continue
        # Of the frame that nobody signs (`Content-type`) the spelling may differ: what was signed came of it, and nothing else.
        assert path == DIRECTORY, place
        assert set(between.in_force()) == {between.newer[shared], between.newer[private]}
        between.told.clear()
        await between.begin()


async def test_whatever_media_type_an_answer_says_it_is_read_as_what_was_signed(between: Between) -> None:
    """The directory's own first lines say what it is; the header of HTTP is nobody's word."""
    for content_type in (
        "multipart/mixed; boundary=x",
        "text/html",
        "application/x-gzip",
        "multipart/related; boundary=--",
    ):
        between.content_type, between.served = content_type, dict(between.newer)
        await between.client.refresh()
        assert set(between.in_force()) == {between.newer[path] for path in paths_of(between.newer)}
        await between.begin()


async def test_what_is_newer_is_never_followed_by_what_is_older_not_after_a_restart_either(
    between: Between,
) -> None:
    between.served = dict(between.newer)
    await between.client.refresh()
    assert "older" in await refused(between, dict(between.older))
    mixed = {**between.older, **{p: c for p, c in between.newer.items() if p.startswith("/V")}}
    assert "older" in await refused(between, mixed)
    between.client = between.make(between.folder)
    await between.client.load()
    assert "older" in await refused(between, dict(between.older))


async def test_a_central_server_whose_clock_ran_a_year_ahead_for_a_moment_is_followed_again(
    between: Between,
) -> None:
    between.served = dict(between.ahead)
    await between.client.refresh()
    assert between.client.current is not None
    between.client.current.check_fresh(NOW + timedelta(days=366))
    between.served = dict(between.newer)
    await between.client.refresh()
    assert set(between.in_force()) == {between.newer[path] for path in paths_of(between.newer)}
    assert "older" in await refused(between, dict(between.older))


async def test_what_is_in_force_holds_until_its_own_end_whatever_is_served_meanwhile(
    between: Between,
) -> None:
    for at in (1, EXPIRES_S - 1):
        between.now = NOW + timedelta(seconds=at)
        await refused(between, dict(between.foreign))
        assert between.client.current is not None
        between.client.current.check_fresh(between.now)
    assert between.client.current is not None
    # Its end has come: neither it nor, once they have ended too, those that were published since are taken.
    between.now = NOW + timedelta(seconds=EXPIRES_S + 8)
    with pytest.raises(Fault):
        between.client.current.check_fresh(between.now)
    assert "expired" in await refused(between, dict(between.newer))


async def test_a_client_that_has_nothing_yet_takes_nothing_that_is_tampered_with(
    between: Between, tmp_path: Path
) -> None:
    for number, (how, tamper) in enumerate(REFUSED.items()):
        between.client = between.make(tmp_path / str(number))
        between.served = tamper(between)
        with pytest.raises(Fault):
            await between.client.refresh()
        assert between.client.current is None, how
        assert not list((tmp_path / str(number)).rglob("*")), how
