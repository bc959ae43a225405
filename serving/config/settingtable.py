"""A server's settings as a table, made of the fields of its settings struct: type, default, and the `Setting` of each.

Everything that speaks of settings reads this one table: the TOML file and the environment, the commands, the admin API, the
documentation. Pure.
"""

from __future__ import annotations

import enum
import math
from difflib import get_close_matches
from functools import cached_property
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from serving.config.setting import Setting
from serving.errors import OperatorError
from serving.language import N_, Text, Translatable, in_lines

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

YES = frozenset({"true", "yes", "si", "sí", "on", "1"})
NO = frozenset({"false", "no", "off", "0"})


class Change(msgspec.Struct, frozen=True):
    """One setting that is different."""

    name: str
    old: object
    new: object

    def line(self) -> str:
        """The change as one line: name, old and new value."""
        return f"setting {self.name}: {shown(self.old)} -> {shown(self.new)}"


class SettingTable:
    """The settings of one server, by their names ``section.field``, or ``field`` outside sections.

    ``takes_live``: whether the server takes live settings while it runs; one that does not takes all of them at its next start.
    """

    def __init__(self, kind: type[msgspec.Struct], *, takes_live: bool = True) -> None:
        self.kind = kind
        self._takes_live = takes_live

    @cached_property
    def types(self) -> dict[str, Any]:
        """Every setting's type, by its name ``section.field`` (or ``field``)."""
        return dict(_leaves(self.kind, ""))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every setting's name, in the order of `types`, without looking at types: that takes a start 20 ms."""
        return tuple(_names(self.kind(), ""))

    @cached_property
    def settings(self) -> dict[str, Setting]:
        """Every setting's description, by its name. Raises TypeError for a field that has none."""
        found = {name: _setting_of(name, kind) for name, kind in self.types.items()}
        return {
            name: setting if self._takes_live else msgspec.structs.replace(setting, live=False)
            for name, setting in found.items()
        }

    @cached_property
    def defaults(self) -> dict[str, object]:
        """Every setting's value when nobody says another."""
        return self.flatten(self.kind())

    def setting(self, name: str) -> Setting:
        """A setting's description. Raises `OperatorError` for a name that is none."""
        found = self.settings.get(name)
        if found is None:
            raise OperatorError(no_setting(name, self.types))
        return found

    def is_plain(self, name: str) -> bool:
        """Whether a setting is one value or a list of them; the others are written in the file only."""
        return _plain(self.types[name])

    def expected(self, name: str) -> str:
        """In words, what values a setting takes."""
        setting, kind = self.setting(name), _bare(self.types[name])
        return _expected(kind) + _range(setting)

    def parse(self, name: str, text: str) -> object:
        """The value that somebody wrote for a setting. Raises `OperatorError` with what was expected and what came."""
        self.setting(name)
        if not self.is_plain(name):
            raise OperatorError(
                N_("{name} is a table of its own: write it into the settings file", name=name)
            )
        try:
            value = _parse(_bare(self.types[name]), text)
        except (ValueError, msgspec.ValidationError) as err:
            raise OperatorError(
                N_(
                    "{name}: expected {expected}; came {text!r}",
                    name=name,
                    expected=self.expected(name),
                    text=text,
                )
            ) from err
        self._check_range(name, value)
        return value

    def check(self, settings: msgspec.Struct) -> None:
        """Refuse settings outside their ranges. Raises `OperatorError` with every reason."""
        found: list[Translatable] = []
        for name, value in self.flatten(settings).items():
            if value == self.defaults[name]:
                continue
            try:
                self._check_range(name, value)
            except OperatorError as err:
                found.append(err.text)
        if found:
            raise OperatorError(in_lines(found))

    def flatten(self, settings: msgspec.Struct) -> dict[str, object]:
        """Every setting's value, by name."""
        return {name: _value_at(settings, name) for name in self.names}

    def differences(self, old: msgspec.Struct, new: msgspec.Struct) -> tuple[Change, ...]:
        """The settings whose values differ between two sets of the same kind."""
        before, after = self.flatten(old), self.flatten(new)
        return tuple(Change(n, before[n], after[n]) for n in self.names if before[n] != after[n])

    def with_live(self, old: msgspec.Struct, new: msgspec.Struct) -> Any:
        """``old`` with every live setting as in ``new``."""
        changed = [c for c in self.differences(old, new) if self.settings[c.name].live]
        sections: dict[str, dict[str, object]] = {}
        for change in changed:
            section, _, field = change.name.rpartition(".")
            sections.setdefault(section, {})[field] = change.new
        top = sections.pop("", {})
        for section, fields in sections.items():
            top[section] = msgspec.structs.replace(getattr(old, section), **fields)
        return msgspec.structs.replace(old, **top)

    def _check_range(self, name: str, value: object) -> None:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return
        setting = self.settings[name]
        low = -math.inf if setting.low is None else setting.low
        high = math.inf if setting.high is None else setting.high
        if not (math.isfinite(value) and low <= value <= high):
            raise OperatorError(
                N_(
                    "{name}: expected {expected}; came {value}",
                    name=name,
                    expected=self.expected(name),
                    value=_number(value),
                )
            )

    def render_markdown(self, language: str) -> str:
        """The table for the documentation, in a language."""
        head = [N_("setting"), N_("values"), N_("default"), N_("live"), N_("what it does")]
        yes, no = N_("yes").into(language), N_("restart").into(language)
        lines = [f"| {' | '.join(title.into(language) for title in head)} |", "|---|---|---|---|---|"]
        for name in self.types:
            setting = self.settings[name]
            values = self.expected(name).replace("|", "/")
            default = shown(self.defaults[name])
            text = N_(setting.help).into(language)
            lines.append(f"| `{name}` | {values} | `{default}` | {yes if setting.live else no} | {text} |")
        return "\n".join(lines) + "\n"


