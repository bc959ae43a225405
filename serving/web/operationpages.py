"""A page for every operation of an admin API: what it does, who may, a form made from its types, and its answer.

What a person may not do is not listed; the API refuses it all the same. A page needs no script. What changes something says so before
it is done, and the audit log has it as if a program had called. ``/operaciones`` lists them, ``/operacion/ID`` is one; a link may fill
in fields by its query, ``?id=MX:GOB:15-ISSEMYM:AFIL``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from aiohttp import web

from serving.api.examples import example_of
from serving.api.fieldtexts import FIELD_TEXTS, TAG_TEXTS
from serving.api.operations import ApiAnswer, Bytes, Download, MultipartForm, OperationInput, Part
from serving.api.problems import Problem
from serving.web.forms import BODY, FieldKind, FormField, fields_of, read_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.api.operations import Operation, Principal
    from serving.web.console import Console, ConsoleRequest, FormInput

LONGEST_QUERY = 200
# Written by programs alone: a page has its own way to say in which language it is, and to end a session.
LEFT_OUT = frozenset({"put_language_code", "post_language_code"})


@dataclass(frozen=True, slots=True)
class ShownField:
    """A field with the text it holds and what is wrong with it; ``code`` is the rule that it broke."""

    field: FormField
    text: str = ""
    code: str = ""

    @property
    def help(self) -> Any:
        """The explanation of its term, or None."""
        return FIELD_TEXTS.get(self.field.term)


class OperationPages:
    """The pages of all operations of one API."""

    def __init__(self, operations: list[Operation]) -> None:
        self._operations = {o.id: o for o in operations if o.id not in LEFT_OUT and not o.public}

    def add_to(self, console: Console, app: web.Application) -> None:
        """Serve them below the console's root."""
        console.add_page(app, "/operaciones", "console/operations.html", self._index)
        console.add_form(app, "/operacion/{name}", "console/operation.html", self._show, self._do)

    async def _index(self, asking: ConsoleRequest, request: web.Request) -> dict[str, Any]:
        term = request.query.get("q", "").strip()[:LONGEST_QUERY]
        say = asking.say
        groups: dict[str, list[Operation]] = {}
        for operation in self._operations.values():
            text = f"{operation.id} {operation.path} {operation.summary} {say(operation.summary)}".lower()
            if _may(asking.principal, operation) and all(w in text for w in term.lower().split()):
                groups.setdefault(operation.tag, []).append(operation)
        titled = [(TAG_TEXTS.get(tag, tag), found) for tag, found in groups.items()]
        return {"q": term, "groups": sorted(titled, key=lambda g: say(g[0]).lower())}

    def _operation(self, asking: ConsoleRequest, request: web.Request) -> Operation:
        found = self._operations.get(request.match_info["name"])
        if found is None or not _may(asking.principal, found):
            raise web.HTTPNotFound
        return found

    async def _show(self, asking: ConsoleRequest, request: web.Request) -> dict[str, Any]:
        operation = self._operation(asking, request)
        given = {n: request.query[n][:4096] for n in request.query}
        return self._values(operation, given)

    def _values(self, operation: Operation, given: Mapping[str, str], **more: Any) -> dict[str, Any]:
        broken: Mapping[str, str] = more.pop("broken", {})
        fields = [
            ShownField(f, given.get(f.name, ""), broken.get(f.name, "")) for f in _all_fields(operation)
        ]
        return {
            "operation": operation,
            "groups": [(g, [f for f in fields if f.field.group == g]) for g in _groups(fields)],
            "has_file": any(f.field.kind is FieldKind.FILE for f in fields),
            "example": _example(operation),
            "curl": _curl(operation),
            "answer": None,
            "done": False,
            "problem": None,
            **more,
        }

    async def _do(
        self, asking: ConsoleRequest, request: web.Request, form: FormInput
    ) -> dict[str, Any] | web.Response:
        operation = self._operation(asking, request)
        shown = {n: v for n, v in form.fields.items() if n != "csrf"}
        try:
            answer = await asking.api.run(operation.id, request, asking.principal, _input(operation, form))
        except Problem as problem:
            return self._values(
                operation,
                _without_secrets(operation, shown),
                problem=problem,
                broken=_broken(operation, problem),
            )
        body = answer.body if isinstance(answer, ApiAnswer) else answer
        if isinstance(body, Download):
            name = quote(body.file_name or operation.id)
            return web.Response(
                body=body.content,
                headers={
                    "Content-Type": body.media_type,
                    "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
                },
            )
        built = msgspec.to_builtins(body) if body is not None else None
        return self._values(operation, {} if operation.event else shown, answer=_table(built), done=True)


def _may(principal: Principal, operation: Operation) -> bool:
    return not operation.permissions or any(p in principal.permissions for p in operation.permissions)


