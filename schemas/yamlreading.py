"""YAML by its core schema, bounded before anything is built: what `schemas.yamldocument` reads a document by that is no JSON.

Spec: YAML 1.2 10.3 (core schema).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

from schemas.yamlbounds import broken, one_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from schemas.yamlbounds import YamlBounds

_TAB = re.compile(r"^ *\t", re.MULTILINE)
_TEXT = "tag:yaml.org,2002:str"


class _Loader(yaml.CSafeLoader):
    """Safe, with the scalars of YAML 1.2's core schema."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Keys as they are written, each once. Raises `BadMessage`."""
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
        """A whole number in decimal, ``0o`` or ``0x`` (YAML 1.2.2, 10.3.2)."""
        text: str = node.value
        if text[:2] in ("0o", "0x"):
            return int(text[2:], 8 if text[1] == "o" else 16)
        return int(text)

    def construct_core_float(self, node: yaml.ScalarNode) -> float:
        """A number with a point or an exponent, or infinite, as a float (YAML 1.2.2, 10.3.2)."""
        return float(node.value)

    def construct_text(self, node: yaml.ScalarNode) -> str:
        """A scalar as its text, whatever a schema would make of it."""
        return str(self.construct_scalar(node))

    def refuse(self, node: yaml.Node) -> Any:
        """A kind of value that JSON has not. Raises `BadMessage`."""
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


def load_yaml(text: str, bounds: YamlBounds, texts: Iterable[tuple[str, ...]]) -> Any:
    """The value of a YAML document; scalars at the places ``texts`` are taken as they are written. Raises `BadMessage`."""
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