def shown(value: object) -> str:
    """A value as people write it; of a secret only where it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, (tuple, list)):
        return ",".join(shown(v) for v in value)
    if isinstance(value, msgspec.Struct):
        fields = {f: v for f, v in msgspec.structs.asdict(value).items() if v}
        return ", ".join(f"{f} {shown(v)}" for f, v in fields.items())
    return str(value)


def no_setting(name: str, types: Mapping[str, Any]) -> Text:
    """That there is no setting of this name, and which ones are near to it."""
    section = name.rpartition(".")[0]
    tops = tuple(dict.fromkeys(n.partition(".")[0] for n in types))
    beside = [n for n in types if n.startswith(f"{section}.")] or tops
    near = [n for n in types if name and name in n] or get_close_matches(name, (*types, *tops), n=5)
    if section:
        near = [n for n in near if n not in tops]
    hint = (
        N_("; is it {names}?", names=", ".join(near[:5]))
        if near
        else N_("; there are: {names}", names=", ".join(beside))
    )
    return N_("there is no setting {name!r}{hint}", name=name, hint=hint)


def reason_of(
    kind: type[msgspec.Struct], values: Mapping[str, Any], error: msgspec.ValidationError
) -> Text | str:
    """Why ``values`` are no settings of ``kind``: the setting's name, what it takes and what came; of what is inside a setting, as the reader says it."""
    types = dict(_leaves(kind, ""))
    for name, value in _by_name(values, types):
        if name not in types:
            return no_setting(name, types)
        if not _plain(types[name]):
            continue
        try:
            msgspec.convert(value, _bare(types[name]), strict=False)
        except msgspec.ValidationError:
            expected = _expected(_bare(types[name]))
            return N_("{name}: expected {expected}; came {text!r}", name=name, expected=expected, text=value)
    return str(error)


def _by_name(values: Mapping[str, Any], types: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict) and any(n.startswith(f"{key}.") for n in types):
            yield from ((f"{key}.{inner}", v) for inner, v in value.items())
        else:
            yield key, value


def nested(kept: Mapping[str, object]) -> dict[str, Any]:
    """Values by name as the tables of a file."""
    found: dict[str, Any] = {}
    for name, value in kept.items():
        section, _, field = name.rpartition(".")
        (found.setdefault(section, {}) if section else found)[field] = value
    return found


def _names(settings: msgspec.Struct, prefix: str) -> Iterator[str]:
    for field in settings.__struct_fields__:
        value = getattr(settings, field)
        if not prefix and isinstance(value, msgspec.Struct):
            yield from _names(value, f"{field}.")
        else:
            yield f"{prefix}{field}"


def _leaves(kind: type[msgspec.Struct], prefix: str) -> Iterator[tuple[str, Any]]:
    hints = get_type_hints(kind, include_extras=True)
    for field in msgspec.structs.fields(kind):
        bare = _bare(hints[field.name])
        if not prefix and isinstance(bare, type) and issubclass(bare, msgspec.Struct):
            yield from _leaves(bare, f"{field.name}.")
        else:
            yield f"{prefix}{field.name}", hints[field.name]


def _value_at(settings: msgspec.Struct, name: str) -> object:
    found: object = settings
    for part in name.split("."):
        found = getattr(found, part)
    return found


def _setting_of(name: str, kind: Any) -> Setting:
    found = [m for m in getattr(kind, "__metadata__", ()) if isinstance(m, Setting)]
    if not found:
        raise TypeError(
            f"the setting {name} says nothing of itself: Annotated[..., Setting(help=...)] is expected"
        )
    return found[0]


def _bare(kind: Any) -> Any:
    return _bare(kind.__origin__) if hasattr(kind, "__metadata__") else kind


def _plain(kind: Any) -> bool:
    bare = _bare(kind)
    if get_origin(bare) is tuple:
        return _plain(get_args(bare)[0])
    if get_origin(bare) is dict or get_origin(bare) in (Union, UnionType):
        return False
    return not (isinstance(bare, type) and issubclass(bare, msgspec.Struct))


def _expected(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return " | ".join(str(v) for v in get_args(kind))
    if get_origin(kind) is tuple:
        return "a,b,c" if _plain(kind) else "TOML"
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return " | ".join(str(m.value) for m in kind)
    if kind is bool:
        return "true | false"
    names = {int: "int", float: "float", str: "text"}
    return names.get(kind, "TOML")


def _range(setting: Setting) -> str:
    if setting.low is not None and setting.high is not None:
        return f" {_number(setting.low)}..{_number(setting.high)}"
    if setting.low is not None:
        return f" >= {_number(setting.low)}"
    return f" <= {_number(setting.high)}" if setting.high is not None else ""


def _number(value: float) -> str:
    return str(int(value)) if math.isfinite(value) and value == int(value) else f"{value:g}"


def _parse(kind: Any, text: str) -> object:
    if kind is str:
        return text
    word = text.strip()
    if kind is bool:
        if word.lower() not in YES | NO:
            raise ValueError(text)
        return word.lower() in YES
    if get_origin(kind) is tuple:
        inner = _bare(get_args(kind)[0])
        return tuple(_parse(inner, part.strip()) for part in word.split(",") if part.strip())
    return msgspec.convert(word, kind, strict=False)
