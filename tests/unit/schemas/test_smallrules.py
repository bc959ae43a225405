"""Rules of small documents: withheld parts, containers, catalogues, requests for access, faults, hash chains, trees, tiles."""

from __future__ import annotations

import io
import itertools
import json
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import soap
from schemas.accessrequests import parse_question
from schemas.asic.container import parse_container
from schemas.asic.manifest import MIMETYPE
from schemas.asic.withheld import Order, Reason, Withheld, WithheldPart, parse_withheld, render_withheld
from schemas.catalogue import parse_catalogue
from schemas.faults import BadMessage, Kind, NotProved
from schemas.faultxml import parse_soap_fault, render_soap_fault
from schemas.hashchain.building import build
from schemas.identifiers import ClientId
from schemas.soapenvelope import SoapLimits
from schemas.transparency.merkle import HASH_BYTES, consistency_proof, inclusion_proof, verify_consistency
from schemas.transparency.tiles import LONGEST_ENTRY, parse_tile, render_bundle
from schemas.xmlencoding import to_utf8
from schemas.zipwriting import ZipWriter
from tests import worlds
from tests.worlds import rezipped

AT = datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC)
PROVIDER = ClientId("MX", "GOB", "00-RNSS", "INDICE")

# What is withheld from a container

PART = WithheldPart(uri="/message.xml", sha512="ab" * 64, size_bytes=7)
WITHHELD = Withheld(Reason.CUT, "id-1", False, "rest", PROVIDER, "MX/GOB/00-RNSS/INDICE/s", (PART,))
ORDER = Order(reference="7/2026", authority="INAI", carried_out_by="MX:1", at="2026-01-02T03:04:06Z")


def stored(**changes: object) -> bytes:
    return json.dumps(json.loads(render_withheld(WITHHELD)) | changes).encode()


def part(**changes: object) -> list[dict[str, object]]:
    return [{"uri": "/message.xml", "sha512": "ab" * 64} | changes]


def test_a_list_of_what_is_withheld_comes_back() -> None:
    assert parse_withheld(render_withheld(WITHHELD)) == WITHHELD
    erased = Withheld(
        Reason.ERASED, "id-1", True, "soap", PROVIDER, "MX/GOB/00-RNSS/INDICE/s/v1", (PART,), ORDER
    )
    assert parse_withheld(render_withheld(erased)) == erased
    assert erased.signer == PROVIDER.member


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "cannot be read"),
        (stored(format="sacbe-withheld-2"), "its format is 'sacbe-withheld-2'"),
        (stored(service="MX/GOB"), "'MX/GOB' names no service"),
        (stored(client="MX/GOB"), "cannot be read"),
        (stored(reason="lost"), "cannot be read"),
        (stored(reason="erased"), "if and only if content was erased"),
        (
            stored(order={"reference": "7", "authority": "a", "carried_out_by": "b", "at": "c"}),
            "if and only if",
        ),
        (stored(parts=[]), "it names no part, or one twice"),
        (stored(parts=part() * 2), "it names no part, or one twice"),
        (stored(parts=part(uri="/attachment0")), "'/attachment0' is no part of a message"),
        (stored(parts=part(uri="/attachment1234567")), "is no part of a message"),
        (stored(parts=part(uri="message.xml")), "'message.xml' is no part of a message"),
        (stored(parts=part(sha512="ab" * 63)), "has no SHA-512 digest"),
        (stored(parts=part(sha512="zz" * 64)), "cannot be read"),
        (stored(more=1), "unknown field `more`"),
    ],
)
def test_a_list_of_what_is_withheld_that_could_mislead_is_refused(raw: bytes, words: str) -> None:
    with pytest.raises(BadMessage, match=words):
        parse_withheld(raw)


