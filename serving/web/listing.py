"""Lists as a person uses them: searched, sorted, paged by the address, and taken away as CSV. Pure.

``?q=`` searches, ``?orden=name`` sorts (``-name`` backwards), ``?pagina=2`` pages, ``?csv=list`` gives the file; a list's own name stands
before each where a page has several. A list that the server pages itself has a total; it is only sorted and paged by the server.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from serving.web.blocks import Cell, Listing

T = TypeVar("T")

LONGEST_SEARCH = 200
# A spreadsheet would run what begins with one of these.
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class ListState:
    """The state of a list: what is searched for, its order, which rows of how many are shown, and the addresses around it."""

    q: str
    order: str
    first: int
    last: int
    count: int
    kept: tuple[tuple[str, str], ...]
    # Column name -> address that sorts by it, and the way it is sorted now (ascending, descending, none).
    orders: Mapping[str, tuple[str, str]]
    before: str = ""
    after: str = ""
    csv: str = ""
    names: tuple[str, str] = ("q", "pagina")


@dataclass(frozen=True, slots=True)
class PagedQuery:
    """The part of an address that concerns one list."""

    q: str
    order: str
    page: int

    @property
    def column(self) -> str:
        """The name of the column it is sorted by."""
        return self.order.removeprefix("-")

    @property
    def backwards(self) -> bool:
        """Whether the last comes first."""
        return self.order.startswith("-")


def read_list_query(query: Mapping[str, str], prefix: str = "") -> PagedQuery:
    """The state of a list in an address; whatever is no number of a page is the first."""
    page = query.get(f"{prefix}pagina", "")
    number = int(page) if page.isascii() and page.isdigit() and len(page) < 7 else 1
    return PagedQuery(
        query.get(f"{prefix}q", "").strip()[:LONGEST_SEARCH],
        query.get(f"{prefix}orden", "")[:64],
        max(number, 1),
    )


def arranged(listing: Listing, query: Mapping[str, str], language: str, prefix: str = "") -> Listing:
    """The rows to show of a list, with its state. ``prefix`` tells it from another list of the same page."""
    list_query = read_list_query(query, prefix)
    is_page = listing.total is not None or listing.follows is not None
    rows = listing.rows if is_page else _chosen(listing, list_query, language)
    count = len(rows) if listing.total is None else listing.total
    pages = max(-(-count // listing.per_page), 1)
    page = min(list_query.page, pages)
    start = (page - 1) * listing.per_page
    shown = rows if is_page else rows[start : start + listing.per_page]

    def address(**changed: str) -> str:
        names = {**query, **{f"{prefix}{n}": v for n, v in changed.items()}}
        return "?" + urlencode({n: v for n, v in names.items() if v and n not in ("hecho", "csv", "lang")})

    orders = {}
    for column in listing.columns:
        if column.name:
            current = list_query.column == column.name
            now = ("descending" if list_query.backwards else "ascending") if current else "none"
            next_order = f"-{column.name}" if now == "ascending" else column.name
            orders[column.name] = (address(orden=next_order, pagina=""), now)
    mine = {f"{prefix}q", f"{prefix}pagina", "hecho", "csv", "lang"}
    state = ListState(
        list_query.q, list_query.order, start + 1 if shown else 0, start + len(shown), count,
        tuple((n, v) for n, v in query.items() if n not in mine and v),
        orders,
        listing.begins or (address(pagina=str(page - 1)) if page > 1 else ""),
        listing.follows or (address(pagina=str(page + 1)) if page < pages and listing.follows is None else ""),
        f"{address()}&csv={listing.name}" if address() != "?" else f"?csv={listing.name}",
        (f"{prefix}q", f"{prefix}pagina"),
    )  # fmt: skip
    return replace(listing, rows=tuple(shown), state=state)


def _chosen(listing: Listing, list_query: PagedQuery, language: str) -> tuple[tuple[Cell, ...], ...]:
    words = list_query.q.lower().split()
    rows = [
        row
        for row in listing.rows
        if not words or all(any(word in cell.plain(language).lower() for cell in row) for word in words)
    ]
    at = next((i for i, c in enumerate(listing.columns) if c.name and c.name == list_query.column), None)
    if at is not None:
        rows.sort(
            key=lambda r: (r[at].order or r[at].plain(language).lower(), r[at].plain(language)),
            reverse=list_query.backwards,
        )
    return tuple(rows)


def render_csv(listing: Listing, query: Mapping[str, str], language: str, prefix: str = "") -> str:
    """Every row that is found as CSV (RFC 4180); a cell that a spreadsheet would take for a formula begins with an apostrophe."""
    list_query = read_list_query(query, prefix)
    is_page = listing.total is not None or listing.follows is not None
    rows = listing.rows if is_page else _chosen(listing, list_query, language)
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow([_harmless(c.title.into(language)) for c in listing.columns])
    writer.writerows([_harmless(cell.plain(language)) for cell in row] for row in rows)
    return file.getvalue()


def _harmless(value: str) -> str:
    return f"'{value}" if value.startswith(FORMULA_SIGNS) else value


def rows_of_page(
    query: Mapping[str, str],
    items: Sequence[T],
    searched: Callable[[T], str],
    orders: Mapping[str, Callable[[T], Any]],
    make: Callable[[T], tuple[Cell, ...]],
    per_page: int = 50,
) -> tuple[tuple[tuple[Cell, ...], ...], int]:
    """The rows of one page of the first list of an address, and how many are found: cells are made of those alone, of all for a file.

    ``searched`` is what a search looks in; ``orders`` are keys by the name of their column.
    """
    state = read_list_query(query)
    words = state.q.lower().split()
    found = [i for i in items if all(w in text for w in words for text in (searched(i).lower(),))]
    if state.column in orders:
        found.sort(key=orders[state.column], reverse=state.backwards)
    pages = max(-(-len(found) // per_page), 1)
    start = (min(state.page, pages) - 1) * per_page
    shown = found if "csv" in query else found[start : start + per_page]
    return tuple(make(i) for i in shown), len(found)


def server_page(
    query: Mapping[str, str], sorts: tuple[str, ...], per_page: int, prefix: str = ""
) -> dict[str, str]:
    """The query of an operation that pages by itself, from a page's address; only orders of ``sorts`` are passed on."""
    state = read_list_query(query, prefix)
    found = {"limit": str(per_page), "offset": str((state.page - 1) * per_page)}
    if state.q:
        found["q"] = state.q
    if state.column in sorts:
        found |= {"sort": state.column, "desc": "true" if state.backwards else "false"}
    return found
