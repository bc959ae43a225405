"""What officers do at the registry and at ONIESS themselves, not by message: a CURP never travels for any of it.

A CURP comes on standard input, never as an argument: arguments are seen by every process of the machine.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from schemas.jsontext import dump_json, load_json
from serving.config.textfiles import read_text_file
from serving.language import _
from social_security import config
from social_security.commands.enrolment import import_persons
from social_security.domain.calendars import national_day
from social_security.domain.curp import parse_curp
from social_security.domain.faults import DomainError, InputError
from social_security.domain.pseudonyms import parse_pid
from social_security.institute.breach import BreachStore, open_with, parse_breach
from social_security.institute.publication import period_of
from social_security.institute.stores.cases import CaseStore
from social_security.institute.stores.steps import STEPS as INSTITUTE_STEPS
from social_security.keys import load_registry_keys
from social_security.oniess.store import OniessStore
from social_security.oniess.tables import STEPS as ONIESS_STEPS
from social_security.registry.store import Evidence, Person, RegistryStore
from social_security.registry.tables import STEPS as REGISTRY_STEPS
from social_security.registry.vital import decide_case, note_event
from social_security.wire.books import open_books
from social_security.wire.keyfiles import key_digest, read_key, read_member
from social_security.wire.publication import edition_in

if TYPE_CHECKING:
    from collections.abc import Iterator

    from social_security.domain.curp import Curp
    from social_security.domain.pseudonyms import Rid

_DATA = click.option("--data", required=True, type=click.Path(path_type=Path), help="folder of the system")
_REVIEW = click.option(
    "--review", is_flag=True, help="when the CURP leads to another person: put both records under review"
)


@click.group()
def officer() -> None:
    """Acts of an officer at the registry or at ONIESS."""


@officer.command("correct-curp")
@_DATA
@_REVIEW
def correct_curp(data: Path, *, review: bool) -> None:
    """Correct a CURP: the former and the new one on standard input, a line each. Institutes are told; PIDs stay."""
    now = datetime.now(UTC)
    old, new = _two_curps()
    corrected = read_curp(new, now)
    with registry_of(data) as store:
        person = known_by_curp(store, old, now)
        if read_curp(old, now).value == corrected.value:
            raise click.ClickException(_("the former and the new CURP are the same; nothing was written"))
        _give(store, person.rid, corrected, review=review)
        body = {
            "idEvento": str(uuid.uuid4()),
            "tipo": "CORRECCION_CURP",
            "fechaEvento": national_day(now).isoformat(),
        }
        note_event(store, person.rid, body, None, now)
        click.echo(_("corrected; {count} members are told", count=len(store.linked(person.rid))))


@officer.command("enrol")
@_DATA
@click.option("--member", required=True, help="the institute that vouches, as 14-IPEJAL")
@click.option("--level", type=click.IntRange(0, 3), required=True)
@_REVIEW
def enrol(data: Path, member: str, level: int, *, review: bool) -> None:
    """Enrol a person: her CURP on standard input, or an empty line for one without (90 days). Prints the member's PID."""
    now = datetime.now(UTC)
    path = member_path(
        data, member
    )  # before anything is written: a person whom no member knows could never be found again
    text = sys.stdin.readline().strip()
    curp = read_curp(text, now) if text else None
    with registry_of(data) as store:
        try:
            rid = store.enrol(curp, level, national_day(now))
        except InputError as taken:
            if not review or curp is None:
                raise _offer_review(
                    _("enrolled already: the member finds her by buscarBeneficiario")
                ) from taken
            rid = store.enrol(None, level, national_day(now))
            store.note_review(rid, store.holder_of(curp))
        click.echo(store.link(rid, path, national_day(now)))


@officer.command("give-curp")
@_DATA
@click.option("--member", required=True)
@click.option("--pid", required=True, help="the member's PID of a person enrolled without CURP")
@_REVIEW
def give_curp(data: Path, member: str, pid: str, *, review: bool) -> None:
    """Enter the CURP that a person without one has been issued; from standard input."""
    now = datetime.now(UTC)
    path = member_path(data, member)
    curp = read_curp(sys.stdin.readline().strip(), now)
    with registry_of(data) as store:
        _give(store, known_by_pid(store, path, pid).rid, curp, review=review)


