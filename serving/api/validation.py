"""Checking what a caller sent against the types of an operation, and saying every mistake at once.

Answers have the code ``validation_failure``; each key is the camel-case path of a member from the name of the body's
type on (``clientAdd.client.memberCode``), each value the names of the rules it breaks: NotNull, Size, Min, Max, Pattern,
NoControlChars (whatever `schemas.names` lets no text hold), IdentifierChars, Type. Space, tab and line ends are trimmed
off strings and null members count as absent, as X-Road does. Every string is judged, those in mappings and free values
too; a field that says nothing of its length has at most `LONGEST_UNSAID` characters, and only one marked ``lines`` may
have several lines.
"""

from __future__ import annotations

import functools
import math
import re
from typing import TYPE_CHECKING, Any

import msgspec

from schemas.jsontext import decode_json
from schemas.names import unsuitable_characters, unsuitable_in_code
from schemas.numbers import is_kept, signed_number
from serving.api.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_DEPTH = 20
LONGEST_UNSAID = 4096
TRIMMED = " \t\r\n"


def trimmed(value: Any, depth: int = 0) -> Any:
    """The value with its strings trimmed and its null members dropped. Raises `Problem` when nested too deep."""
    if depth > MOST_DEPTH:
        raise Problem(400, "validation_failure", [f"the body is nested deeper than {MOST_DEPTH} levels"])
    if isinstance(value, str):
        return value.strip(TRIMMED)
    if isinstance(value, dict):
        return {k.strip(TRIMMED): trimmed(v, depth + 1) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [trimmed(v, depth + 1) for v in value]
    return value


def parse_body(kind: Any, raw: bytes, *, optional: bool = False) -> Any:
    """The body as a value of ``kind``. Raises `Problem`."""
    if not raw.strip():
        if not optional:
            raise Problem(400, "validation_failure", ["the body is empty; JSON is expected"])
        raw = b"{}"
    try:
        value = decode_json(raw)
    except msgspec.DecodeError as err:
        raise Problem(400, "validation_failure", [f"the body is not JSON: {err}"]) from err
    return checked(kind, trimmed(value))


def checked(kind: Any, value: Any, *, strict: bool = True) -> Any:
    """A decoded value as ``kind``, every rule checked. ``strict`` off reads numbers and truth out of text. Raises `Problem` (400)."""
    problems: dict[str, list[str]] = {}
    _walk(_type_info(kind), value, _name(kind), problems)
    if problems:
        raise Problem(400, "validation_failure", validation_errors=problems)
    try:
        return msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError as err:
        text, _, where = str(err).partition(" - at `")
        path = _camel_path(where.rstrip("`").removeprefix("$"))
        raise Problem(
            400, "validation_failure", [text], validation_errors={f"{_name(kind)}{path}": ["Type"]}
        ) from err


@functools.cache
def _type_info(kind: Any) -> msgspec.inspect.Type:
    return msgspec.inspect.type_info(kind)


def _name(kind: Any) -> str:
    name: str = getattr(kind, "__name__", "body")
    return name[0].lower() + name[1:]


def _walk(kind: msgspec.inspect.Type, value: Any, path: str, problems: dict[str, list[str]]) -> None:
    extra: dict[str, Any] = {}
    while isinstance(kind, msgspec.inspect.Metadata):
        extra |= kind.extra or {}
        kind = kind.type
    if isinstance(kind, msgspec.inspect.UnionType):
        takes_text = isinstance(value, str) and any(_is_text(each) for each in kind.types)
        for each in kind.types:
            # A text is judged as the text that the field takes, not as a number that it may be too.
            if not isinstance(each, msgspec.inspect.NoneType) and (not takes_text or _is_text(each)):
                _walk(each, value, path, problems)
        return
    found: list[str] = []
    if isinstance(kind, msgspec.inspect.StructType) and isinstance(value, dict):
        _walk_members(kind, value, path, problems)
    elif isinstance(kind, _LISTS) and isinstance(value, list):
        for number, item in enumerate(value):
            _walk(kind.item_type, item, f"{path}[{number}]", problems)
    elif isinstance(kind, msgspec.inspect.DictType) and isinstance(value, dict):
        for number, (key, item) in enumerate(value.items()):
            _walk(kind.key_type, key, f"{path}[{number}]", problems)
            _walk(kind.value_type, item, f"{path}[{number}]", problems)
    elif isinstance(kind, msgspec.inspect.StrType) and isinstance(value, str):
        found = _string_rules(kind, value, extra)
    elif isinstance(kind, (msgspec.inspect.IntType, msgspec.inspect.FloatType)):
        found = _number_rules(kind, value)
    elif any(unsuitable_characters(text) for text in _texts(value)):
        found = ["NoControlChars"]
    if found:
        problems[path] = found


def _is_text(kind: msgspec.inspect.Type) -> bool:
    while isinstance(kind, msgspec.inspect.Metadata):
        kind = kind.type
    return isinstance(kind, msgspec.inspect.StrType)


_LISTS = (
    msgspec.inspect.ListType,
    msgspec.inspect.VarTupleType,
    msgspec.inspect.SetType,
    msgspec.inspect.FrozenSetType,
)


def _texts(value: Any) -> Iterator[str]:
    """Every string of a value whose type says nothing of it; `trimmed` has bounded its depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)


def _walk_members(
    kind: msgspec.inspect.StructType, value: dict[str, Any], path: str, problems: dict[str, list[str]]
) -> None:
    for member in kind.fields:
        where = f"{path}.{_camel(member.encode_name)}"
        if member.encode_name in value:
            _walk(member.type, value[member.encode_name], where, problems)
        elif member.required:
            problems[where] = ["NotNull"]


def _string_rules(kind: msgspec.inspect.StrType, value: str, extra: dict[str, Any]) -> list[str]:
    found: list[str] = []
    shortest, longest = kind.min_length or 0, kind.max_length or LONGEST_UNSAID
    if not shortest <= len(value) <= longest:
        found.append("Size")
    if kind.pattern is not None and re.search(kind.pattern, value) is None:
        found.append("Pattern")
    if unsuitable_characters(value, lines=bool(extra.get("lines"))) or value != value.strip():
        found.append("NoControlChars")
    elif extra.get("identifier") and unsuitable_in_code(value):
        found.append("IdentifierChars")
    return found


def _number_rules(kind: msgspec.inspect.IntType | msgspec.inspect.FloatType, value: Any) -> list[str]:
    if isinstance(kind, msgspec.inspect.IntType) and isinstance(value, str):
        value = signed_number(value)
        if value is None:
            return ["Type"]
    try:
        number = float(value)
    except (TypeError, ValueError):
        return []
    except OverflowError:
        number = math.inf if value > 0 else -math.inf
    unkept = isinstance(value, int) and not is_kept(value)
    if (unkept and value < 0) or (kind.ge is not None and number < kind.ge):
        return ["Min"]
    if unkept or (kind.le is not None and number > kind.le):
        return ["Max"]
    return []


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def _camel_path(path: str) -> str:
    return re.sub(r"\.([a-z_0-9]+)", lambda m: "." + _camel(m.group(1)), path)
