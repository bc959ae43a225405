"""``/settings``: every setting with what it does, changed one at a time, taken by the running gateway at once.

This is an addition of ours to X-Road's API. A value that is refused changes nothing.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec

from gateway.admin.context import AdminContext, row
from gateway.settings.config import TABLE
from serving.api.problems import Problem, not_found
from serving.config.settingtable import shown
from serving.errors import OperatorError
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from serving.api.operations import Call, Operation

VIEW, CHANGE = "VIEW_SYS_PARAMS", "CHANGE_SETTINGS"


class SettingView(msgspec.Struct, frozen=True):
    """One setting. ``source`` is environment, set, file or default."""

    name: str
    value: str
    default: str
    expected: str
    source: str
    # Whether a running gateway takes a change; the others wait for its next start.
    live: bool
    # Whether what is written differs from what this gateway runs by.
    needs_restart: bool
    es: str
    en: str


class SettingValue(msgspec.Struct, frozen=True):
    """A value as people write it; lists are comma-separated."""

    value: Annotated[str, msgspec.Meta(max_length=4000)]


class SettingsReloaded(msgspec.Struct, frozen=True):
    """The changes that reading the settings again brought, a line each: in force now, and at the next start."""

    taken: list[str]
    needs_restart: list[str]


@dataclass(frozen=True, slots=True)
class SettingResource:
    """The handlers of ``/settings``: see, change, go back, read again."""

    context: AdminContext

    def rows(self) -> Sequence[Operation]:
        """The rows of these handlers: path, right, input, answer."""
        return [
            row("GET", "/settings", self.all, "Every setting", VIEW, answer=list[SettingView]),
            row("GET", "/settings/{name}", self.one, "One setting", VIEW, answer=SettingView),
            row("PUT", "/settings/{name}", self.set, "Change a setting", CHANGE, body=SettingValue,
                answer=SettingView, event="SETTING_CHANGE"),
            row("DELETE", "/settings/{name}", self.unset, "Go back to the file's value or the default", CHANGE,
                answer=SettingView, event="SETTING_CHANGE"),
            row("POST", "/settings/reload", self.reload, "Read file and environment again", CHANGE,
                answer=SettingsReloaded, event="SETTINGS_RELOAD"),
        ]  # fmt: skip

    async def all(self, _call: Call) -> list[SettingView]:
        return [self._view(name) for name in TABLE.types]

    async def one(self, call: Call) -> SettingView:
        return self._view(self._name(call))

    async def set(self, call: Call) -> SettingView:
        name = self._name(call)
        with _refused():
            self.context.process.live.set(name, call.body_as(SettingValue).value)
            self.context.process.reconfigure()
        return self._view(name)

    async def unset(self, call: Call) -> SettingView:
        name = self._name(call)
        with _refused():
            self.context.process.live.unset(name)
            self.context.process.reconfigure()
        return self._view(name)

    async def reload(self, call: Call) -> SettingsReloaded:
        with _refused():
            found = self.context.process.reconfigure()
        call.note(taken=[c.line() for c in found.taken])
        return SettingsReloaded([c.line() for c in found.taken], [c.line() for c in found.waiting])

    def _name(self, call: Call) -> str:
        name = call.path["name"]
        if name not in TABLE.settings:
            raise not_found("setting_not_found", name)
        return name

    def _view(self, name: str) -> SettingView:
        live = self.context.process.live
        with _refused(conflicting=True):
            stored = TABLE.flatten(live.load())[name]
            source = live.source(name)
        setting = TABLE.setting(name)
        running = TABLE.flatten(self.context.process.settings)[name]
        return SettingView(
            name,
            shown(running),
            shown(TABLE.defaults[name]),
            TABLE.expected(name),
            source,
            setting.live,
            stored != running,
            N_(setting.help).into("es"),
            N_(setting.help).into("en"),
        )


@contextlib.contextmanager
def _refused(*, conflicting: bool = False) -> Iterator[None]:
    """Raise `Problem` (``invalid_setting``, 400, or 409 where ``conflicting``) for an `OperatorError` raised inside."""
    try:
        yield
    except OperatorError as err:
        status = 409 if conflicting else 400
        raise Problem(status, "invalid_setting", [str(err)], words=err.text) from err
