"""Progress of long work, shown to a person at a terminal and to nobody else: pipes and logs get not a byte of it."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")


@contextlib.contextmanager
def working(text: str) -> Iterator[None]:
    """Show that something of unknown length goes on, with the time it has taken."""
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console  # loaded where somebody looks
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(text, total=None)
        yield


def counted(items: Sequence[T], text: str) -> Iterator[T]:
    """The items one after another, with a bar that says how many are done."""
    if not sys.stderr.isatty() or len(items) < 2:
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, text, console=Console(stderr=True), transient=True)


@contextlib.contextmanager
def advancing(text: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar for work that says itself how many of about ``total`` are done, with how many a second and what is left."""
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f} / {task.total:,.0f} · {task.fields[rate]:,.0f}/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(text, total=total, rate=0.0)
        yield lambda done: progress.update(task, completed=done, rate=progress.tasks[task].speed or 0.0)
