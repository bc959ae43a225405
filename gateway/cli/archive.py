"""``gateway archive``: archives of the message log verified, opened, and stamped anew for the long term, without a gateway.

Exit 0 all valid, 1 any invalid, 2 could not check.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from certs.edges.configurationfiles import load_configuration_folder
from certs.verify.container import verify_container
from gateway.cli.audit import NEEDED_CONFIGURATION
from gateway.cli.keys import DATA, PIN
from gateway.cli.log import SETTINGS, opened_keys
from gateway.messagelog.archive import verify_archive
from gateway.messagelog.authorities import ask_authorities
from gateway.messagelog.renewal import renew as renew_archives
from gateway.messagelog.renewal import verify_renewals
from gateway.messagelog.sealedarchive import SUFFIX, is_sealed, open_archive, verify_sealed_archive
from schemas.faults import Fault
from schemas.showing import shown, shown_json
from serving.cli.commands import read_moment, report_errors
from serving.cli.progress import counted
from serving.language import _
from serving.process.outward import outward_session

if TYPE_CHECKING:
    from collections.abc import Callable

    from certs.configuration import TrustedConfiguration

_LONGEST = 2000


@click.group()
def archive() -> None:
    """Archives of the message log: verify, open, and stamp them anew."""


@archive.command()
@click.option("--first", is_flag=True, help="the first file is the first archive of its group")
@click.option("--previous", help="last digest of the archive before the first file")
@click.option(
    "--configuration",
    type=click.Path(path_type=Path),
    help="verify every container inside too, with the configuration in this folder",
)
@click.option("--json", "as_json", is_flag=True, help="one JSON object a file")
@click.option(
    "--data", type=click.Path(path_type=Path), help="open sealed containers with this gateway's keys too"
)
@PIN
@SETTINGS
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@report_errors
def verify(
    first: bool,
    previous: str | None,
    configuration: Path | None,
    as_json: bool,
    data: Path | None,
    pin_file: Path | None,
    settings_file: Path | None,
    files: tuple[Path, ...],
) -> None:
    """Verify archives of one group, oldest first: each must follow the one before it."""
    if first and previous is not None:
        click.echo(_("--first and --previous exclude each other"), err=True)
        sys.exit(2)
    try:
        trusted = None if configuration is None else load_configuration_folder(configuration, strict=False)
    except (Fault, OSError) as err:
        click.echo(
            _("could not check: {detail}", detail=err.detail if isinstance(err, Fault) else err), err=True
        )
        sys.exit(2)
    key = None if data is None else opened_keys(data, settings_file, pin_file).record_key
    expected = "" if first else previous
    worst = 0
    for file in counted(files, _("verifying archives")):
        try:
            result = _check(file, expected, trusted, key)
        except (OSError, MemoryError) as err:
            reason = (err.strerror or str(err)) if isinstance(err, OSError) else "out of memory"
            click.echo(_("{file}: could not check: {reason}", file=shown(str(file)), reason=reason), err=True)
            worst, expected = 2, None
            continue
        _show(result, as_json=as_json)
        worst = max(worst, 0 if result.is_valid else 1)
        expected = result.last_digest
    sys.exit(worst)


@archive.command(
    "open",
    help="Open sealed archives with this gateway's keys: each is put into --out as X-Road would have written it.",
)
@DATA
@PIN
@SETTINGS
@click.option("--out", required=True, type=click.Path(path_type=Path))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@report_errors
def open_sealed(
    data: Path, pin_file: Path | None, settings_file: Path | None, out: Path, files: tuple[Path, ...]
) -> None:
    """Open sealed archives into a folder, and name the messages that were erased from each."""
    keys = opened_keys(data, settings_file, pin_file)
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in counted(files, _("opening archives")):
        target = out / file.name.removesuffix(SUFFIX)
        with file.open("rb") as source, target.open("xb") as opened:
            target.chmod(0o600)
            erased = open_archive(source, opened, keys.record_key)
        click.echo(str(target))
        for name in erased:
            click.echo(
                _("  {name}: erased, its digests stay; the chain is proved by the sealed archive", name=name)
            )


@archive.command(
    help="Stamp archives anew, before the authority's certificate or algorithm that proves them ends: a list of all files in FOLDER, a timestamp over it, and the configuration it is judged by, into FOLDER/renewals."
)
@NEEDED_CONFIGURATION
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@report_errors
def renew(configuration: Path, folder: Path) -> None:
    """Stamp the archives of a folder anew, by the first authority of the configuration that answers."""
    trusted = load_configuration_folder(configuration)

    async def stamped() -> Path:
        async with outward_session() as session:

            async def stamp(digest: bytes) -> bytes:
                certificates = trusted.tsa_certificates()
                return (await ask_authorities(session, trusted.approved_tsas, digest, certificates))[0]

            return await renew_archives(folder, trusted, stamp)

    click.echo(str(asyncio.run(stamped())))


@archive.command(
    help="Prove the renewals of the archives in FOLDER, the newest by the configuration given. Exit 0 proved, 1 not."
)
@NEEDED_CONFIGURATION
@click.option("--at", help="ISO 8601")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@report_errors
def renewals(configuration: Path, at: str | None, folder: Path) -> None:
    """Show each renewal, until when it proves anything, and what none of them covers."""
    trusted = load_configuration_folder(configuration, strict=False)
    moment = datetime.now(UTC) if at is None else read_moment(at)
    try:
        verdict = verify_renewals(folder, trusted, moment)
    except Fault as fault:
        click.echo(fault.detail, err=True)
        sys.exit(1)
    for found in verdict.renewals:
        click.echo(
            f"{found.number:>4}  {found.at:%Y-%m-%d %H:%M:%S}Z  {shown(found.authority, 200)}  {found.until:%Y-%m-%d}"
        )
    for name in verdict.unprotected:
        click.echo(_("{name}: came after the newest renewal", name=shown(name)), err=True)
    for name in verdict.gone:
        click.echo(_("{name}: was there at an older renewal, and is no longer", name=shown(name)), err=True)
    until = verdict.renewals[-1].until
    click.echo(_("proved; renew it before {until}", until=f"{until:%Y-%m-%d}"))


@dataclass(slots=True)
class _Result:
    file: Path
    containers: int = 0
    previous_file: str = ""
    is_linked: bool = False
    last_digest: str | None = None
    problem: str | None = None
    invalid: list[str] = field(default_factory=list)
    erased: list[str] = field(default_factory=list)

    @property
    def is_valid(self) -> bool:
        return self.problem is None and not self.invalid


def _check(
    file: Path,
    expected: str | None,
    trusted: TrustedConfiguration | None,
    key: Callable[[int], bytes] | None,
) -> _Result:
    result = _Result(file)

    def look(name: str, container: IO[bytes]) -> None:
        if trusted is not None:
            verdict = verify_container(container, trusted)
            if not verdict.is_proved:
                result.invalid.append(f"{name}: {verdict.steps[-1].detail} [{verdict.code}]")

    with file.open("rb") as source:
        try:
            if is_sealed(source):
                verdict = verify_sealed_archive(source, expected, look, key)
            else:
                verdict = verify_archive(source, expected, look)
        except Fault as fault:
            result.problem = f"{fault.detail} [{fault.code}]"
            return result
        except (OSError, MemoryError):
            raise
        except Exception as err:  # a verdict is due on any bytes; what no check foresaw is no proof
            result.problem = f"it cannot be judged ({type(err).__name__}: {str(err)[:200]})"
            return result
    result.containers, result.last_digest = len(verdict.containers), verdict.last_digest
    result.erased = verdict.erased
    result.previous_file, result.is_linked = verdict.previous.file_name, expected is not None
    return result


def _show(result: _Result, *, as_json: bool) -> None:
    if as_json:
        values = {
            "file": str(result.file),
            "valid": result.is_valid,
            "problem": result.problem,
            "containers": result.containers,
            "invalid_containers": result.invalid,
            "erased_containers": result.erased,
            "previous_file": result.previous_file or None,
            "link_checked": result.is_linked,
            "last_digest": result.last_digest,
        }
        click.echo(shown_json(values))
        return
    click.echo(f"{shown(str(result.file))}: {'VALID' if result.is_valid else 'INVALID'}")
    if result.problem is not None:
        click.echo(f"  {shown(result.problem, _LONGEST)}")
        return
    click.echo(
        _(
            "  {containers} containers, last digest {last_digest}",
            containers=result.containers,
            last_digest=result.last_digest,
        )
    )
    follows = shown(result.previous_file) or "nothing: it is the first of its group"
    caveat = "" if result.is_linked else " (by its own word; give --first or --previous to check)"
    click.echo(f"  follows {follows}{caveat}")
    for line in result.invalid:
        click.echo(_("  INVALID container {line}", line=shown(line, _LONGEST)))
    for line in result.erased:
        click.echo(f"  erased: {shown(line)}")