# Containers


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"mimetype": None}, Kind.ASIC_MIME_TYPE_NOT_FOUND),
        ({"mimetype": b" \n"}, Kind.ASIC_MIME_TYPE_NOT_FOUND),
        ({"mimetype": MIMETYPE.encode() + b"\n"}, Kind.ASIC_INVALID_MIME_TYPE),
        ({"message.xml": None}, Kind.ASIC_MESSAGE_NOT_FOUND),
        ({"META-INF/signatures.xml": b""}, Kind.ASIC_SIGNATURE_NOT_FOUND),
        ({"ts-hashchain.xml": None}, Kind.ASIC_HASH_CHAIN_NOT_FOUND),
        (
            {"ts-hashchainresult.xml": None, "META-INF/ASiCManifest.xml": None},
            Kind.ASIC_HASH_CHAIN_RESULT_NOT_FOUND,
        ),
    ],
)
def test_a_container_without_a_part_that_must_be_there_says_which(
    changes: Mapping[str, bytes | None], kind: Kind
) -> None:
    whole = next(c for c in worlds.containers().values() if b"ts-hashchain.xml" in c)
    changes = {"META-INF/manifest.xml": None, **changes}  # it lists what is there
    with pytest.raises(BadMessage) as caught:
        parse_container(rezipped(whole, changes).getvalue())
    assert caught.value.kind is kind


def test_a_container_carries_no_comment_of_its_own() -> None:
    out = io.BytesIO(next(iter(worlds.containers().values())))
    with zipfile.ZipFile(out, "a") as archive:
        archive.comment = b"mimetype=other"
    with pytest.raises(BadMessage, match="comment is b'mimetype=other'"):
        parse_container(out.getvalue())


# Catalogues, requests for access, faults


def test_a_catalogue_is_of_the_provider_that_was_asked() -> None:
    raw = json.dumps({"provider": PROVIDER.path(), "services": []}).encode()
    assert parse_catalogue(raw, PROVIDER) == ()
    with pytest.raises(BadMessage, match=f"is of {PROVIDER.path()}; that of MX/GOB/00-RNSS was asked for"):
        parse_catalogue(raw, PROVIDER.member)


@pytest.mark.parametrize("raw", [b"", b"[]", b"{}", b"\xff", b'{"provider": 1, "services": []}'])
def test_what_is_no_catalogue_and_no_request_for_access_is_refused(raw: bytes) -> None:
    with pytest.raises(BadMessage, match="the catalogue is not what it should be"):
        parse_catalogue(raw, PROVIDER)
    with pytest.raises(BadMessage, match="the request for access cannot be read"):
        parse_question(raw)


def test_a_fault_stands_in_an_envelope() -> None:
    raw = render_soap_fault("Client.X", "no")
    assert parse_soap_fault(raw) is not None
    assert parse_soap_fault(raw.replace(b"Fault>", b"Other>")) is None
    with pytest.raises(BadMessage, match="a SOAP envelope was expected"):
        parse_soap_fault(b"<Fault/>")
    with pytest.raises(BadMessage, match="a SOAP message was expected; a fault came"):
        soap.parse_message(raw)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"x" * 101, "has 101 bytes; at most 100"),
        ("<a/>".encode("utf-16"), "is not UTF-8"),
        ("<a/>".encode("utf-32-le"), "is not UTF-8"),
    ],
)
def test_an_envelope_of_another_size_or_encoding_is_not_read(raw: bytes, words: str) -> None:
    with pytest.raises(BadMessage, match=words) as caught:
        soap.parse_envelope(raw, SoapLimits(size_bytes=100))
    assert caught.value.kind is Kind.INVALID_SOAP


@pytest.mark.parametrize("charset", ["", "; charset=utf-8", '; charset="UTF-8"', "; charset=US-ASCII"])
def test_the_charset_of_an_envelope_is_one_that_everybody_reads(charset: str) -> None:
    soap.check_soap_type(f"text/xml{charset}")
    for wrong, words in (
        ("text/xml; charset=latin-1", "charset is 'latin-1'"),
        ("text/plain", "SOAP comes as"),
    ):
        with pytest.raises(BadMessage, match=words):
            soap.check_soap_type(wrong)


