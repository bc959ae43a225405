"""``social_security quality-page``: the quality report of an import as a page: how many problems of each kind, and each row of them.

The page is one file without scripts that opens anywhere and prints; what the report's cells hold is shown as text, whatever it is.
The report is read twice and never held: counts first, then the rows, up to a number of each kind that a person can look through.
"""

from __future__ import annotations

import csv
import os
from collections import Counter
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from serving.language import _, language_of
from social_security.importing.quality import COLUMNS
from social_security.newfiles import new_file

if TYPE_CHECKING:
    from collections.abc import Iterator

# Reports were in Spanish alone once.
_FORMER: Final = COLUMNS[:4]
SHOWN: Final = 200
_STYLE: Final = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%;margin:1rem 0}"
    "th,td{border:1px solid #888;padding:.3rem .6rem;text-align:left;vertical-align:top;overflow-wrap:anywhere}"
    "caption{text-align:left;font-weight:bold;padding:.5rem 0}"
)


@click.command("quality-page")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="new file: the page (HTML)")
@click.argument("report", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def quality_page(report: Path, out: Path) -> None:
    """Make a page of an import's quality report: problems counted by column and kind, with their rows and suggestions."""
    try:
        text = render_quality(report, language_of(os.environ))
        # A private file, as the report is: suggestions may be persons' data.
        with new_file(out) as file:
            file.write(text)
    except FileExistsError as err:
        raise click.ClickException(_("{path} is there already; a page is a new file", path=out)) from err
    except (ValueError, csv.Error) as err:
        raise click.ClickException(str(err)) from err
    click.echo(str(out))


def render_quality(report: Path, language: str) -> str:
    """The page of a report. Raises ValueError for a file that is none."""
    kinds: Counter[tuple[str, str]] = Counter(
        (name, _kind(problem)) for _row, name, problem, _suggestion in _rows(report, language)
    )
    total = sum(kinds.values())
    title = _("Quality of the import {name}", name=report.name)
    parts = [
        f'<!doctype html><html lang="{escape(language)}"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width,initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><main><h1>{escape(title)}</h1>",
        f"<p>{escape(_('Problems found: {count}', count=f'{total:,}'))}</p>",
    ]
    if total:
        parts.append(_table(_("Problems by column and kind"), (_("Column"), _("Problem"), _("Rows")),
                            ((n, k, f"{c:,}") for (n, k), c in kinds.most_common())))  # fmt: skip
    for (name, kind), count in kinds.most_common():
        rows = (r for r in _rows(report, language) if (r[1], _kind(r[2])) == (name, kind))
        caption = f"{name}: {kind}" + (
            f" ({_('the first {shown} of {count}', shown=SHOWN, count=count)})" if count > SHOWN else ""
        )
        shown = (
            (row, problem, suggestion)
            for (row, _n, problem, suggestion), _i in zip(rows, range(SHOWN), strict=False)
        )
        parts.append(_table(caption, (_("Row"), _("Problem"), _("Suggestion")), shown))
    if not total:
        parts.append(f"<p>{escape(_('Every row can be taken as it is.'))}</p>")
    return "".join((*parts, "</main></body></html>\n"))


def _rows(report: Path, language: str) -> Iterator[tuple[str, str, str, str]]:
    """Row, column, problem and suggestion of each line, the problem in a language. Raises ValueError, `csv.Error`."""
    with report.open(encoding="utf-8", newline="") as file:
        reader = csv.reader(file)
        columns = tuple(next(reader, ()))
        if columns not in (COLUMNS, _FORMER):
            raise ValueError(
                _(
                    "{path} is no quality report: {header} was expected as its header",
                    path=report,
                    header=",".join(COLUMNS),
                )
            )
        problem = (
            columns.index("problema") if language == "es" or columns == _FORMER else columns.index("problem")
        )
        for row in reader:
            if len(row) != len(columns):
                raise ValueError(_("{path} is cut off at line {line}", path=report, line=reader.line_num))
            yield row[0], row[1], row[problem], row[3]


def _kind(problem: str) -> str:
    """The words of a problem without the values in it, so that rows with the same one are counted together."""
    return " ".join("…" if any(c.isdigit() for c in word) else word for word in problem.split())


def _table(caption: str, head: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    top = "".join(f'<th scope="col">{escape(h)}</th>' for h in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    return f"<table><caption>{escape(caption)}</caption><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"
