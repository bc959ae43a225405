"""What officers do at the registry and at ONIESS themselves, not by message: a CURP never travels for any of it.

A CURP comes on standard input, never as an argument: arguments are seen by every process of the machine.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from serving.storage.database import open_database
from social_security import config
from social_security.domain import pack
from social_security.domain.curp import parse_curp
from social_security.domain.faults import DomainError
from social_security.domain.pseudonyms import parse_pid
from social_security.institute.breach import BreachStore, open_with, parse_breach
from social_security.institute.database import STEPS as INSTITUTE_STEPS
from social_security.institute.portability import CaseStore
from social_security.institute.publication import period_of
from social_security.keys import load_registry_keys
from social_security.oniess.store import STEPS as ONIESS_STEPS
from social_security.oniess.store import OniessStore
from social_security.registry.merging import verify_decision
from social_security.registry.store import Person, RegistryStore
from social_security.registry.vital import decide_case, note_event

if TYPE_CHECKING:
    from collections.abc import Iterator

_DATA = click.option("--data", required=True, type=click.Path(path_type=Path), help="folder of the system")


@click.group()
def officer() -> None:
    """Acts of an officer at the registry or at ONIESS."""


@officer.command("correct-curp")
@_DATA
def correct_curp(data: Path) -> None:
    """Correct a CURP: the former and the new one on standard input, a line each. Institutes are told; PIDs stay."""
    store, now = _registry(data), datetime.now(UTC)
    old, new = _two_curps(now)
    person = _known(store, old, now)
    corrected = parse_curp(new, now.date())
    store.correct_curp(person.rid, corrected)
    body = {"idEvento": str(uuid.uuid4()), "tipo": "CORRECCION_CURP", "fechaEvento": now.date().isoformat()}
    note_event(store, person.rid, body, None, now)
    click.echo(f"corrected; {len(store.linked(person.rid))} members are told")
    store.close()


@officer.command("enrol")
@_DATA
@click.option("--member", required=True, help="the institute that vouches, as 14-IPEJAL")
@click.option("--level", type=click.IntRange(0, 3), required=True)
def enrol(data: Path, member: str, level: int) -> None:
    """Enrol a person: her CURP on standard input, or an empty line for one without (90 days). Prints the member's PID."""
    store, now = _registry(data), datetime.now(UTC)
    text = sys.stdin.readline().strip()
    curp = parse_curp(text, now.date()) if text else None
    rid = store.enrol(curp, level, now.date())
    click.echo(store.link(rid, pack.members()[member].path, now.date()))
    store.close()


@officer.command("give-curp")
@_DATA
@click.option("--member", required=True)
@click.option("--pid", required=True, help="the member's PID of a person enrolled without CURP")
def give_curp(data: Path, member: str, pid: str) -> None:
    """Enter the CURP that a person without one has been issued; from standard input."""
    store, now = _registry(data), datetime.now(UTC)
    person = store.find_by_pid(pack.members()[member].path, pid)  # type: ignore[arg-type]
    if person is None:
        raise click.ClickException("the member knows no such person")
    store.correct_curp(person.rid, parse_curp(sys.stdin.readline().strip(), now.date()))
    store.close()


@officer.command("review")
@_DATA
def review(data: Path) -> None:
    """Note that two CURPs (standard input, a line each) may be one person's."""
    store, now = _registry(data), datetime.now(UTC)
    one, other = _two_curps(now)
    store.note_review(_known(store, one, now).rid, _known(store, other, now).rid)
    store.close()


@officer.command("add-officer")
@_DATA
@click.option("--officer", "name", required=True, help="local id of the officer")
@click.argument("key", type=click.Path(path_type=Path, exists=True))
def add_officer(data: Path, name: str, key: Path) -> None:
    """Enter the public key (PEM, Ed25519 or ECDSA) with which an officer signs that records are merged or unmerged."""
    store = _registry(data)
    with _told():
        store.add_officer(name, key.read_text(encoding="ascii"))
    store.close()


