"""Two readers of signature documents, our template's and the one of every dialect, say the same of every document or both refuse."""

from __future__ import annotations

from functools import cache

from hypothesis import example, given, settings
from hypothesis import strategies as st

from certs.tokens.soft import KeyKind
from schemas.faults import BadMessage, NotProved
from schemas.xades import SignatureDocument, parse_signature_document
from schemas.xades.dialects import parse_dialect
from tests import worlds


@cache
def documents() -> tuple[bytes, ...]:
    """Signatures as gateways make them: of both kinds of key, alone and under a hash chain."""
    found: list[bytes] = []
    for kind in (KeyKind.RSA_2048, KeyKind.EC_P256):
        world = worlds.world(kind)
        found.append(world.sign(world.request())[0].signature)
        found += [s.signature for s in world.sign(world.request(), world.request())]
    return tuple(found)


def read(parse: object, raw: bytes) -> SignatureDocument | str:
    """What a reader makes of a document: the document, or that it is refused."""
    try:
        return parse(raw)  # type: ignore[operator, no-any-return]
    except (BadMessage, NotProved):
        return "refused"


def test_what_gateways_sign_is_read_alike() -> None:
    assert len(documents()) == 6
    for raw in documents():
        document = parse_signature_document(raw)
        assert document.is_plain_profile
        assert parse_dialect(raw) == document


@settings(max_examples=400, deadline=None)
@given(
    which=st.integers(0, 5),
    place=st.floats(0, 1, exclude_max=True),
    removed=st.integers(0, 60),
    put=st.one_of(
        st.binary(max_size=6),
        st.sampled_from(
            [
                b"<!-- -->",
                b"<?a b?>",
                b"&amp;",
                b"&#65;",
                b" ",
                b"\n",
                b"\t",
                b"\xc3\xb1",
                b"\xef\xbf\xbe",
                b"\xed\xa0\x80",
                b"=",
                b"==",
                b'Id="signed-properties"',
                b"<a/>",
                b"</ds:SignedInfo>",
                b"]]>",
                b"\x7f",
                b"0",
                b"+",
                b"Z",
            ]
        ),
    ),
)
@example(which=0, place=0.0, removed=0, put=b"\xef\xbb\xbf")
@example(which=0, place=0.5, removed=0, put=b"\x00")
def test_a_document_that_was_changed_anywhere_is_read_alike(
    which: int, place: float, removed: int, put: bytes
) -> None:
    raw = documents()[which]
    at = int(place * len(raw))
    changed = raw[:at] + put + raw[at + removed :]
    assert read(parse_signature_document, changed) == read(parse_dialect, changed)


@settings(max_examples=150, deadline=None)
@given(first=st.integers(0, 5), second=st.integers(0, 5), cut=st.floats(0, 1), on=st.floats(0, 1))
def test_parts_of_two_documents_put_together_are_read_alike(
    first: int, second: int, cut: float, on: float
) -> None:
    one, other = documents()[first], documents()[second]
    made = one[: int(cut * len(one))] + other[int(on * len(other)) :]
    assert read(parse_signature_document, made) == read(parse_dialect, made)
