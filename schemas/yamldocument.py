"""JSON and YAML documents of strangers as plain values: bounded before anything is built, and read as their writers meant them.

OpenAPI asks for YAML 1.2, whose plain scalars are JSON's: ``no``, ``on`` and ``2026-03-01`` are texts, ``010`` is ten. Keys are
always texts, as they are written, so an unquoted ``200:`` is the key ``"200"``. A key that is there twice is refused, in JSON
too: two readers would take different ones. UTF-8, and UTF-16 or UTF-32, which their first bytes give away.

Spec: YAML 1.2 10.3 (core schema) and 5.2; RFC 8259 8.1; OpenAPI 3.1.0 4.3.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any

from schemas.jsontext import JsonSyntaxError, load_json
from schemas.yamlbounds import YamlBounds, broken, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


DEFAULT_BOUNDS = YamlBounds()


def unicode_encoding(content: bytes) -> tuple[str, int]:
    """Which Unicode encoding the first bytes show, and how many of them are its mark."""
    for mark, name in _BOMS:
        if content.startswith(mark):
            return name, len(mark)
    first = content[:4]
    if len(first) == 4 and first[:3] == b"\0\0\0":
        return "utf-32-be", 0
    if len(first) == 4 and first[1:] == b"\0\0\0":
        return "utf-32-le", 0
    if first[:1] == b"\0":
        return "utf-16-be", 0
    return ("utf-16-le", 0) if first[1:2] == b"\0" else ("utf-8", 0)


def load_document(
    content: bytes, bounds: YamlBounds = DEFAULT_BOUNDS, texts: Iterable[tuple[str, ...]] = ()
) -> Any:
    """The value a document is. Scalars at the places ``texts`` are taken as they are written. Raises `BadMessage`."""
    encoding, skipped = unicode_encoding(content)
    try:
        text = content[skipped:].decode(encoding)
    except UnicodeDecodeError as err:
        raise broken(f"it is not {encoding.upper()} (byte {err.start}); save it as UTF-8") from None
    if text.lstrip(" \t\r\n")[:1] in ("{", "["):
        try:
            value = load_json(text, object_pairs_hook=_members, any_integer=True)
        except JsonSyntaxError:
            value = _load_yaml(text, bounds, texts)  # a flow mapping of YAML begins alike
        except ValueError as err:
            raise broken(f"it is JSON that cannot be read: {one_line(err)}") from err
    else:
        value = _load_yaml(text, bounds, texts)
    _check_values(value, bounds)
    return value


def _load_yaml(text: str, bounds: YamlBounds, texts: Iterable[tuple[str, ...]]) -> Any:
    from schemas.yamlreading import load_yaml  # a library that JSON, and a server that starts, do without

    return load_yaml(text, bounds, texts)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(k for k, _ in pairs if k in seen or seen.add(k))  # type: ignore[func-returns-value]
        raise broken(f"the member {twice[:100]!r} is there twice in one object")
    return found


def _check_values(value: Any, bounds: YamlBounds) -> None:
    waiting, nodes = [(value, 1)], 0
    while waiting:
        item, depth = waiting.pop()
        nodes += 1
        if depth > bounds.depth:
            raise broken(f"it nests deeper than {bounds.depth} levels")
        if nodes > bounds.nodes:
            raise broken(f"it has more than {bounds.nodes} values")
        if isinstance(item, dict):
            waiting.extend((inner, depth + 1) for pair in item.items() for inner in pair)
        elif isinstance(item, list):
            waiting.extend((inner, depth + 1) for inner in item)
        elif isinstance(item, str) and not item.isascii() and any("\ud800" <= c <= "\udfff" for c in item):
            raise broken("a text holds half a surrogate pair, which is no character")