@officer.command("decision")
@_DATA
@click.option("--officer", "name", required=True, help="local id of the officer who decides")
@click.option("--merge", "number", type=int, help="the merge that is to be undone, by its number")
def decision(data: Path, name: str, number: int | None) -> None:
    """Print what the officer signs: to merge the two CURPs on standard input (the one that stays first), or to undo a merge."""
    store, now = _registry(data), datetime.now(UTC)
    with _told():
        if number is None:
            one, other = _two_curps(now)
            signed = store.decision(
                "FUSION", name, _known(store, one, now).rid, _known(store, other, now).rid
            )
        else:
            merge = store.merge_of(number)
            signed = store.decision("SEPARACION", name, merge.rid, merge.other)
    click.echo(signed.decode(), nl=False)
    store.close()


@officer.command("merge")
@_DATA
@click.option("--officer", "name", required=True, help="local id of the officer who decides")
@click.option("--signature", required=True, help="her signature over what `officer decision` prints, in hex")
def merge(data: Path, name: str, signature: str) -> None:
    """Make two records under review one; the CURP that stays first, on standard input. Prints the merge's number."""
    store, now = _registry(data), datetime.now(UTC)
    one, other = _two_curps(now)
    stays, goes = _known(store, one, now), _known(store, other, now)
    if not store.are_under_review(stays.rid, goes.rid):
        raise click.ClickException("these records are not under review; note that first")
    with _told():
        _verify(store, name, signature, store.decision("FUSION", name, stays.rid, goes.rid))
        number = store.merge(stays.rid, goes.rid, name, signature, now)
    click.echo(f"merge {number}; {len(store.linked(stays.rid))} members are told")
    store.close()


@officer.command("unmerge")
@_DATA
@click.option("--officer", "name", required=True, help="local id of the officer who decides")
@click.option(
    "--signature", required=True, help="her signature over what `officer decision --merge` prints, in hex"
)
@click.option("--merge", "number", type=int, required=True, help="the merge, by its number")
def unmerge(data: Path, name: str, signature: str, number: int) -> None:
    """Make the two records of a merge two again; institutes are told."""
    store, now = _registry(data), datetime.now(UTC)
    with _told():
        undone = store.merge_of(number)
        _verify(store, name, signature, store.decision("SEPARACION", name, undone.rid, undone.other))
        store.unmerge(number, name, signature, now)
    click.echo(f"merge {number} is undone")
    store.close()


@officer.command("end-link")
@_DATA
@click.option("--member", required=True, help="the institute that no longer holds the person, as 14-IPEJAL")
@click.option("--pid", required=True, help="its PID of her")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="the last day; today unless it is said")
def end_link(data: Path, member: str, pid: str, until: datetime | None) -> None:
    """An institute no longer holds a person: it is told nothing of her from now on, and reports nothing."""
    store, now = _registry(data), datetime.now(UTC)
    with _told():
        store.end_link(pack.members()[member].path, parse_pid(pid), (until or now).date())
    store.close()


@officer.command("link")
@_DATA
@click.option("--member", required=True, help="the institute that holds the person, as 14-IPEJAL")
@click.option("--pid", required=True, help="its PID of her")
@click.option("--history", is_flag=True, help="it certifies a history of hers")
def link(data: Path, member: str, pid: str, *, history: bool) -> None:
    """An institute has affiliated a person that it had looked up: from now on it is told of what happens to her."""
    store, now = _registry(data), datetime.now(UTC)
    with _told():
        path = pack.members()[member].path
        person = store.find_by_pid(path, parse_pid(pid))
        if person is None:
            raise LookupError(f"{member} knows no such person")
        store.link(person.rid, path, now.date(), has_history=history)
    store.close()


@officer.command("vital-cases")
@_DATA
def vital_cases(data: Path) -> None:
    """List the open cases about vital events that contradict each other, with the reports of each."""
    store = _registry(data)
    for case, reason in store.open_cases():
        click.echo(f"{case}: {reason}")
        for report in store.reports_in(case):
            stands = "stands" if report.stands else "set aside"
            click.echo(f"  {report.sender} {report.event_id}: {report.type} {report.day}, {stands}")
    store.close()


