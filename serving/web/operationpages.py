"""A page for every operation of an admin API: what it does, who may, a form made from its types, and its answer.

What a person may not do is not listed; the API refuses it all the same. A page needs no script. What changes something says so before
it is done, and the audit log has it as if a program had called. ``/operaciones`` lists them, ``/operacion/ID`` is one, ``/descarga/ID``
gives its file; a link may fill in fields by its query, ``?id=MX:GOB:15-ISSEMYM:AFIL``, say which of them are settled (``fijos``) and where
its visitor came from (``vuelta``): then the page asks for nothing else, says what will happen, and leads back. An operation that answers
with warnings is asked about once more, with the warnings in words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec
from aiohttp import web

from schemas.jsontext import dump_json
from serving.api.examples import example_of
from serving.api.fieldlabels import FIELD_LABELS
from serving.api.fieldtexts import FIELD_TEXTS, TAG_TEXTS
from serving.api.operations import ApiAnswer, Bytes, Download, MultipartForm, OperationInput, Part
from serving.api.problems import Problem, words_of
from serving.language import as_it_is
from serving.web.acting import may
from serving.web.codewords import caution_text
from serving.web.editing import (
    CARRIED_OUT,
    CHANGED_MEANWHILE,
    SentForms,
    check_unchanged,
    parse_seen,
    read_values,
    reading_of,
    sending_of,
)
from serving.web.formnames import BACK, FIXED, SEEN, SHEET, back_of
from serving.web.forms import BODY, FieldKind, FormField, as_text, fields_of
from serving.web.forms import read_values as read_body
from serving.web.pages import redirect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from serving.api.operations import Operation
    from serving.language import Translatable
    from serving.login.sessions import SessionStore
    from serving.web.console import Console, ConsoleRequest, FormInput

LONGEST_QUERY = 200
# Written by programs alone: a page has its own way to say in which language it is, and to end a session.
LEFT_OUT = frozenset({"put_language_code", "post_language_code"})
IGNORE = "ignore_warnings"
# Their answer holds what is shown this once, so no page takes its place.
SHOWN_ONCE = frozenset({"post_api_keys", "put_members_member_id_contact"})


@dataclass(frozen=True, slots=True)
class ShownField:
    """A field with the text it holds and what is wrong with it; ``code`` names the rules that it broke."""

    field: FormField
    text: str = ""
    code: str = ""
    name_given: Translatable | None = None

    @property
    def chosen(self) -> list[str]:
        """The lines of its text: which of several choices are taken."""
        return self.text.split("\n")

    @property
    def help(self) -> Any:
        """The explanation of its term, or None."""
        return None if self.name_given is not None else FIELD_TEXTS.get(self.field.term)

    @property
    def label(self) -> Translatable:
        """The name of the field, for people."""
        return self.name_given or FIELD_LABELS.get(self.field.term) or as_it_is(self.field.term)

    @property
    def rules(self) -> list[str]:
        """The rules it broke, by name."""
        return [rule for rule in self.code.split(", ") if rule]

    @property
    def name(self) -> str:
        """The name under which the form sends it."""
        return self.field.name


class OperationPages:
    """The pages of all operations of one API.

    ``sessions`` know which forms other nodes carry out; ``consequences`` say what an operation brings about, by its id; ``offered`` are sets of choices of this server, as its roles, by name.
    """

    def __init__(
        self,
        operations: list[Operation],
        sessions: SessionStore,
        consequences: Mapping[str, Translatable] | None = None,
        offered: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        self._operations = {o.id: o for o in operations if o.id not in LEFT_OUT and not o.public}
        self._readings = {o.id: found for o in operations if (found := reading_of(o, operations)) is not None}
        self._sent = SentForms(sessions)
        self._consequences = consequences or {}
        self._offered = offered or {}

    def add_to(self, console: Console, app: web.Application) -> None:
        """Serve them below the console's root."""
        console.add_page(app, "/operaciones", "console/operations.html", self._index)
        console.add_form(app, "/operacion/{name}", "console/operation.html", self._show, self._do)
        console.add_answer(app, "/descarga/{name}", self._give)

    async def _index(self, request: ConsoleRequest) -> dict[str, Any]:
        term = request.query.get("q", "").strip()[:LONGEST_QUERY]
        translate = request.translate
        groups: dict[str, list[Operation]] = {}
        for operation in self._operations.values():
            text = (
                f"{operation.id} {operation.path} {operation.summary} {translate(operation.summary)}".lower()
            )
            if may(request.principal, operation) and all(w in text for w in term.lower().split()):
                groups.setdefault(operation.tag, []).append(operation)
        titled = [(TAG_TEXTS.get(tag, tag), found) for tag, found in groups.items()]
        return {"q": term, "groups": sorted(titled, key=lambda g: translate(g[0]).lower())}

    def _operation(self, request: ConsoleRequest) -> Operation:
        found = self._operations.get(request.http.match_info["name"])
        if found is None or not may(request.principal, found):
            raise web.HTTPNotFound
        return found

    async def _show(self, request: ConsoleRequest) -> dict[str, Any]:
        operation = self._operation(request)
        given = {n: request.query[n][:4096] for n in request.query}
        seen = await self._seen(request, operation, given)
        settled = given.get(FIXED, "").split(",")
        for field in _body_fields(operation):
            # The link says how it was when its page was made; the form shows how it is.
            name = field.name.removeprefix(f"{BODY}.")
            if name in (seen or {}) and field.name in given and field.name not in settled:
                given[field.name] = as_text(field, (seen or {})[name])
        return self._values(operation, given, seen=_dumped(seen))

    async def _seen(
        self, request: ConsoleRequest, operation: Operation, given: Mapping[str, str]
    ) -> dict[str, Any] | None:
        """The values now that an edit would change; None where they cannot be read."""
        reading = self._readings.get(operation.id)
        if reading is None or any(not given.get(n) for n in path_names(operation)):
            return None
        return await read_values(request, operation, reading, {n: given[n] for n in path_names(reading)})

    async def _give(self, request: ConsoleRequest) -> web.Response:
        """The file that an operation answers which changes nothing."""
        operation = self._operation(request)
        if operation.method != "GET":
            raise web.HTTPNotFound
        given = OperationInput(
            {n: request.query.get(n, "") for n in path_names(operation)},
            {f.name: request.query.get(f.name, "") for f in fields_of(operation.query)},
        )
        answer = await request.api.run(operation.id, request.http, request.principal, given)
        if not isinstance(answer, Download):
            raise web.HTTPNotFound
        return _file(operation, answer)

    def _values(self, operation: Operation, given: Mapping[str, str], **more: Any) -> dict[str, Any]:
        broken: Mapping[str, str] = more.pop("broken", {})
        back = back_of(given.get(BACK, ""))
        fields = [
            ShownField(self._with_choices(f), _given_text(f, given), broken.get(f.name, ""))
            for f in all_fields(operation)
            if f.term != IGNORE
        ]
        # With a way back, the page that leads here has said what it is about; that is shown and not asked again.
        names = {f.name for f in fields if f.text and not f.code} if back and FIXED in given else set()
        names &= set(given.get(FIXED, "").split(","))
        nested = [(n, v) for n, v in given.items() if _is_nested(operation, n)]
        # What came as fields of its own is filled; an empty field for it, which must be filled in, would keep the form from being sent.
        filled = {f.name for f in fields if any(n.startswith(f"{f.name}.") for n, _ in nested)}
        shown = [f for f in fields if f.name not in names | filled]
        return {
            "operation": operation,
            "groups": [(g, [f for f in shown if f.field.group == g]) for g in _groups(shown)],
            "has_file": any(f.field.kind is FieldKind.FILE for f in fields),
            "facts": [(f.field.term, f.text) for f in fields if f.name in names]
            + [(n.rpartition(".")[2], v) for n, v in nested],
            "fixed": [*((f.name, f.text) for f in fields if f.name in names), *nested]
            + ([(FIXED, given[FIXED])] if names else []),
            "example": _example(operation),
            "curl": _curl(operation),
            "consequence": self._consequences.get(operation.id),
            "back": back,
            "broken": [f for f in fields if f.code],
            "answer": None,
            "done": False,
            "problem": None,
            "cautions": [],
            "why": None,
            "label_of": FIELD_LABELS.get,
            "seen": "",
            **more,
        }

    async def _carry_out(
        self,
        request: ConsoleRequest,
        operation: Operation,
        form: FormInput,
        seen: Mapping[str, Any] | None,
    ) -> object:
        """The answer of an operation to a form. Raises `Problem`, also where somebody changed meanwhile what the form shows."""

        async def check() -> None:
            now = await self._seen(request, operation, form.fields)
            check_unchanged(seen or {}, now or {})

        given = _input(operation, form)
        if seen:
            given = msgspec.structs.replace(given, check=check)
        return await request.api.run(operation.id, request.http, request.principal, given)

    def _with_choices(self, field: FormField) -> FormField:
        return replace(field, choices=self._offered.get(field.offered, ())) if field.offered else field

    async def _do(self, request: ConsoleRequest, form: FormInput) -> dict[str, Any] | web.Response:
        operation = self._operation(request)
        shown = {n: v for n, v in form.fields.items() if n != "csrf"}
        back = back_of(shown.get(BACK, ""))
        seen = shown.pop(SEEN, "")
        sheet = shown.pop(SHEET, "") if operation.event else ""
        try:
            answer = await self._sent.once(
                sending_of(sheet, request.principal.name, form),
                lambda: self._carry_out(request, operation, form, parse_seen(seen)),
            )
        except Problem as problem:
            if problem.code == CARRIED_OUT and back and operation.id not in SHOWN_ONCE:
                return _led_back(operation, back)
            if problem.code == CHANGED_MEANWHILE:
                seen = _dumped(await self._seen(request, operation, shown))
            return self._values(
                operation,
                _without_secrets(operation, shown),
                seen=seen,
                problem=problem,
                cautions=[caution_text(c.code, tuple(c.metadata)) for c in problem.warnings],
                why=refusal_text(problem),
                broken=_broken(operation, problem),
            )
        body = answer.body if isinstance(answer, ApiAnswer) else answer
        if isinstance(body, Download):
            return _file(operation, body)
        if back and operation.event and operation.id not in SHOWN_ONCE:
            return _led_back(operation, back)
        built = msgspec.to_builtins(body) if body is not None else None
        kept = {n: v for n, v in shown.items() if n == BACK} if operation.event else shown
        return self._values(operation, kept, answer=_table(built), done=True)


