"""Records that may be one person's: put under review, and made one, kept two, or made two again by an officer's signed decision.

A record is named on standard input, a line each, by its CURP or, for one that has none, by an institute's code and its PID
(``14-IPEJAL:…``): no CURP is an argument, which every process of the machine sees.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from serving.config.textfiles import read_text_file
from serving.language import _
from social_security.commands.officers import (
    known_by_curp,
    known_by_pid,
    member_path,
    registry_of,
    without_traceback,
)
from social_security.registry.merging import verify_decision

if TYPE_CHECKING:
    from social_security.domain.pseudonyms import Rid
    from social_security.registry.store import RegistryStore

_DATA = click.option("--data", required=True, type=click.Path(path_type=Path), help="folder of the system")
_OFFICER = click.option("--officer", "name", required=True, help="local id of the officer who decides")
_SIGNATURE = click.option(
    "--signature", required=True, help="her signature over what `officer decision` prints, in hex"
)


@click.command("review")
@_DATA
def review(data: Path) -> None:
    """Note that two records (standard input, a line each: CURP, or MEMBER:PID) may be one person's."""
    with registry_of(data) as store:
        first, second = _two_records(data, store)
        if first == second:
            raise click.ClickException(_("both CURPs lead to one person already; there is nothing to review"))
        store.note_review(first, second)


@click.command("add-officer")
@_DATA
@click.option("--officer", "name", required=True, help="local id of the officer")
@click.argument("key", type=click.Path(path_type=Path, exists=True))
def add_officer(data: Path, name: str, key: Path) -> None:
    """Enter the public key (PEM, Ed25519 or ECDSA) with which an officer signs that records are merged or unmerged."""
    with registry_of(data) as store, without_traceback():
        store.add_officer(name, read_text_file(key))


@click.command("decision")
@_DATA
@_OFFICER
@click.option("--merge", "number", type=int, help="the merge that is to be undone, by its number")
@click.option("--distinct", is_flag=True, help="that the two records are two persons', not one")
def decision(data: Path, name: str, number: int | None, *, distinct: bool) -> None:
    """Print what the officer signs: to merge two records (the one that stays first), to keep them two, or to undo a merge."""
    with registry_of(data) as store, without_traceback():
        if number is not None:
            merge = store.merge_of(number)
            signed = store.decision("SEPARACION", name, merge.rid, merge.other)
        else:
            signed = store.decision("DISTINTAS" if distinct else "FUSION", name, *_two_records(data, store))
    click.echo(signed.decode(), nl=False)


@click.command("merge")
@_DATA
@_OFFICER
@_SIGNATURE
def merge(data: Path, name: str, signature: str) -> None:
    """Make two records under review one; the record that stays first, on standard input. Prints the merge's number."""
    with registry_of(data) as store, without_traceback():
        stays, goes = _two_records(data, store)
        if not store.are_under_review(stays, goes):
            raise click.ClickException(_("these records are not under review; note that first"))
        _verify(store, name, signature, store.decision("FUSION", name, stays, goes))
        number = store.merge(stays, goes, name, signature, datetime.now(UTC))
        count = len(store.linked(stays))
    click.echo(_("merge {number}; {count} members are told", number=number, count=count))


@click.command("distinct")
@_DATA
@_OFFICER
@_SIGNATURE
def keep_distinct(data: Path, name: str, signature: str) -> None:
    """End the review of two records (standard input) that are two persons': each is found again."""
    with registry_of(data) as store, without_traceback():
        one, other = _two_records(data, store)
        _verify(store, name, signature, store.decision("DISTINTAS", name, one, other))
        store.distinct(one, other, name, signature)


@click.command("unmerge")
@_DATA
@_OFFICER
@_SIGNATURE
@click.option("--merge", "number", type=int, required=True, help="the merge, by its number")
def unmerge(data: Path, name: str, signature: str, number: int) -> None:
    """Make the two records of a merge two again; institutes are told."""
    with registry_of(data) as store, without_traceback():
        undone = store.merge_of(number)
        _verify(store, name, signature, store.decision("SEPARACION", name, undone.rid, undone.other))
        store.unmerge(number, name, signature, datetime.now(UTC))
    click.echo(_("merge {number} is undone", number=number))


COMMANDS = (review, add_officer, decision, merge, keep_distinct, unmerge)


def _two_records(data: Path, store: RegistryStore) -> tuple[Rid, Rid]:
    """The records that two lines of standard input name."""
    lines = sys.stdin.read().split()
    if len(lines) != 2:
        raise click.ClickException(_("two records are expected on standard input, a line each"))
    first, second = (_record(data, store, line) for line in lines)
    return first, second


def _record(data: Path, store: RegistryStore, text: str) -> Rid:
    code, colon, pid = text.partition(":")
    if colon:
        return known_by_pid(store, member_path(data, code), pid).rid
    return known_by_curp(store, text, datetime.now(UTC)).rid


def _verify(store: RegistryStore, name: str, signature: str, signed: bytes) -> None:
    key = store.officer_key(name)
    if key is None:
        raise ValueError(
            _("the registry holds no key of officer {name}; enter it with add-officer", name=name)
        )
    verify_decision(key, signature, signed)