@officer.command("vital-decide")
@_DATA
@click.option("--case", required=True)
@click.option("--officer", "name", required=True, help="local id of the officer who decides")
@click.option("--stands", nargs=2, help="sender and id of the death that stands; none when she lives")
def vital_decide(data: Path, case: str, name: str, stands: tuple[str, str] | None) -> None:
    """Decide a case about contradictory vital events; institutes are told what changes for them."""
    store, now = _registry(data), datetime.now(UTC)
    with _told():
        decide_case(store, case, stands, name, now)
    store.close()


@officer.command("convention")
@_DATA
@click.argument("file", type=click.Path(path_type=Path, exists=True))
def convention(data: Path, file: Path) -> None:
    """Register a portability convention at ONIESS; its five conditions must be met."""
    database = open_database(data / "oniess.sqlite", ONIESS_STEPS)
    try:
        OniessStore(database).register_convention(json.loads(file.read_text(encoding="utf-8")))
    except ValueError as err:
        raise click.ClickException(str(err)) from err
    finally:
        database.close()


@officer.command("cost")
@_DATA
@click.option("--month", required=True, help="as 2026-04")
@click.option(
    "--pesos", required=True, type=click.IntRange(min=0), help="what the platform cost in that month"
)
def cost(data: Path, month: str, pesos: int) -> None:
    """Enter at ONIESS what the platform cost in a month, for IND-16."""
    database = open_database(data / "oniess.sqlite", ONIESS_STEPS)
    OniessStore(database).set_cost(period_of({"periodo": month}), pesos * 100)
    database.close()


@officer.command("breach")
@_DATA
@click.option("--member", required=True, help="this institute, as 15-ISSEMYM")
@click.option("--about", help="a member whose open cases are to be listed, as MX/GOB/30-IPE")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
def breach(data: Path, member: str, about: str | None, file: Path) -> None:
    """Record a breach (JSON: fecha, motivo, naturaleza, datos, recomendaciones, medidas, contacto), with its notices."""
    database = open_database(data / "institute.sqlite", INSTITUTE_STEPS)
    try:
        found = parse_breach(json.loads(file.read_text(encoding="utf-8")))
        store = BreachStore(database)
        number = store.add(found, f"MX/GAR/{member[:2]}-GARANTE", datetime.now(UTC))
        click.echo(
            f"breach {number}: {len(store.notices(number))} notices, to the authority and every person here"
        )
        for case in open_with(CaseStore(database).all(), about or ""):
            click.echo(f"open with {about}: {case.case}, {case.state}, due {case.deadline or 'no date'}")
    except ValueError as err:
        raise click.ClickException(str(err)) from err
    finally:
        database.close()


def _registry(data: Path) -> RegistryStore:
    return RegistryStore(data / "registry.sqlite", load_registry_keys(data / "keys.json", _secret(data)))


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What a person typed wrongly, said without a traceback."""
    try:
        yield
    except (ValueError, LookupError, DomainError) as err:
        raise click.ClickException(str(err)) from err


def _verify(store: RegistryStore, name: str, signature: str, signed: bytes) -> None:
    key = store.officer_key(name)
    if key is None:
        raise ValueError(f"the registry holds no key of officer {name}; enter it with add-officer")
    verify_decision(key, signature, signed)


def _secret(data: Path) -> str:
    """The passphrase that the system's own settings name (settings.toml in its folder, or the environment)."""
    file = data / "settings.toml"
    try:
        return config.load(file if file.exists() else None, os.environ).keys_secret.read(os.environ)
    except ValueError as err:
        raise click.ClickException(str(err)) from err


def _two_curps(now: datetime) -> tuple[str, str]:
    del now
    lines = sys.stdin.read().split()
    if len(lines) != 2:
        raise click.ClickException("two CURPs are expected on standard input, a line each")
    return lines[0], lines[1]


def _known(store: RegistryStore, text: str, now: datetime) -> Person:
    try:
        person = store.find_by_curp(parse_curp(text, now.date()))
    except DomainError as err:
        raise click.ClickException(str(err)) from err
    if person is None:
        raise click.ClickException("the registry knows no such person")
    return person
