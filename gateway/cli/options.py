"""The options of a command that calls an operation, from the operation's row: path, query and body, and back into a call.

A name of the path is an argument; a field of the query or body is an option, fields of an inner object are options too,
lists are options to repeat. A secret is never an option: it comes from a file or is asked for. Identifiers may be written
with slashes, as everywhere in the commands.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

import click
import msgspec

from serving.api.operations import Bytes, MultipartForm
from serving.cli.commands import ask_secret
from serving.config.secret import read_secret_file
from serving.language import _

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import UnionType

    from serving.api.operations import Operation

SECRETS = frozenset({"password", "software_token_pin", "old_pin", "new_pin"})
IDENTIFIERS = frozenset({"id", "sc_id", "member_id", "client_id", "target_client_id", "items", "service_id"})
_NAME = re.compile(r"{(\w+)}")


@dataclass(frozen=True, slots=True)
class Field:
    """A value that a command takes: where it stands in the body or query, and what it is."""

    path: tuple[str, ...]
    kind: Any
    required: bool
    default: object

    @property
    def name(self) -> str:
        """The field's own name, the last of its path."""
        return self.path[-1]


def parameters(operation: Operation) -> list[click.Parameter]:
    """The arguments and options of an operation's command, made from its path, query and body."""
    found: list[click.Parameter] = [click.Argument([name]) for name in _NAME.findall(operation.path)]
    if isinstance(operation.body, (Bytes, MultipartForm)):
        found.append(click.Argument(["file"], type=click.Path(path_type=Path, exists=True, dir_okay=False)))
    found += [_option(field) for field in fields(operation.query)]
    found += [_option(field) for field in fields(operation.body)]
    return found


def fill_path(operation: Operation, given: Mapping[str, Any]) -> str:
    """The operation's path with its arguments."""
    from urllib.parse import quote

    def one(found: re.Match[str]) -> str:
        value = str(given[found.group(1).lower()])
        value = value.replace("/", ":") if found.group(1) in IDENTIFIERS else value
        return quote(value, safe=":")

    return _NAME.sub(one, operation.path)


def query_of(operation: Operation, given: Mapping[str, Any]) -> dict[str, str]:
    """The query that the options make."""
    found: dict[str, str] = {}
    for field in fields(operation.query):
        value = _value(field, given[_key(field)])
        if value is not None:
            found[field.name] = ("true" if value else "false") if isinstance(value, bool) else str(value)
    return found


def body_of(operation: Operation, given: Mapping[str, Any]) -> dict[str, Any] | None:
    """The JSON body that the options make; None when the operation has none."""
    if operation.body is None or isinstance(operation.body, (Bytes, MultipartForm)):
        return None
    body: dict[str, Any] = {}
    for field in fields(operation.body):
        value = _value(field, given[_key(field)])
        if value is None:
            continue
        place = body
        for name in field.path[:-1]:
            place = place.setdefault(name, {})
        place[field.name] = value
    return body


def fields(kind: Any, path: tuple[str, ...] = ()) -> Iterator[Field]:
    """Every value of a struct, those of inner structs included."""
    if not (isinstance(kind, type) and issubclass(kind, msgspec.Struct)):
        return
    hints = get_type_hints(kind)
    for field in msgspec.structs.fields(kind):
        inner = _without_none(hints[field.name])
        if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
            yield from fields(inner, (*path, field.name))
        else:
            default = None if field.required else field.default
            yield Field((*path, field.name), inner, field.required, default)


def _key(field: Field) -> str:
    return f"secret_{field.name}" if field.name in SECRETS else field.name


def _option(field: Field) -> click.Option:
    name = f"--{field.name.replace('_', '-')}"
    if field.name in SECRETS:
        kind = click.Path(path_type=Path, exists=True, dir_okay=False)
        return click.Option(
            [f"{name}-file", _key(field)], type=kind, help="file that holds it; else it is asked for"
        )
    if field.kind is bool:
        return click.Option([f"{name}/--no-{name[2:]}", field.name], default=field.default)
    origin = get_origin(field.kind)
    if origin is Literal:
        choice = click.Choice([str(v) for v in get_args(field.kind)])
        return click.Option([name], type=choice, required=field.required)
    if origin is dict:
        return click.Option([name, field.name], multiple=True, help="field=value; repeat for several")
    if origin is list:
        return click.Option([name, field.name], multiple=True, required=True, help="repeat for several")
    chosen: Any = int if field.kind is int else str
    default = field.default if isinstance(field.default, (str, int)) and field.default != "" else None
    return click.Option([name], type=chosen, required=field.required, default=default, show_default=True)


def _value(field: Field, given: Any) -> Any:
    if field.name in SECRETS:
        return _secret(field, given)
    origin = get_origin(field.kind)
    if origin is dict:
        return dict(_pair(text) for text in given)
    if origin is list:
        return [_item(field, text) for text in given]
    if isinstance(given, str) and field.name in IDENTIFIERS:
        return given.replace("/", ":")
    return given


def _secret(field: Field, given: Path | None) -> str:
    if given is not None:
        return read_secret_file(given)
    return ask_secret(field.name, f"--{field.name.replace('_', '-')}-file")


def _pair(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign:
        raise ValueError(_("expected field=value, came {text!r}", text=text))
    return name, value


def _item(field: Field, text: str) -> object:
    """One of a list: a text, or the object whose one required field it is."""
    inner = get_args(field.kind)[0]
    if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
        needed = [f.name for f in msgspec.structs.fields(inner) if f.required]
        value = text.replace("/", ":") if needed[0] in IDENTIFIERS else text
        return {needed[0]: value}
    return text.replace("/", ":") if field.name in IDENTIFIERS else text


def _without_none(kind: Any) -> Any:
    if get_origin(kind) is Union or type(kind).__name__ == "UnionType":
        inner: list[Any | UnionType] = [k for k in get_args(kind) if k is not type(None)]
        return inner[0] if len(inner) == 1 else kind
    return kind
