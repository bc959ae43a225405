"""A container says what it holds, and is believed only if that is true."""

from __future__ import annotations

import io
import zipfile

import pytest

from schemas.asic import container as asic
from schemas.asic.manifest import check_asic_manifest, render_asic_manifest
from schemas.faults import BadMessage
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