def _led_back(operation: Operation, back: str) -> web.Response:
    return redirect(f"{back}{'&' if '?' in back else '?'}hecho={operation.id}")


def _file(operation: Operation, file: Download) -> web.Response:
    name = quote(file.file_name or operation.id)
    return web.Response(
        body=file.content,
        headers={
            "Content-Type": file.media_type,
            "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
        },
    )


def _given_text(field: FormField, given: Mapping[str, str]) -> str:
    """The text of a field, or the lines of the boxes that were ticked."""
    ticked = [v for n, v in given.items() if n.startswith(f"{field.name}.")]
    if field.kind is FieldKind.CHECKS and ticked:
        return "\n".join(ticked)
    return given.get(field.name, "")


def refusal_text(problem: Problem) -> Translatable | None:
    """Why it was not done, in words; details stay as the API says them."""
    if problem.warnings or problem.validation_errors:
        return None
    return words_of(problem)


def _is_nested(operation: Operation, name: str) -> bool:
    """Whether a name is one of a mapping's or list's own fields."""
    return any(f.kind is FieldKind.JSON and name.startswith(f"{f.name}.") for f in all_fields(operation))


def path_names(operation: Operation) -> list[str]:
    """The names in an operation's path, in order."""
    return re.findall(r"{(\w+)}", operation.path)


