"""An institute that leaves hands what it holds to its successor: seven files, in the layouts that `import` takes.

The leaving institute writes what it holds by its own file numbers, with its own pseudonyms in a file for the registry alone. The
registry answers with the successor's pseudonyms. The successor imports like any other data; neither learns the other's pseudonyms.
Layouts and order of steps: docs/importar.md and docs/import.md.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from serving.language import _
from social_security.commands.officers import member_path, open_registry
from social_security.domain.faults import DomainError
from social_security.domain.pseudonyms import Pid, parse_pid
from social_security.domain.states import ARCO_ENDED
from social_security.importing.layouts import (
    AFFILIATIONS,
    CONTACTS,
    OPPOSITIONS,
    PERIODS,
    PIDS,
    REQUESTS,
    RETIREES,
    read_rows,
)
from social_security.institute.announcing import queue_withdrawal
from social_security.institute.ownsystem import open_own_system
from social_security.institute.stores.steps import STEPS
from social_security.newfiles import new_folder, write_rows
from social_security.registry.holding import LEFT, membership
from social_security.wire.books import holds, open_books, settings_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from serving.storage.database import AnyDatabase
    from social_security.registry.store import RegistryStore

# What a person has had cancelled stays behind, blocked until it is erased: it would be in use again at the successor.
_QUERIES: Final = {
    "personas.csv": (PIDS, "SELECT file_number, pid FROM affiliation ORDER BY file_number"),
    "afiliaciones.csv": (
        AFFILIATIONS,
        "SELECT file_number, regime, state, since, until, level FROM affiliation a "
        "WHERE NOT EXISTS (SELECT 1 FROM blocked b WHERE b.pid = a.pid AND b.data = 'afiliacion') ORDER BY file_number",
    ),
    "periodos.csv": (
        PERIODS,
        "SELECT p.period_id, a.file_number, p.since, p.until, p.type, p.discounted, p.reinstated, p.employer, "
        "p.monthly_cents FROM period p JOIN affiliation a ON a.pid = p.pid WHERE p.state = 'CERTIFICADO' "
        "AND NOT EXISTS (SELECT 1 FROM blocked b WHERE b.pid = p.pid AND b.data IN ('historia', 'periodo')) ORDER BY p.period_id",
    ),
    "contactos.csv": (
        CONTACTS,
        "SELECT a.file_number, c.value FROM contact c JOIN affiliation a ON a.pid = c.pid "
        "WHERE c.blocked_since IS NULL ORDER BY a.file_number",
    ),
    "jubilados.csv": (
        RETIREES,
        "SELECT a.file_number, r.name, r.monthly_cents FROM retiree r JOIN affiliation a ON a.pid = r.pid "
        "WHERE a.state = 'PENSIONADA' ORDER BY a.file_number",
    ),
    "oposiciones.csv": (
        OPPOSITIONS,
        "SELECT a.file_number, o.data, o.folio, o.since FROM opposition o JOIN affiliation a ON a.pid = o.pid "
        "WHERE o.until IS NULL ORDER BY a.file_number, o.data",
    ),
    # Whatever its person, the institute or the authority may still do something about.
    "solicitudes.csv": (
        REQUESTS,
        "SELECT r.folio, a.file_number, r.member, r.state, r.request, r.dates, r.refusal, r.committee, r.outcome "
        "FROM arco r JOIN affiliation a ON a.pid = r.pid "
        f"WHERE r.state NOT IN ({', '.join(repr(s) for s in sorted(ARCO_ENDED))}) ORDER BY r.folio",
    ),
}


@click.command("hand-over")
@click.option(
    "--data", required=True, type=click.Path(path_type=Path, exists=True), help="folder of the system"
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="new folder for the files")
def hand_over(data: Path, out: Path) -> None:
    """Write what this institute holds, for its successor: personas.csv (to the registry), and affiliations, periods, contacts, retirees, oppositions, open requests."""
    if not holds(data, "institute"):
        raise click.ClickException(_("{data} is no institute's system", data=data))
    database = open_books(data, "institute", STEPS)
    found = settings_in(data)
    try:
        counts = write_hand_over(database, out, "" if found is None else found.periods_from)
    except FileExistsError as err:
        raise click.ClickException(_("{out} is there already; it is a new folder", out=out)) from err
    except (ValueError, DomainError) as err:
        raise click.ClickException(str(err)) from err
    finally:
        database.close()
    for name, count in counts.items():
        click.echo(_("{name}: {count} rows", name=name, count=count))


def write_hand_over(database: AnyDatabase, out: Path, mapping: str = "") -> dict[str, int]:
    """Write the files of a hand-over into a new folder; how many rows each has. ``mapping``: where its periods are elsewhere.

    Raises FileExistsError, ValueError, `DomainError`.
    """
    counts: dict[str, int] = {}
    with new_folder(out) as folder:
        for name, (columns, query) in _QUERIES.items():
            rows: Iterable[Sequence[object]] = database.query(query)
            if name == "periodos.csv" and mapping:
                rows = asyncio.run(_read_elsewhere(Path(mapping), database))
            counts[name] = write_rows(folder / name, columns, rows)
    return counts


async def _read_elsewhere(mapping: Path, database: AnyDatabase) -> list[tuple[object, ...]]:
    """The periods that are in another system of the institute, of everybody affiliated. Raises ValueError, `DomainError`."""
    system = open_own_system(mapping)
    found: list[tuple[object, ...]] = []
    try:
        for number, pid in database.query("SELECT file_number, pid FROM affiliation ORDER BY file_number"):
            for p in await system.read("", Pid(pid), str(number), datetime.now(UTC)):
                found.append(
                    (p.period_id.removeprefix(":"), number, p.since, p.until, p.type, p.discounted, p.reinstated, p.employer,
                     p.monthly_cents)
                )  # fmt: skip
    finally:
        await system.close()
    return found


@click.command("withdraw")
@click.option(
    "--data", required=True, type=click.Path(path_type=Path, exists=True), help="folder of the system"
)
@click.option("--member", required=True, help="this institute, as 15-ISSEMYM")
@click.option(
    "--day", required=True, type=click.DateTime(["%Y-%m-%d"]), help="last day on which it holds them"
)
@click.argument("file", type=click.Path(path_type=Path, exists=True))
def withdraw(data: Path, member: str, day: datetime, file: Path) -> None:
    """Tell the registry that this institute no longer holds the persons of a CSV (expediente,pid)."""
    member_path(data, member)
    database = open_books(data, "institute", STEPS)
    try:
        pids = [parse_pid(row.get("pid", "")) for _, row in read_rows(file, PIDS)]
        ended = queue_withdrawal(database, member, [str(p) for p in pids], day.date())
    except (ValueError, DomainError) as err:
        raise click.ClickException(str(err)) from err
    finally:
        database.close()
    click.echo(
        _(
            "the registry will be told that {ended} of {count} persons are no longer held",
            ended=ended,
            count=len(pids),
        )
    )


@click.command("translate-hand-over")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="folder of the registry")
@click.option("--from", "leaving", required=True, help="the member that has left, as 15-ISSEMYM")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="new file: expediente,pid for the successor"
)
@click.argument("file", type=click.Path(path_type=Path, exists=True))
def translate_hand_over(data: Path, leaving: str, out: Path, file: Path) -> None:
    """Turn personas.csv of a member that has left into its successor's pseudonyms, for `import --pids`."""
    store = open_registry(data)
    try:
        made = list(translate_rows(store, member_path(data, leaving), file))
        write_rows(out, PIDS, made)
    except (ValueError, FileExistsError) as err:
        raise click.ClickException(str(err)) from err
    finally:
        store.close()
    click.echo(f"{len(made)} persons")


def translate_rows(store: RegistryStore, leaving: str, file: Path) -> Iterable[tuple[str, str]]:
    """File number and the successor's PID for each row of personas.csv of a member that has left. Raises ValueError."""
    state = membership(store, leaving)
    if state is None or state.state != LEFT or state.successor is None:
        raise ValueError(
            _("ONIESS has not told that {leaving} has left, and who succeeds it", leaving=leaving)
        )
    for number, row in read_rows(file, PIDS):
        try:
            made = store.pid_at_heir(leaving, parse_pid(row.get("pid", "")), state.successor, state.since)
        except DomainError as err:
            raise ValueError(_("{file}, row {number}: {err}", file=file, number=number, err=err)) from err
        except LookupError as err:
            raise ValueError(
                _(
                    "{file}, row {number}: the registry knows no such person of {leaving}",
                    file=file,
                    number=number,
                    leaving=leaving,
                )
            ) from err
        yield row["expediente"], made
