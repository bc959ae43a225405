"""The parts a page is made of, as values: notes, facts, lists, steps, pictures, forms. Pure; one template renders them all.

A page's function gives a `PageView` and nothing of HTML, so that every page has the same tables, states its times the same way and is
escaped in one place. A value in a list or among facts is a `Cell`: a text with the way it is shown, and what it sorts by.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from serving.language import SOURCE_LANGUAGE, Translatable, as_it_is

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from serving.api.operations import Operation

Tone = Literal["note", "good", "bad", "caution"]
# Letters of a machine's name that a column is as wide as.
LONGEST_WHOLE: Final = 30
CellKind = Literal["text", "code", "word", "moment", "day", "number", "link", "several", "mark"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One value as it is shown. ``code`` is the machine's name of a word, shown small beside it; ``tone`` colours a mark."""

    kind: CellKind
    text: Translatable
    code: str = ""
    href: str = ""
    tone: Tone = "note"
    parts: tuple[Cell, ...] = ()
    # Sorts before ``text`` does.
    order: str = ""

    @property
    def is_short(self) -> bool:
        """Whether it stays whole in a column: a name, not a digest."""
        return len(self.text.into(SOURCE_LANGUAGE)) <= LONGEST_WHOLE

    def plain(self, language: str = SOURCE_LANGUAGE) -> str:
        """The value as a text alone: for search, for sorting, and for a file."""
        if self.kind == "several":
            return ", ".join(p.plain(language) for p in self.parts)
        plain = self.text.into(language)
        return f"{plain} ({self.code})" if self.kind == "word" and self.code and self.code != plain else plain


def text(value: object) -> Cell:
    """Any text as it is; None is nothing."""
    return Cell("text", as_it_is("" if value is None else str(value)))


def phrase(value: Translatable, tone: Tone | None = None) -> Cell:
    """A text of the catalogue; with a tone it is a mark."""
    return Cell("text", value) if tone is None else Cell("mark", value, tone=tone)


def code(value: object) -> Cell:
    """An identifier, an address or another text of machines."""
    return Cell("code", as_it_is("" if value is None else str(value)))


def moment(value: str | None) -> Cell:
    """A time, given as RFC 3339; shown in the reader's zone."""
    return Cell("moment", as_it_is(value or ""), order=value or "")


def day(value: str | None) -> Cell:
    """A day, given as RFC 3339; that of a time is the one in the reader's zone."""
    return Cell("day", as_it_is(value or ""), order=value or "")


def number(value: float | None, unit: str = "") -> Cell:
    """A number with its separators, and its unit."""
    if value is None:
        return text("")
    shown = f"{value:,}" if isinstance(value, int) else f"{value:,.1f}".removesuffix(".0")
    return Cell("number", as_it_is(f"{shown} {unit}".strip()), order=f"{value:024.6f}")


def link(label: Translatable | str, href: str, machine: str = "") -> Cell:
    """A way to another page of this site; ``machine`` is shown small beside the words."""
    return Cell("link", as_it_is(label) if isinstance(label, str) else label, href=href, code=machine)


def several(*cells: Cell | None) -> Cell:
    """Several values in one place; None is left out."""
    return Cell("several", as_it_is(""), parts=tuple(c for c in cells if c is not None))


@dataclass(frozen=True, slots=True)
class PageLink:
    """Something to do or to see next. ``main`` is the one that most people want."""

    text: Translatable
    href: str
    main: bool = False


@dataclass(frozen=True, slots=True)
class PageNote:
    """A message on a page; ``links`` are its remedies."""

    kind: ClassVar[str] = "note"
    text: Translatable
    tone: Tone = "note"
    links: tuple[PageLink, ...] = ()


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of the second level, with a sentence below it."""

    kind: ClassVar[str] = "heading"
    text: Translatable
    lead: Translatable | None = None
    links: tuple[PageLink | None, ...] = ()


@dataclass(frozen=True, slots=True)
class FactSheet:
    """Facts: names, each with its value."""

    kind: ClassVar[str] = "facts"
    pairs: tuple[tuple[Translatable, Cell], ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a list: its head, and the name it is sorted by in addresses (empty: it cannot be)."""

    title: Translatable
    name: str = ""
    right: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """A list. ``name`` tells lists of a page apart in addresses; empty: the list is short and only shown.

    ``total`` is given where the rows are already one page of more, found by the server; ``follows`` ("" on the last page) where it does not
    count them. ``empty`` says what would be there and how to get it.
    """

    kind: ClassVar[str] = "listing"
    caption: Translatable
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    empty: Translatable
    name: str = ""
    total: int | None = None
    per_page: int = 50
    searchable: bool = True
    # Addresses of what follows, and of the beginning, where the server pages by a key and counts nothing: the rows are the page.
    follows: str | None = None
    begins: str = ""
    # Set by `serving.web.listing`: what is searched for, the order, where in the list it stands, addresses of other pages.
    state: Any = None


@dataclass(frozen=True, slots=True)
class StepList:
    """Steps of a longer work, each done or not; the first that is not done is the next."""

    kind: ClassVar[str] = "steps"
    steps: tuple[PageStep, ...]


@dataclass(frozen=True, slots=True)
class PageStep:
    """One step: what is to be done, whether it is, and where."""

    text: Translatable
    done: bool
    hint: Translatable | None = None
    href: str = ""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture made on the server; the same numbers stand in a list beside it."""

    kind: ClassVar[str] = "picture"
    svg: Markup
    caption: Translatable


@dataclass(frozen=True, slots=True)
class QueryField:
    """A field of a form that only asks: its name in the address, its label, its value, and choices where there are few."""

    name: str
    label: Translatable
    value: str = ""
    choices: tuple[tuple[str, Translatable], ...] = ()
    hint: Translatable | None = None
    required: bool = False
    # The kind of input that a browser is asked to show.
    kind: Literal["text", "datetime-local"] = "text"


@dataclass(frozen=True, slots=True)
class QueryForm:
    """A form that asks by its address and changes nothing. ``kept`` goes along unseen."""

    kind: ClassVar[str] = "query"
    fields: tuple[QueryField, ...]
    button: Translatable
    path: str
    kept: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class OperationForm:
    """The form of an operation on a page; ``fixed`` is known already, ``extra`` stands beside the operation's own fields."""

    kind: ClassVar[str] = "operation"
    operation: Operation
    groups: Sequence[tuple[str, Sequence[Any]]]
    fixed: tuple[tuple[str, str], ...]
    has_file: bool
    button: Translatable
    back: str


@dataclass(frozen=True, slots=True)
class SourceText:
    """Lines of a program or of a file, as they are."""

    kind: ClassVar[str] = "source"
    text: str
    title: Translatable | None = None


Block = PageNote | Heading | FactSheet | Listing | StepList | Picture | QueryForm | OperationForm | SourceText


@dataclass(frozen=True, slots=True)
class PageView:
    """A page: its title, the way back, what can be done, and its parts in order."""

    title: Translatable
    blocks: Sequence[Block | None]
    links: Sequence[PageLink | None] = ()
    trail: Sequence[PageLink] = ()
    lead: Translatable | None = None
    # Names of machines that belong to the title.
    code: str = ""
    state: dict[str, Any] = field(default_factory=dict)
