"""Two people at one form: an edit undoes nobody else's, and a form that is sent twice is carried out once.

An edit remembers the values that were there as its form was opened. When it is sent they are read again, within the change: a
difference is refused and said value by value, and the form comes back with what is there now, so that sending it again is a decision. Each
form that is shown has a number of its own: a second click waits for the first one's answer and gets the same; where the first one came to
another node, the second one is told so, or led on where the first one was. Who goes back to a form
that was carried out and sends something else in it is not answered so: that is another act.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from schemas.jsontext import decode_json, dump_json
from serving.api.fieldlabels import FIELD_LABELS
from serving.api.problems import Problem
from serving.language import N_, as_it_is
from serving.login.sessions import FormState
from serving.web.forms import FieldKind, fields_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping

    from serving.api.operations import Operation
    from serving.language import Translatable
    from serving.login.sessions import SessionStore
    from serving.web.console import ConsoleRequest, FormInput

T = TypeVar("T")
CHANGED_MEANWHILE: Final = "changed_meanwhile"
CARRIED_OUT: Final = "form_carried_out"
# A member of an answer that a body's field is called otherwise than.
_READ_AS: Final = {"client_name": "subsystem_name"}
_KEPT_S: Final = 60.0
# How often, and for how long, another node is waited for that carries the same form out.
_LOOK_S: Final = 0.2
_LOOKS: Final = 150
_LONGEST_SHOWN: Final = 200


def reading_of(operation: Operation, operations: Iterable[Operation]) -> Operation | None:
    """The row that reads what an edit changes: GET of the same path, else of the path above; None where none answers its fields."""
    if operation.method not in ("PUT", "PATCH"):
        return None
    by_path = {o.path: o for o in operations if o.method == "GET"}
    for path in (operation.path, operation.path.rpartition("/")[0]):
        found = by_path.get(path)
        if found is not None and _compared(operation, found):
            return found
    return None


def _compared(operation: Operation, reading: Operation) -> dict[str, str]:
    """The fields of an edit that its reading answers, each with the member's name there. Secrets are not read."""
    if not (isinstance(reading.answer, type) and issubclass(reading.answer, msgspec.Struct)):
        return {}
    members = {f.encode_name for f in msgspec.structs.fields(reading.answer)}
    named = {
        f.name: _READ_AS.get(f.name, f.name)
        for f in fields_of(operation.body)
        if f.kind not in (FieldKind.HIDDEN, FieldKind.FILE)
    }
    return {name: member for name, member in named.items() if member in members}


async def read_values(
    request: ConsoleRequest, operation: Operation, reading: Operation, path: Mapping[str, str]
) -> dict[str, Any] | None:
    """The values now of the fields of an edit, as JSON has them; None for who may not read them."""
    found = await request.fetch(reading.id, reading.answer, path)
    if found.value is None:
        return None
    answer = decode_json(dump_json(msgspec.to_builtins(found.value)))
    return {name: answer.get(member) for name, member in _compared(operation, reading).items()}


def parse_seen(text: str) -> dict[str, Any] | None:
    """The values that a form remembers; None for a form that remembers none, or nothing that can be read."""
    try:
        found = decode_json(text) if text else None
    except msgspec.DecodeError:
        return None
    return found if isinstance(found, dict) else None


def check_unchanged(seen: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Refuse an edit whose form was opened over other values than are there now. Raises `Problem` (409, ``changed_meanwhile``)."""
    changed = [(n, seen[n], now[n]) for n in seen if n in now and seen[n] != now[n]]
    if not changed:
        return
    texts = tuple(
        N_(
            "{field}: it was “{before}” and is “{after}” now",
            field=_label(n),
            before=_shown(b),
            after=_shown(a),
        )
        for n, b, a in changed
    )
    words = N_(
        "Somebody changed it after you opened this form. {changes}. What you typed is kept: send it again to put it in place of theirs, or leave it.",
        changes=texts,
    )
    details = [f"{n}: {_shown(b)} -> {_shown(a)}" for n, b, a in changed]
    raise Problem(409, CHANGED_MEANWHILE, details, words=words)


def _label(name: str) -> Translatable:
    return FIELD_LABELS.get(name) or as_it_is(name)


def _shown(value: object) -> str:
    text = (
        "—"
        if value in (None, "")
        else value
        if isinstance(value, str)
        else dump_json(value, ensure_ascii=False)
    )
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def sending_of(sheet: str, who: str, form: FormInput) -> str:
    """One sending of a form: its number, who sends it, and a digest of all that stands in it; empty for a form without a number."""
    if not sheet:
        return ""
    files = [
        [name, part.file_name, hashlib.sha256(part.content).hexdigest()] for name, part in form.files.items()
    ]
    content = dump_json([who, sorted(form.fields.items()), sorted(files)])
    return f"{sheet} {hashlib.sha256(content.encode()).hexdigest()}"


class SentForms:
    """The forms that were sent within the last minute, each by its `sending_of`; ``nodes`` know those that came to other processes."""

    def __init__(self, nodes: SessionStore) -> None:
        self._nodes = nodes
        self._outcomes: dict[str, asyncio.Future[Any]] = {}

    async def once(self, sending: str, act: Callable[[], Awaitable[T]]) -> T:
        """The outcome of ``act`` for a form; for one that was sent already, the outcome it had then. A refused form may be sent again.

        Raises `Problem` (409, ``form_carried_out``) where it was another node that carried it out.
        """
        if not sending:
            return await act()
        while (earlier := self._outcomes.get(sending)) is not None:
            is_done, outcome = await asyncio.shield(earlier)
            if is_done:
                return outcome  # type: ignore[no-any-return]
        loop = asyncio.get_running_loop()
        mine = self._outcomes[sending] = loop.create_future()
        try:
            found = await self._act_alone(sending, act)
        except BaseException:
            del self._outcomes[sending]
            mine.set_result((False, None))
            raise
        mine.set_result((True, found))
        loop.call_later(_KEPT_S, self._outcomes.pop, sending, None)
        return found

    async def _act_alone(self, sending: str, act: Callable[[], Awaitable[T]]) -> T:
        await self._take(sending)
        is_done = False
        try:
            found = await act()
            is_done = True
            return found
        finally:
            self._nodes.end_form(sending, is_done=is_done)

    async def _take(self, sending: str) -> None:
        """Take a form for this node, after another one that refuses it. Raises `Problem` where another one carried it out."""
        for _ in range(_LOOKS):
            state = self._nodes.begin_form(sending)
            if state is FormState.NEW:
                return
            if state is FormState.DONE:
                words = N_(
                    "This form was sent twice and was carried out the first time. Open the page again to see how it is now."
                )
                raise Problem(409, CARRIED_OUT, words=words)
            await asyncio.sleep(_LOOK_S)
        words = N_(
            "This form was sent twice and is still being carried out. Wait, and open the page again to see how it is."
        )
        raise Problem(409, "form_being_carried_out", words=words)
