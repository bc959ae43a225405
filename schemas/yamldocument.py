"""JSON and YAML documents of strangers as plain values: bounded before anything is built, and read as their writers meant them.

OpenAPI asks for YAML 1.2, whose plain scalars are JSON's: ``no``, ``on`` and ``2026-03-01`` are texts, ``010`` is ten. Keys are
always texts, as they are written, so an unquoted ``200:`` is the key ``"200"``. A key that is there twice is refused, in JSON
too: two readers would take different ones. UTF-8, and UTF-16 or UTF-32, which their first bytes give away.

Spec: YAML 1.2 10.3 (core schema) and 5.2; RFC 8259 8.1; OpenAPI 3.1.0 4.3.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from schemas.faults import BadMessage, Kind
from schemas.jsontext import JsonSyntaxError, load_json

if TYPE_CHECKING:
    from collections.abc import Iterable

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_TAB = re.compile(r"^ *\t", re.MULTILINE)
_TEXT = "tag:yaml.org,2002:str"


@dataclass(frozen=True, slots=True)
class YamlBounds:
    """How much a document may be: levels, values, and YAML aliases."""

    depth: int = 64
    nodes: int = 400_000
    aliases: int = 0


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
            value = load_json(text, object_pairs_hook=_members)
        except JsonSyntaxError:
            value = _load_yaml(text, bounds, texts)  # a flow mapping of YAML begins alike
        except ValueError as err:
            raise broken(f"it is JSON that cannot be read: {one_line(err)}") from err
    else:
        value = _load_yaml(text, bounds, texts)
    _check_values(value, bounds)
    return value


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


# YAML


class _Loader(yaml.CSafeLoader):
    """Safe, with the scalars of YAML 1.2's core schema."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Keys as they are written, each once."""
        self.flatten_mapping(node)
        found: dict[Any, Any] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise broken(
                    f"a key in line {key.start_mark.line + 1} is a list or mapping; a text was expected"
                )
            if key.value in found:
                raise broken(f"the key {key.value[:100]!r} in line {key.start_mark.line + 1} is there twice")
            found[key.value] = self.construct_object(value, deep=True)
        return found

    def construct_core_int(self, node: yaml.ScalarNode) -> int:
        """Decimal, ``0o`` or ``0x``."""
        text: str = node.value
        if text[:2] in ("0o", "0x"):
            return int(text[2:], 8 if text[1] == "o" else 16)
        return int(text)

    def construct_core_float(self, node: yaml.ScalarNode) -> float:
        """Decimal."""
        return float(node.value)

    def construct_text(self, node: yaml.ScalarNode) -> str:
        """The text itself."""
        return str(self.construct_scalar(node))

    def refuse(self, node: yaml.Node) -> Any:
        """A kind of value that JSON has not."""
        raise broken(
            f"the tag {node.tag.rpartition(':')[2]!r} in line {node.start_mark.line + 1} is none of JSON's"
        )


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("null", r"(?:~|null|Null|NULL|)", ["~", "n", "N", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)", list("tTfF")),
    ("int", r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)", list("-+0123456789")),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^{_pattern}$"), _first)
_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_core_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_core_float)
# Explicit tags that JSON has no value for: their text is what was meant.
for _tag in ("timestamp", "binary", "value"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _Loader.construct_text)
for _tag in ("set", "omap", "pairs"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _Loader.refuse)


def _load_yaml(text: str, bounds: YamlBounds, texts: Iterable[tuple[str, ...]]) -> Any:
    try:
        _check_events(text, bounds)
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            for place in texts:
                _as_text(node, place)
            return None if node is None else loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.YAMLError as err:
        hint = "; YAML is indented by blanks, and a line begins with a tab" if _TAB.search(text) else ""
        raise broken(f"it is neither JSON nor YAML: {one_line(err)}{hint}") from err
    except (ValueError, RecursionError, TypeError, LookupError, AttributeError) as err:
        raise broken(f"it is YAML that cannot be read: {one_line(err)}") from err


def _check_events(text: str, bounds: YamlBounds) -> None:
    depth = aliases = 0
    for nodes, event in enumerate(yaml.parse(text, Loader=yaml.CSafeLoader)):
        if isinstance(event, yaml.AliasEvent):
            aliases += 1
        elif isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if aliases > bounds.aliases:
            raise broken("it uses YAML aliases (*name), which are not accepted here; use $ref")
        if depth > bounds.depth:
            raise broken(f"it nests deeper than {bounds.depth} levels")
        if nodes > bounds.nodes:
            raise broken(f"it has more than {bounds.nodes} values")


def _as_text(node: Any, place: tuple[str, ...]) -> None:
    for name in place:
        if not isinstance(node, yaml.MappingNode):
            return
        node = next((v for k, v in node.value if isinstance(k, yaml.ScalarNode) and k.value == name), None)
    if isinstance(node, yaml.ScalarNode) and node.tag.startswith("tag:yaml.org,2002:") and node.value:
        node.tag = _TEXT


def broken(detail: str) -> BadMessage:
    """The fault of a document that cannot be read."""
    return BadMessage(Kind.INVALID_MESSAGE, detail)


def one_line(problem: object) -> str:
    """A library's words in one line."""
    return " ".join(str(problem).split("Failed validating")[0].split())[:300]
