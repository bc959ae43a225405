"""A container says what it holds, and is believed only if that is true."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.asic import container as asic
from schemas.asic.manifest import check_asic_manifest, render_asic_manifest
from schemas.asic.withheld import Reason, Withheld, WithheldPart
from schemas.faults import BadMessage
from schemas.identifiers import ClientId
from schemas.message import digest_of
from tests import worlds

MANIFEST = "META-INF/manifest.xml"
ASIC_MANIFEST = "META-INF/ASiCManifest.xml"


def changed(name: str, *, replace: tuple[bytes, bytes] = (b"", b""), added: str | None = None) -> bytes:
    """The batch container with one entry's bytes replaced, or with an entry more."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(worlds.containers()["batch-both"])) as old,
        zipfile.ZipFile(out, "w") as new,
    ):
        for entry in old.namelist():
            content = old.read(entry)
            if entry == name:
                assert replace[0] in content
                content = content.replace(*replace)
            new.writestr(entry, content)
        if added is not None:
            new.writestr(added, b"text")
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "replace", "why"),
    [
        (MANIFEST, (b'"message.xml"', b'"message2.xml"'), "does not list message.xml as text/xml"),
        (MANIFEST, (b'"attachment1"', b'"attachment2"'), "does not list attachment1"),
        (MANIFEST, (b'"text/xml"', b'"text/html"'), "does not list message.xml as text/xml"),
        (MANIFEST, (b"asic-e+zip", b"asic-s+zip"), "does not call the container"),
        (MANIFEST, (b'"ts-hashchain.xml"', b'"message.xml"'), "a second one (message.xml)"),
        (MANIFEST, (b"file-entry", b"file-extra"), "a row that is no file's"),
        (MANIFEST, (b"manifest:1.0", b"manifest:1.1"), "begins with"),
        (MANIFEST, (b"<?xml", b"<!DOCTYPE a><?xml"), "manifest.xml"),
        (ASIC_MANIFEST, (b"timestamp.tst", b"timestamp.tsx"), "names the token"),
        (ASIC_MANIFEST, (b"xmlenc#sha512", b"xmlenc#sha256"), "by its SHA-512 digest"),
        (ASIC_MANIFEST, (b"<ds:DigestValue>", b"<ds:DigestValue>AA"), "gives another digest"),
        (ASIC_MANIFEST, (b"ts-hashchainresult.xml", b"message.xml"), "by its SHA-512 digest"),
        (ASIC_MANIFEST, (b"SigReference", b"SigReferenze"), "not 2 things"),
    ],
)
def test_a_manifest_that_lies_is_refused(name: str, replace: tuple[bytes, bytes], why: str) -> None:
    with pytest.raises(BadMessage) as caught:
        asic.parse_container(changed(name, replace=replace))
    assert why in str(caught.value)


def test_a_manifest_may_list_a_body_that_was_not_kept() -> None:
    row = b'<manifest:file-entry manifest:full-path="attachment2" manifest:media-type="application/octet-stream"/>'
    raw = changed(MANIFEST, replace=(b"</manifest:manifest>", row + b"</manifest:manifest>"))
    assert set(asic.parse_container(raw).attachments) == {"attachment1"}


def test_a_manifest_may_not_list_another_file_that_is_missing() -> None:
    row = b'<manifest:file-entry manifest:full-path="decree.pdf" manifest:media-type="application/pdf"/>'
    with pytest.raises(BadMessage, match=r"lists decree\.pdf, which is not there"):
        asic.parse_container(
            changed(MANIFEST, replace=(b"</manifest:manifest>", row + b"</manifest:manifest>"))
        )


@pytest.mark.parametrize("added", ["decree.pdf", "META-INF/signatures2.xml", "Message.xml", "META-INF/x/"])
def test_a_file_that_nothing_signs_is_refused(added: str) -> None:
    with pytest.raises(BadMessage, match="which nothing signs"):
        asic.parse_container(changed("mimetype", added=added))


def test_a_manifest_of_a_batch_needs_the_batch() -> None:
    with pytest.raises(BadMessage, match=r"stands without ts-hashchainresult\.xml"):
        check_asic_manifest(render_asic_manifest(b"result"), None)


def test_a_manifest_in_other_words_that_are_true_is_believed() -> None:
    spaced = render_asic_manifest(b"result").replace(b"<ds:DigestValue>", b"<ds:DigestValue>\n  ")
    assert spaced != render_asic_manifest(b"result")
    check_asic_manifest(spaced, b"result")


# The container around it

AT = datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)
ERASED = Withheld(
    Reason.CUT, "id-1", False, "rest", ClientId("MX", "GOB", "1"), "MX/GOB/1/S/s",
    (WithheldPart(uri="/message.xml", sha512="ab" * 64), WithheldPart(uri="/attachment2", sha512="cd" * 64)),
)  # fmt: skip


def test_a_container_says_what_is_signed_in_order_and_how_each_body_begins() -> None:
    bodies = [(f"attachment{number}", bytes([number]) * (number * 50_000)) for number in (10, 1)]
    chunks = [(name, [body[i : i + 1_000] for i in range(0, len(body), 1_000)]) for name, body in bodies]
    out = io.BytesIO()
    asic.write_container(out, asic.Container(b"", b"<s/>", withheld=ERASED), AT, chunks)
    found = asic.parse_container(out.getvalue())
    assert (found.message, found.withheld, found.remarks) == (b"", ERASED, ())
    assert [uri for uri, _ in found.signed_parts()] == [
        "/message.xml",
        "/attachment1",
        "/attachment2",
        "/attachment10",
    ]
    assert dict(found.signed_parts()) == ERASED.digests() | {f"/{n}": digest_of(b) for n, b in bodies}
    assert found.beginnings == {name: body[:4096] for name, body in bodies}
    with_message = asic.Container(b"<m/>", b"<s/>", attachments={"elsewhere": b"d"})
    assert [uri for uri, _ in with_message.signed_parts()] == ["/message.xml", "/elsewhere"]


def test_what_departs_from_the_usual_layout_is_remarked() -> None:
    with zipfile.ZipFile(io.BytesIO(worlds.containers()["batch-both"])) as old:
        entries = {name: old.read(name) for name in reversed(old.namelist()) if name != MANIFEST}
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as new:
        for name, content in entries.items():
            new.writestr(name, content)
    remarks = asic.parse_container(out.getvalue()).remarks
    assert remarks == ("mimetype is not the first entry", "META-INF/manifest.xml is not there")


@given(st.text(min_size=1), st.booleans(), st.integers(0, 2**63))
def test_a_container_s_file_is_named_by_its_record(message_id: str, is_response: bool, record: int) -> None:
    name = asic.file_name(message_id, is_response=is_response, record_id=record)
    assert asic.record_number(name) == record
    assert "/" not in name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a.asice",
        "a-1.asice",
        "request-1.asice",
        "a-request-.asice",
        "a-request-1.zip",
        "a-response-W.asice",
        "a-request-1.asice.asice",
        "a-request-" + "1" * 14 + ".asice",
    ],
)
def test_a_file_of_another_name_has_no_record(name: str) -> None:
    assert asic.record_number(name) is None
