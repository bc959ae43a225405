"""Forms made from types: each operation of both servers can be filled in and comes back as its body."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
import pytest

from gateway.server.process import GatewayProcess
from gateway.settings.config import GatewaySettings
from gateway.settings.datafolder import DataFolder
from serving.api.examples import example_of
from serving.api.operations import Bytes, MultipartForm
from serving.api.problems import Problem
from serving.api.validation import checked, trimmed
from serving.web.forms import (
    BODY,
    FieldKind,
    as_text,
    fields_of,
    read_values,
)

if TYPE_CHECKING:
    from serving.api.operations import Operation


class Inner(msgspec.Struct):
    code: str
    size: int | None = None


class Outer(msgspec.Struct):
    name: Annotated[str, msgspec.Meta(max_length=20)]
    kind: Literal["A", "B"]
    inner: Inner
    tags: list[str] = []
    on: bool | None = None
    more: dict[str, Any] = {}
    pin: str | None = None
    notice: Annotated[str, msgspec.Meta(extra={"lines": True})] = ""


FILLED = {"name": " x ", "kind": "B", "inner.code": "c", "inner.size": "7", "tags": "a\r\n\r\n b ", "on": "false", "more": '{"a": 1}'}  # fmt: skip


def test_a_form_has_a_field_for_every_member() -> None:
    kinds = {f.name: f.kind for f in fields_of(Outer)}
    assert kinds == {
        "name": FieldKind.TEXT,
        "kind": FieldKind.CHOICE,
        "inner.code": FieldKind.TEXT,
        "inner.size": FieldKind.NUMBER,
        "tags": FieldKind.LINES,
        "on": FieldKind.SWITCH,
        "more": FieldKind.JSON,
        "pin": FieldKind.HIDDEN,
        "notice": FieldKind.PARAGRAPH,
    }
    assert [f.name for f in fields_of(Outer) if f.required] == ["name", "kind", "inner.code"]


def test_what_is_filled_in_becomes_the_body() -> None:
    assert read_values(fields_of(Outer), FILLED) == {
        "name": " x ",
        "kind": "B",
        "inner": {"code": "c", "size": 7},
        "tags": ["a", "b"],
        "on": False,
        "more": {"a": 1},
    }


@pytest.mark.parametrize(
    ("field", "text"),
    [("inner.size", "seven"), ("inner.size", "٧٧x"), ("inner.size", "--"), ("more", "{"), ("more", "[" * 5000), ("more", "NaN")],
)  # fmt: skip
def test_a_text_that_is_not_of_its_kind_is_said_with_its_field(field: str, text: str) -> None:
    with pytest.raises(Problem) as raised:
        read_values(fields_of(Outer), {**FILLED, field: text})
    assert raised.value.validation_errors == {field: ["Type"]}


def test_a_body_that_is_no_object_has_one_field() -> None:
    (field,) = fields_of(list[str])
    assert (field.name, field.kind) == (BODY, FieldKind.LINES)
    assert read_values((field,), {BODY: "a\nb"}) == ["a", "b"]
    assert read_values((field,), {}) == []


@cache
def operations() -> list[Operation]:
    with TemporaryDirectory() as folder:
        process = GatewayProcess(DataFolder(Path(folder)), GatewaySettings(), None)
        found = list(process.api.operations)
        process.logins.close()
        process.store.close()
    return found


@pytest.mark.parametrize("operation", operations(), ids=lambda o: str(o.id))
def test_every_operation_of_a_gateway_can_be_filled_in(operation: Operation) -> None:
    for kind in (operation.body, operation.query):
        if kind is None or isinstance(kind, Bytes | MultipartForm):
            continue
        fields = fields_of(kind)
        assert len({f.name for f in fields}) == len(fields)
        example = example_of(kind)
        shown = {f.name: as_text(f, _at(example, f.name)) for f in fields}
        assert read_values(fields, shown) == example
        if operation.query is kind:
            checked(kind, {f.name: shown[f.name] for f in fields}, strict=False)
        else:
            checked(kind, trimmed(example))


def _at(value: Any, name: str) -> Any:
    for part in () if name == BODY else name.split("."):
        value = value[part]
    return value