def test_half_a_surrogate_pair_is_no_character_in_any_encoding() -> None:
    assert to_utf8("<a>\U0001f600</a>".encode("utf-16")) == "<a>\U0001f600</a>".encode()
    with pytest.raises(BadMessage):
        to_utf8("<a>\ud83d</a>".encode("utf-16-le", "surrogatepass").join((b"\xff\xfe", b"")))


# Hash chains, trees, tiles


@pytest.mark.parametrize("messages", [[], [[]], [[("/a", b"d")]], [[("/a", b"d")], []]])
def test_a_chain_binds_several_parts(messages: list[list[tuple[str, bytes]]]) -> None:
    with pytest.raises(ValueError, match="needs several parts"):
        build(messages)


def no_subtrees(_start: int, _end: int) -> bytes:
    return bytes(HASH_BYTES)


@pytest.mark.parametrize(("index", "size"), [(-1, 1), (1, 1), (0, 0), (8, 8)])
def test_a_tree_proves_its_own_leaves_only(index: int, size: int) -> None:
    with pytest.raises(ValueError, match=f"{size} leaves has no leaf {index}"):
        inclusion_proof(index, size, no_subtrees)


@pytest.mark.parametrize(("old", "size"), [(-1, 1), (2, 1), (1, 0)])
def test_a_tree_does_not_extend_a_larger_one(old: int, size: int) -> None:
    with pytest.raises(ValueError, match="does not extend"):
        consistency_proof(old, size, no_subtrees)
    with pytest.raises(NotProved, match="does not extend"):
        verify_consistency(old, bytes(32), size, bytes(32), [])


@given(st.integers(1, 1000), st.integers(1, 1000))
def test_a_proof_that_a_tree_grew_is_never_empty_but_where_it_did_not(old: int, more: int) -> None:
    with pytest.raises(NotProved):
        verify_consistency(old, bytes(32), old + more, bytes(32), [])
    verify_consistency(old, bytes(32), old, bytes(32), [])


def test_bundles_and_tiles_have_the_sizes_that_they_say() -> None:
    assert render_bundle([b"x" * LONGEST_ENTRY])[:2] == b"\xff\xff"
    with pytest.raises(ValueError, match=f"at most {LONGEST_ENTRY} bytes"):
        render_bundle([b"x" * (LONGEST_ENTRY + 1)])
    assert parse_tile(bytes(64), 2) == [bytes(32), bytes(32)]
    for raw in (bytes(63), bytes(65), b""):
        with pytest.raises(BadMessage, match=f"has 64 bytes; {len(raw)} came"):
            parse_tile(raw, 2)


# Zips that are written


class OneWay(io.BytesIO):
    """A stream that cannot be gone back in."""

    def seekable(self) -> bool:
        return False


def test_a_large_file_that_can_be_drawn_only_once_or_differs_the_second_time_is_refused() -> None:
    chunk, writer = bytes(1 << 20), ZipWriter(io.BytesIO())
    with pytest.raises(ValueError, match="can be drawn only once"):
        writer.add_chunks("a", iter([chunk] * 3), AT)
    lengths = itertools.chain((3,), itertools.repeat(2))

    class Shrinking:
        def __iter__(self) -> object:
            return iter([chunk] * next(lengths))

    with pytest.raises(ValueError, match="another one the second time"):
        ZipWriter(io.BytesIO()).add_chunks("a", Shrinking(), AT)  # type: ignore[arg-type]


def test_a_stream_that_differs_the_second_time_is_refused() -> None:
    written: list[int] = []

    def write(out: io.BufferedIOBase) -> None:
        written.append(1)
        out.write(bytes(3 << 20) + bytes([len(written)]))

    with pytest.raises(ValueError, match="another one the second time"):
        ZipWriter(OneWay()).add_stream("a", write, AT)  # type: ignore[arg-type]
    assert len(written) == 2
