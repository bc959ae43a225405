"""Forms made from the types of an operation's body and query, and read back into what the operation takes. Pure.

A form's fields have flat names, ``client.member_code``; a list of texts is written a line each, what has no form of its own (lists of
objects, mappings) as JSON, or as fields of its own: ``items.0.id``, ``subject_field_values.CN``. An empty field means "not said": it is left out, so that the operation's own rules judge it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import inspect

from schemas.jsontext import decode_json, dump_json
from serving.api.examples import LISTS, bare_type, choices_of
from serving.api.operations import Bytes, MultipartForm
from serving.api.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# The name of a body that is not an object.
BODY: Final = "body"
# How deep a name of a field may go.
DEEPEST: Final = 8
SECRETS: Final = frozenset(
    {
        "password",
        "passphrase",
        "pin",
        "new_pin",
        "old_pin",
        "software_token_pin",
        "secret",
        "new_password",
        "old_password",
    }
)


class FieldKind(enum.StrEnum):
    """The kinds of fields: each is shown, and read back, in its own way."""

    TEXT = "text"
    HIDDEN = "hidden"
    NUMBER = "number"
    CHOICE = "choice"
    SWITCH = "switch"
    MOMENT = "moment"
    LINES = "lines"
    CHECKS = "checks"
    PARAGRAPH = "paragraph"
    JSON = "json"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class FormField:
    """One field. ``name`` is its path in the body; ``choices`` the values that are taken; ``longest`` in characters."""

    name: str
    kind: FieldKind
    required: bool
    choices: tuple[str, ...] = ()
    longest: int | None = None
    # Which set of choices a page offers, where they are a server's own (such as its roles).
    offered: str = ""

    @property
    def term(self) -> str:
        """The member's own name, under which its help text is found."""
        return self.name.rpartition(".")[2]

    @property
    def group(self) -> str:
        """The members around it, empty at the top."""
        return self.name.rpartition(".")[0]


def fields_of(kind: Any) -> tuple[FormField, ...]:
    """The fields of a body or query type (a Struct, a list of values, `Bytes`, `MultipartForm`, or None)."""
    if kind is None:
        return ()
    if isinstance(kind, Bytes):
        return (FormField(BODY, FieldKind.FILE, required=True),)
    if isinstance(kind, MultipartForm):
        return (
            *(_multipart_field(n, must, kind.choices.get(n, ())) for n, must in kind.fields.items()),
            *(FormField(n, FieldKind.FILE, must) for n, must in kind.files.items()),
        )
    info, _ = bare_type(inspect.type_info(kind))
    if isinstance(info, inspect.StructType):
        return tuple(_members(info, "", required=True))
    return (_field(BODY, info, {}, required=True),)


def _multipart_field(name: str, must: bool, choices: tuple[str, ...]) -> FormField:
    if not choices:
        return FormField(name, _text_kind(name, lines=False), must)
    is_switch = set(choices) == {"true", "false"}
    return FormField(name, FieldKind.SWITCH if is_switch else FieldKind.CHOICE, must, choices)


def _members(struct: inspect.StructType, prefix: str, *, required: bool) -> Iterator[FormField]:
    for member in struct.fields:
        info, extra = bare_type(member.type)
        name = f"{prefix}{member.encode_name}"
        must = required and member.required
        if isinstance(info, inspect.StructType):
            yield from _members(info, f"{name}.", required=must)
        else:
            yield _field(name, info, extra, required=must)


def _field(name: str, info: inspect.Type, extra: Mapping[str, Any], *, required: bool) -> FormField:
    if isinstance(info, inspect.BoolType):
        return FormField(name, FieldKind.SWITCH, required)
    if isinstance(info, inspect.IntType | inspect.FloatType):
        return FormField(name, FieldKind.NUMBER, required)
    if isinstance(info, inspect.LiteralType):
        return FormField(name, FieldKind.CHOICE, required, tuple(str(v) for v in info.values))
    if isinstance(info, inspect.EnumType):
        return FormField(name, FieldKind.CHOICE, required, tuple(str(m.value) for m in info.cls))
    if isinstance(info, inspect.StrType):
        if choices := choices_of(info):
            return FormField(name, FieldKind.CHOICE, required, choices)
        kind = _text_kind(name, lines=bool(extra.get("lines")))
        return FormField(name, kind, required, longest=info.max_length)
    if isinstance(info, LISTS) and "choices" in extra:
        return FormField(name, FieldKind.CHECKS, required, offered=extra["choices"])
    if isinstance(info, LISTS) and _holds_text(info.item_type):
        return FormField(name, FieldKind.LINES, required)
    if isinstance(info, inspect.DateTimeType):
        return FormField(name, FieldKind.MOMENT, required)
    return FormField(name, FieldKind.JSON, required)