def all_fields(operation: Operation) -> list[FormField]:
    """Every field of an operation's form: path, query and body."""
    path = [FormField(name, FieldKind.TEXT, required=True) for name in path_names(operation)]
    return [*path, *fields_of(operation.query), *(_body_fields(operation))]


def _body_fields(operation: Operation) -> tuple[FormField, ...]:
    """The body's fields; one that is called as a name in the path stands below ``body.``, so that each can be told."""
    taken = {*path_names(operation), *(f.name for f in fields_of(operation.query))}
    return tuple(
        FormField(f"{BODY}.{f.name}", f.kind, f.required, f.choices, f.longest) if f.name in taken else f
        for f in fields_of(operation.body)
    )


def _body_names(operation: Operation) -> set[str]:
    return {f.name for f in fields_of(operation.body)}


def _groups(fields: list[ShownField]) -> list[str]:
    return list(dict.fromkeys(f.field.group for f in fields))


def _input(operation: Operation, form: FormInput) -> OperationInput:
    path = {name: form.fields.get(name, "").strip() for name in path_names(operation)}
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
    body = read_body(_body_fields(operation), form.fields)
    if isinstance(body, dict) and form.fields.get(IGNORE) == "true" and IGNORE in _body_names(operation):
        body[IGNORE] = True
    if isinstance(body, dict) and isinstance(body.get(BODY), dict):
        body = {**body, **body.pop(BODY)}
    return OperationInput(path, query, body)


def _broken(operation: Operation, problem: Problem) -> dict[str, str]:
    """The rules that fields broke, by the field's name: the API names a member by its camel-case path behind the body's type."""
    found: dict[str, str] = {}
    for where, rules in (problem.validation_errors or {}).items():
        tail = re.sub(r"([A-Z])", lambda m: f"_{m[1].lower()}", where).split("[")[0]
        for field in all_fields(operation):
            if tail == field.name or tail.endswith(f".{field.name.removeprefix(f'{BODY}.')}"):
                found[field.name] = ", ".join(rules)
    return found


def _without_secrets(operation: Operation, shown: Mapping[str, str]) -> dict[str, str]:
    hidden = {f.name for f in all_fields(operation) if f.kind is FieldKind.HIDDEN}
    return {n: v for n, v in shown.items() if n not in hidden}


def _dumped(seen: Mapping[str, Any] | None) -> str:
    """Values as a form remembers them."""
    return "" if seen is None else dump_json(dict(seen), ensure_ascii=False)


def _example(operation: Operation) -> str:
    if operation.body is None or isinstance(operation.body, Bytes | MultipartForm):
        return ""
    return dump_json(example_of(operation.body), ensure_ascii=False, indent=2)


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