def _path_names(operation: Operation) -> list[str]:
    return re.findall(r"{(\w+)}", operation.path)


def _all_fields(operation: Operation) -> list[FormField]:
    path = [FormField(name, FieldKind.TEXT, required=True) for name in _path_names(operation)]
    return [*path, *fields_of(operation.query), *(_body_fields(operation))]


def _body_fields(operation: Operation) -> tuple[FormField, ...]:
    """The body's fields; one that is called as a name in the path stands below ``body.``, so that each can be told."""
    taken = {*_path_names(operation), *(f.name for f in fields_of(operation.query))}
    return tuple(
        FormField(f"{BODY}.{f.name}", f.kind, f.required, f.choices, f.longest) if f.name in taken else f
        for f in fields_of(operation.body)
    )


def _groups(fields: list[ShownField]) -> list[str]:
    return list(dict.fromkeys(f.field.group for f in fields))


def _input(operation: Operation, form: FormInput) -> OperationInput:
    path = {name: form.fields.get(name, "").strip() for name in _path_names(operation)}
    if any(not value for value in path.values()):
        empty = {name: ["NotNull"] for name, value in path.items() if not value}
        raise Problem(400, "validation_failure", validation_errors=empty)
    query = {f.name: form.fields.get(f.name, "").strip() for f in fields_of(operation.query)}
    if isinstance(operation.body, Bytes):
        return OperationInput(path, query, file=form.files[BODY].content if BODY in form.files else b"")
    if isinstance(operation.body, MultipartForm):
        texts = {n: Part(v.encode()) for n, v in form.fields.items() if n in operation.body.fields and v}
        files = {n: p for n, p in form.files.items() if n in operation.body.files}
        return OperationInput(path, query, parts={**texts, **files})
    body = read_values(_body_fields(operation), form.fields)
    if isinstance(body, dict) and isinstance(body.get(BODY), dict):
        body = {**body, **body.pop(BODY)}
    return OperationInput(path, query, body)


def _broken(operation: Operation, problem: Problem) -> dict[str, str]:
    """The rules that fields broke, by the field's name: the API names a member by its camel-case path behind the body's type."""
    found: dict[str, str] = {}
    for where, rules in (problem.validation_errors or {}).items():
        tail = re.sub(r"([A-Z])", lambda m: f"_{m[1].lower()}", where).split("[")[0]
        for field in _all_fields(operation):
            if tail == field.name or tail.endswith(f".{field.name.removeprefix(f'{BODY}.')}"):
                found[field.name] = ", ".join(rules)
    return found


def _without_secrets(operation: Operation, shown: Mapping[str, str]) -> dict[str, str]:
    hidden = {f.name for f in _all_fields(operation) if f.kind is FieldKind.HIDDEN}
    return {n: v for n, v in shown.items() if n not in hidden}


def _example(operation: Operation) -> str:
    if operation.body is None or isinstance(operation.body, Bytes | MultipartForm):
        return ""
    return json.dumps(example_of(operation.body), ensure_ascii=False, indent=2)


def _curl(operation: Operation) -> str:
    """The command that does the same from a terminal; the key is read from a file, so that no list of processes shows it."""
    path = re.sub(r"{(\w+)}", lambda m: m[1].upper(), operation.path)
    parts = ["curl --cacert gateway.pem --header @api-key", f"-X {operation.method}"]
    if isinstance(operation.body, MultipartForm):
        parts += [f"-F {n}=@FILE" for n in operation.body.files] + [
            f"-F {n}=…" for n in operation.body.fields
        ]
    elif operation.body is not None:
        kind = operation.body.media_type if isinstance(operation.body, Bytes) else "application/json"
        parts.append(f"-H 'Content-Type: {kind}' --data-binary @FILE")
    return " ".join([*parts, f"https://HOST/api/v1{path}"])


@dataclass(frozen=True, slots=True)
class AnswerTable:
    """An answer as tables: ``columns`` over ``rows`` for a list of objects, else ``pairs`` of a name and a text or another table."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[Any, ...], ...] = ()
    pairs: tuple[tuple[str, Any], ...] = ()


def _table(value: Any) -> Any:
    """An answer's value as texts and `AnswerTable`."""
    if isinstance(value, dict):
        return AnswerTable(pairs=tuple((str(k), _table(v)) for k, v in value.items()))
    if isinstance(value, list) and value and all(isinstance(v, dict) for v in value):
        columns = tuple(dict.fromkeys(k for v in value for k in v))
        return AnswerTable(columns, tuple(tuple(_cell(v.get(c)) for c in columns) for v in value))
    if isinstance(value, list):
        return AnswerTable(rows=tuple((_cell(v),) for v in value))
    return _cell(value)


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return _table(value) if value else ""
    if isinstance(value, bool):
        return value
    return str(value)