def _holds_text(info: inspect.Type) -> bool:
    bare, _ = bare_type(info)
    return isinstance(bare, inspect.StrType | inspect.LiteralType | inspect.EnumType)


def _text_kind(name: str, *, lines: bool) -> FieldKind:
    if name.rpartition(".")[2] in SECRETS:
        return FieldKind.HIDDEN
    return FieldKind.PARAGRAPH if lines else FieldKind.TEXT


def read_values(fields: tuple[FormField, ...], form: Mapping[str, str]) -> Any:
    """The body that a form says, as JSON has it: an object, or the one value of a body that is none. Files are not read here.

    Raises `Problem` (400, ``validation_errors`` with the field's name) for a number or JSON that is none.
    """
    body: dict[str, Any] = {}
    for field in fields:
        text = form.get(field.name, "")
        if field.kind is FieldKind.FILE:
            continue
        value = _value(field, text) if text.strip() else _nested(field, form)
        if value is None:
            continue
        if field.name == BODY:
            return value
        place = body
        *outer, last = field.name.split(".")
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = value
    return [] if fields and fields[0].name == BODY else body


def _nested(field: FormField, form: Mapping[str, str]) -> Any:
    """A mapping or a list of objects that came as fields of their own; None where there are none. Empty ones are not said."""
    prefix = f"{field.name}."
    if field.kind is FieldKind.CHECKS:
        return [text for name, text in form.items() if name.startswith(prefix)] or None
    if field.kind is not FieldKind.JSON:
        return None
    tree: dict[str, Any] = {}
    for name, text in form.items():
        if not name.startswith(prefix) or not text.strip():
            continue
        *steps, last = name.removeprefix(prefix).split(".")[:DEEPEST]
        place = tree
        for step in steps:
            inner = place.setdefault(step, {})
            place = inner if isinstance(inner, dict) else {}
        place[last] = text
    return _numbered(tree) if tree else None


def _numbered(tree: Any) -> Any:
    """A mapping whose keys are all numbers is a list in their order."""
    if not isinstance(tree, dict):
        return tree
    if all(k.isascii() and k.isdigit() and len(k) < 7 for k in tree):
        return [_numbered(tree[k]) for k in sorted(tree, key=int)]
    return {k: _numbered(v) for k, v in tree.items()}


def _value(field: FormField, text: str) -> Any:
    match field.kind:
        case FieldKind.SWITCH:
            return text == "true"
        case FieldKind.NUMBER:
            return _number(field, text.strip())
        case FieldKind.LINES | FieldKind.CHECKS:
            return [line.strip() for line in text.splitlines() if line.strip()]
        case FieldKind.JSON:
            try:
                return decode_json(text)
            except msgspec.DecodeError as err:
                raise _not_readable(field, f"JSON is expected: {err}") from err
        case FieldKind.PARAGRAPH:
            return text.replace("\r\n", "\n")
        case _:
            return text


def _number(field: FormField, text: str) -> int | float:
    try:
        return (
            int(text)
            if text.lstrip("-").isascii() and text.lstrip("-").isdigit() and len(text) < 20
            else float(text)
        )
    except ValueError as err:
        raise _not_readable(field, f"a number is expected, not {text[:40]!r}") from err


def _not_readable(field: FormField, expected: str) -> Problem:
    return Problem(
        400, "validation_failure", [f"{field.name}: {expected}"], validation_errors={field.name: ["Type"]}
    )


def as_text(field: FormField, value: Any) -> str:
    """A value as the field of a form shows it; the other way round of `read_values`."""
    if value is None:
        return ""
    match field.kind:
        case FieldKind.SWITCH:
            return "true" if value else "false"
        case FieldKind.LINES | FieldKind.CHECKS:
            return "\n".join(str(v) for v in value)
        case FieldKind.JSON:
            return dump_json(value, ensure_ascii=False, indent=1)
        case _:
            return str(value)