@officer.command("raise-level")
@_DATA
@click.option("--member", required=True, help="the institute that saw the evidence, as 14-IPEJAL")
@click.option("--pid", required=True, help="the member's PID of the person")
@click.option("--level", type=click.IntRange(1, 3), required=True)
@click.option("--evidence", required=True, help="kind of document, as INE, ACTA_NACIMIENTO, EFIRMA")
@click.option("--issuer", required=True, help="who issued it")
@click.option("--sha256", required=True, help="SHA-256 of its copy, which stays at the institute")
def raise_level(
    data: Path, member: str, pid: str, level: int, evidence: str, issuer: str, sha256: str
) -> None:
    """Raise a person's level of assurance by an evidence that an institute has seen."""
    path = member_path(data, member)
    if re.fullmatch(r"[0-9a-f]{64}", sha256) is None:
        raise click.ClickException(_("--sha256 is 64 hexadecimal digits in lower case"))
    if not evidence.strip() or not issuer.strip():
        raise click.ClickException(
            _("--evidence and --issuer say what was seen and who issued it; none is empty")
        )
    with registry_of(data) as store:
        person = known_by_pid(store, path, pid)
        try:
            store.raise_level(
                person.rid, level, Evidence(evidence, issuer, sha256), national_day(datetime.now(UTC))
            )
        except ValueError as err:
            raise click.ClickException(str(err)) from err


@officer.command("add-recipient")
@_DATA
@click.option("--digest", required=True, help="the key's SHA-256 as the institute read it aloud")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
def add_recipient(data: Path, digest: str, file: Path) -> None:
    """Take an institute's public key (its public-key.json), for whom tokens are sealed from now on."""
    try:
        member, key = read_member(file, edition_in(data)), read_key(file)
    except ValueError as err:
        raise click.ClickException(str(err)) from err
    if key_digest(key) != digest.strip().lower():
        raise click.ClickException(
            _(
                "the file's digest is {key_digest}, not the one that was read aloud",
                key_digest=key_digest(key),
            )
        )
    with registry_of(data) as store:
        store.add_recipient(member, dump_json(key))
    click.echo(_("tokens for {member} are sealed with this key from now on", member=member))


@officer.command("import-persons")
@_DATA
@click.option("--member", required=True, help="the institute whose persons they are, as 15-ISSEMYM")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="new file: expediente,pid for the institute"
)
@click.option(
    "--report", required=True, type=click.Path(path_type=Path), help="new file: what was found wrong, by row"
)
@click.option("--dry-run", is_flag=True, help="check every row and write the report only")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
def import_persons_command(
    data: Path, member: str, out: Path, report: Path, file: Path, *, dry_run: bool
) -> None:
    """Enrol an institute's persons from its CSV (expediente,curp,nivel); those known already keep their record."""
    path = member_path(data, member)
    with registry_of(data) as store:
        try:
            done, problems = import_persons(
                store, path, file, out, report, national_day(datetime.now(UTC)), dry_run=dry_run
            )
        except ValueError as err:
            raise click.ClickException(str(err)) from err
    click.echo(done)
    sys.exit(0 if problems == 0 else 3)


@officer.command("end-link")
@_DATA
@click.option("--member", required=True, help="the institute that no longer holds the person, as 14-IPEJAL")
@click.option("--pid", required=True, help="its PID of her")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="the last day; today unless it is said")
def end_link(data: Path, member: str, pid: str, until: datetime | None) -> None:
    """An institute no longer holds a person: it is told nothing of her from now on, and reports nothing."""
    store, now = open_registry(data), datetime.now(UTC)
    with without_traceback():
        store.end_link(
            member_path(data, member), parse_pid(pid), national_day(now) if until is None else until.date()
        )
    store.close()


@officer.command("link")
@_DATA
@click.option("--member", required=True, help="the institute that holds the person, as 14-IPEJAL")
@click.option("--pid", required=True, help="its PID of her")
@click.option("--history", is_flag=True, help="it certifies a history of hers")
def link(data: Path, member: str, pid: str, *, history: bool) -> None:
    """An institute has affiliated a person that it had looked up: from now on it is told of what happens to her."""
    store, now = open_registry(data), datetime.now(UTC)
    with without_traceback():
        path = member_path(data, member)
        person = store.find_by_pid(path, parse_pid(pid))
        if person is None:
            raise LookupError(_("{member} knows no such person", member=member))
        store.link(person.rid, path, national_day(now), has_history=history)
    store.close()


@officer.command("vital-cases")
@_DATA
def vital_cases(data: Path) -> None:
    """List the open cases about vital events that contradict each other, with the reports of each."""
    store = open_registry(data)
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
    store, now = open_registry(data), datetime.now(UTC)
    with without_traceback():
        decide_case(store, case, stands, name, now)
    store.close()


@officer.command("convention")
@_DATA
@click.argument("file", type=click.Path(path_type=Path, exists=True))
def convention(data: Path, file: Path) -> None:
    """Register a portability convention at ONIESS; its five conditions must be met."""
    database = open_books(data, "oniess", ONIESS_STEPS)
    try:
        OniessStore(database).register_convention(load_json(read_text_file(file)))
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
    database = open_books(data, "oniess", ONIESS_STEPS)
    OniessStore(database).set_cost(period_of({"periodo": month}), pesos * 100)
    database.close()


