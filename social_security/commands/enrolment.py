"""An institute's persons at the registry, out of its CSV: enrolled or found, and their pseudonyms handed back by file number."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from serving.cli.progress import advancing
from serving.language import _
from social_security.domain.curp import Curp, check_digit, normalise, parse_curp
from social_security.domain.faults import DomainError, InputError
from social_security.importing.layouts import (
    PERSONS,
    PIDS,
    check_once,
    measure,
    parse_text,
    parse_whole,
    read_rows,
)
from social_security.importing.quality import QualityReport
from social_security.newfiles import new_file, part_of
from social_security.registry.homonyms import find_homonyms

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import date
    from pathlib import Path

    from social_security.registry.store import RegistryStore

# What people and scanners take for each other.
_CONFUSED: Final = {
    "O": "0",
    "0": "O",
    "I": "1",
    "1": "I",
    "S": "5",
    "5": "S",
    "B": "8",
    "8": "B",
    "Z": "2",
    "2": "Z",
}


def suggest_curp(text: str, today: date) -> str:
    """The one CURP that a mistyped one stands for, when a single confusion or its check digit explains it; else empty."""
    value = normalise(text)
    if len(value) != 18:
        return ""
    found = set()
    for place, letter in enumerate(value):
        if letter in _CONFUSED:
            found.add(value[:place] + _CONFUSED[letter] + value[place + 1 :])
    right = {c for c in found if _is_curp(c, today)}
    if not right and value[:17].isascii():
        try:
            digit = f"{value[:17]}{check_digit(value[:17])}"
        except ValueError:
            return ""
        right = {digit} if _is_curp(digit, today) else set()
    return right.pop() if len(right) == 1 else ""


def _is_curp(value: str, today: date) -> bool:
    try:
        parse_curp(value, today)
    except DomainError:
        return False
    return True


def read_curp(row: Mapping[str, str], name: str, today: date) -> Curp:
    """The CURP in a column. Raises `InputError`, with the one it probably stands for."""
    text = row.get(name, "")
    try:
        return parse_curp(text, today)
    except DomainError as err:
        raise InputError(name, err.en, suggest_curp(text, today), es=err.es) from err


def import_persons(
    store: RegistryStore, member: str, file: Path, out: Path, report_file: Path, today: date, *, dry_run: bool
) -> tuple[str, int]:
    """Enrol the persons of ``expediente,curp,nivel`` and write ``expediente,pid``: what was done, in words, and how many problems there
    are. Raises ValueError."""
    # The report comes last: with its part beside it, what is at ``out`` is of a run that was killed just before its end.
    is_resumed = part_of(report_file).exists() and not report_file.exists()
    if out.exists() and not is_resumed:
        raise ValueError(_("{out} is there already; it is a new file", out=out))
    with QualityReport(report_file) as report, advancing(_("Persons"), measure(file)[1]) as advance:
        enrolment = Enrolment(store, member, today, report, is_dry=dry_run)
        for number, row in read_rows(file, PERSONS):
            try:
                enrolment.take(number, row)
            except InputError as err:
                report.add_error(number, err)
            advance(number)
        if not dry_run:
            # On disk now: the persons, each with her pseudonym, which the same file gives again.
            out.unlink(missing_ok=True)
            with new_file(out) as opened:
                csv.writer(opened).writerows((PIDS, *enrolment.lines))
    outcome = _(
        "{made} new persons, {known} known already; {count} problems in {report}",
        made=enrolment.made,
        known=enrolment.known,
        count=report.count,
        report=report_file,
    )
    return outcome + (_(" (dry run)") if dry_run else ""), report.count


@dataclass(slots=True)
class Enrolment:
    """One run over a file of persons: what it has seen, and the pseudonyms that the institute is given."""

    store: RegistryStore
    member: str
    today: date
    report: QualityReport
    is_dry: bool
    made: int = 0
    known: int = 0
    lines: list[tuple[str, str]] = field(default_factory=list)
    _seen: dict[Any, int] = field(default_factory=dict)
    _namesakes: dict[bytes, int] = field(default_factory=dict)

    def take(self, number: int, row: Mapping[str, str]) -> None:
        """Enrol the person of a row, or find her; nothing of it is kept in a dry run. Raises `InputError`."""
        file_number = parse_text(row, "expediente")
        curp = read_curp(row, "curp", self.today)
        level = parse_whole(row, "nivel", 0, 3)
        check_once(
            self._seen,
            number,
            {"expediente": file_number, "curp": hashlib.sha256(curp.value.encode()).digest()},
        )
        self._note_homonyms(curp, number)
        person = self.store.find_by_curp(curp)
        if person is None:
            self.made += 1
        else:
            self.known += 1
        if not self.is_dry:
            rid = self.store.enrol(curp, level, self.today) if person is None else person.rid
            self.lines.append((file_number, self.store.link(rid, self.member, self.today)))

    def _note_homonyms(self, curp: Curp, number: int) -> None:
        """Say of whom there is a namesake born on the same day and place under another CURP; the row comes in all the same.

        Of whom the registry knows, the report says whether another institute holds her, not which.
        """
        first = self._namesakes.setdefault(hashlib.sha256(curp.value[:16].encode()).digest(), number)
        if first != number:
            self.report.add(
                number,
                "curp",
                f"posible homónima de la fila {first}: mismo nombre, fecha, sexo y entidad, otra CURP",
                f"perhaps a homonym of row {first}: same name, date, sex and state, another CURP",
            )
        for rid in find_homonyms(self.store, curp):
            holders = self.store.linked(rid)
            if any(m != self.member for m in holders):
                es, en = "de otro instituto", "of another institute"
            elif holders:
                es, en = "de este instituto", "of this institute"
            else:
                es, en = "sin instituto", "of no institute"
            self.report.add(
                number,
                "curp",
                f"en el registro hay una homónima {es}, con otra CURP: compare documentos antes de afiliar",
                f"the registry has a homonym {en} under another CURP: compare documents before you affiliate",
            )
