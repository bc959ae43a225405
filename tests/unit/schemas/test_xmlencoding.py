"""XML in whatever encoding it came, rule by rule: read as UTF-8, or refused where the declaration and the bytes differ."""

from __future__ import annotations

import pytest

from schemas.faults import BadMessage, Kind
from schemas.xmlencoding import to_utf8

TEXT = "<a>Peñón</a>"


@pytest.mark.parametrize(
    ("declared", "encoding"),
    [
        ("UTF-8", "utf-8"),
        ("utf-8", "utf-8-sig"),
        ("ISO-8859-1", "iso-8859-1"),
        ("iso-8859-15", "iso-8859-15"),
        ("windows-1252", "cp1252"),
        ("cp437", "cp437"),
        ("UTF-16", "utf-16"),
        ("UTF-16", "utf-16-be"),
        ("utf-16", "utf-16-le"),
        ("UTF-32", "utf-32"),
    ],
)
def test_a_document_is_read_in_the_encoding_it_declares(declared: str, encoding: str) -> None:
    raw = f'<?xml version="1.0" encoding="{declared}"?>{TEXT}'.encode(encoding)
    assert to_utf8(raw).decode() == f'<?xml version="1.0"?>{TEXT}'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be", "utf-32-le"])
def test_without_a_declaration_the_first_bytes_say_it(encoding: str) -> None:
    assert to_utf8(TEXT.encode(encoding)).decode() == TEXT


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (f'<?xml version="1.0" encoding="UTF-16"?>{TEXT}'.encode(), "is written in single bytes"),
        (f'<?xml version="1.0" encoding="utf-32-be"?>{TEXT}'.encode(), "is written in single bytes"),
        (f'<?xml version="1.0" encoding="ISO-8859-1"?>{TEXT}'.encode("utf-16"), "its first bytes are UTF-16"),
        (
            f'<?xml version="1.0" encoding="ISO-8859-1"?>{TEXT}'.encode("utf-8-sig"),
            "its first bytes are UTF-8",
        ),
        (f'<?xml version="1.0" encoding="UTF-7"?>{TEXT}'.encode(), "which is not read here"),
        (b'<?xml version="1.0" encoding="iso-2022-jp"?><a/>', "which is not read here"),
        (b'<?xml version="1.0" encoding="no-such"?><a/>', "which is not read here"),
        (b'<?xml version="1.0" encoding="utf-8"?><a>\xff</a>', r"is not UTF-8 \(byte 41\)"),
        (b"<a>\xff</a>", r"is not UTF-8 \(byte 3\)"),
        (b'<?xml version="1.0" encoding="ascii"?><a>\xf1</a>', r"is not ASCII"),
        ("<a>\ud800</a>".encode("utf-16-le", "surrogatepass"), "half a surrogate pair|is not UTF-16"),
    ],
)
def test_a_contradiction_is_refused_and_not_guessed_around(raw: bytes, words: str) -> None:
    with pytest.raises(BadMessage, match=words) as caught:
        to_utf8(raw, Kind.INVALID_MESSAGE, "description")
    assert caught.value.kind is Kind.INVALID_MESSAGE
    assert "description" in caught.value.detail