@officer.command("breach")
@_DATA
@click.option("--member", required=True, help="this institute, as 15-ISSEMYM")
@click.option("--about", help="a member whose open cases are to be listed, as MX/GOB/30-IPE")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
def breach(data: Path, member: str, about: str | None, file: Path) -> None:
    """Record a breach (JSON: fecha, motivo, naturaleza, datos, recomendaciones, medidas, contacto), with its notices."""
    database = open_books(data, "institute", INSTITUTE_STEPS)
    try:
        found = parse_breach(load_json(read_text_file(file)))
        store = BreachStore(database)
        number = store.add(found, f"MX/GAR/{member[:2]}-GARANTE", datetime.now(UTC))
        click.echo(
            _(
                "breach {number}: {count} notices, to the authority and every person here",
                number=number,
                count=len(store.notices(number)),
            )
        )
        for case in open_with(CaseStore(database).all(), about or ""):
            click.echo(
                _(
                    "open with {about}: {case}, {state}, due {deadline}",
                    about=about,
                    case=case.case,
                    state=case.state,
                    deadline=case.deadline or "no date",
                )
            )
    except ValueError as err:
        raise click.ClickException(str(err)) from err
    finally:
        database.close()


def open_registry(data: Path) -> RegistryStore:
    """The registry's books, opened with the passphrase that its own settings name."""
    return RegistryStore(
        open_books(data, "registry", REGISTRY_STEPS), load_registry_keys(data / "keys.json", _secret(data))
    )


@contextlib.contextmanager
def registry_of(data: Path) -> Iterator[RegistryStore]:
    """Open the registry's books for a command and close them again, whatever happens."""
    store = open_registry(data)
    try:
        yield store
    finally:
        store.close()


def member_path(data: Path, code: str) -> str:
    """The path of a member by its code, as ``MX/GOB/14-IPEJAL``, in the lists that the system in a folder goes by."""
    found = edition_in(data).members.get(code)
    if found is None:
        raise click.ClickException(_("{code} is no member's code; expected one as 14-IPEJAL", code=code[:40]))
    return found.path


def read_curp(text: str, now: datetime) -> Curp:
    """A CURP as an officer typed it; a wrong one is said without a traceback."""
    try:
        return parse_curp(text, national_day(now))
    except DomainError as err:
        raise click.ClickException(str(err)) from err


def _give(store: RegistryStore, rid: Rid, curp: Curp, *, review: bool) -> None:
    """Give a person a CURP; one that is another's is refused, and both records go under review when that is asked."""
    try:
        store.correct_curp(rid, curp)
    except InputError as taken:
        if not review:
            raise _offer_review(_("another person's")) from taken
        store.note_review(rid, store.holder_of(curp))
        raise click.ClickException(
            _(
                "this CURP is another person's: it was not given, and both records are under review until an officer merges them (officer merge)"
            )
        ) from taken


def _offer_review(whose: str) -> click.ClickException:
    return click.ClickException(
        _(
            "this CURP is {whose}; nothing was written. If they may be one person, repeat with --review",
            whose=whose,
        )
    )


def known_by_pid(store: RegistryStore, member: str, text: str) -> Person:
    """The person whom a member knows by a PID; one whom it does not is said without a traceback."""
    try:
        person = store.find_by_pid(member, parse_pid(text))
    except DomainError as err:
        raise click.ClickException(str(err)) from err
    if person is None:
        raise click.ClickException(_("the member knows no such person"))
    return person


@contextlib.contextmanager
def without_traceback() -> Iterator[None]:
    """Say what a person typed wrongly as a sentence, without a traceback."""
    try:
        yield
    except (ValueError, LookupError, DomainError) as err:
        raise click.ClickException(str(err)) from err


def _secret(data: Path) -> str:
    """The passphrase that the system's own settings name (settings.toml in its folder, or the environment)."""
    file = data / "settings.toml"
    try:
        return config.load(file if file.exists() else None, os.environ).keys_secret.read(os.environ)
    except ValueError as err:
        raise click.ClickException(str(err)) from err


def _two_curps() -> tuple[str, str]:
    lines = sys.stdin.read().split()
    if len(lines) != 2:
        raise click.ClickException(_("two CURPs are expected on standard input, a line each"))
    return lines[0], lines[1]


def known_by_curp(store: RegistryStore, text: str, now: datetime) -> Person:
    """The person of a CURP; one whom nobody knows is said without a traceback."""
    person = store.find_by_curp(read_curp(text, now))
    if person is None:
        raise click.ClickException(_("the registry knows no such person"))
    return person
