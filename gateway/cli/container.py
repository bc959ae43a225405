"""``gateway container verify``: the auditor's command, offline, on containers and zips of them as ``GET /asic`` gives them.
 Exit 0 all valid, 1 any invalid, 2 could not check.

Exit 3: none invalid, but content is withheld (erased, not logged, left out), so only its digests are proved."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from certs.edges.configurationfiles import load_configuration_folder
from certs.verify.container import StepOutcome, Verdict, verify_file
from schemas.faults import Fault
from schemas.showing import shown, shown_json
from serving.cli.commands import read_moment
from serving.language import _

if TYPE_CHECKING:
    from certs.configuration import TrustedConfiguration

_LONGEST = 2000
_MARKS = {StepOutcome.VALID: "ok", StepOutcome.INVALID: "FAILED", StepOutcome.WARNING: "note"}


@click.group()
def container() -> None:
    """Verify signed containers (ASiC-E), without a running gateway."""


@container.command()
@click.option(
    "--configuration",
    type=click.Path(path_type=Path),
    help="folder with the verification configuration, or the zip of GET /verificationconf",
)
@click.option(
    "--anchor", type=click.Path(path_type=Path), help="download the configuration this anchor leads to"
)
@click.option("--at", "at_text", help="judge at this time (ISO 8601) instead of the timestamp's")
@click.option("--json", "as_json", is_flag=True, help="one JSON object a file")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
def verify(
    configuration: Path | None,
    anchor: Path | None,
    at_text: str | None,
    as_json: bool,
    files: tuple[Path, ...],
) -> None:
    """Verify containers, each in numbered steps."""
    if (configuration is None) == (anchor is None):
        click.echo(_("give either --configuration FOLDER or --anchor FILE"), err=True)
        sys.exit(2)
    try:
        at = None if at_text is None else read_moment(at_text)
        trusted = _configuration(configuration, anchor)
    except (Fault, ValueError, OSError) as err:
        click.echo(
            _("could not check: {detail}", detail=err.detail if isinstance(err, Fault) else err), err=True
        )
        sys.exit(2)
    worst, is_partial = 0, False
    for file in files:
        try:
            with file.open("rb") as source:
                for name, verdict in verify_file(source, trusted, at=at):
                    _show(file, name, verdict, as_json=as_json)
                    if not verdict.is_proved:
                        worst = worst or 1
                    is_partial = is_partial or (verdict.is_proved and not verdict.is_valid)
        except (OSError, MemoryError) as err:
            reason = (err.strerror or str(err)) if isinstance(err, OSError) else "out of memory"
            click.echo(_("{file}: could not check: {reason}", file=shown(str(file)), reason=reason), err=True)
            worst = 2
    sys.exit(worst or (3 if is_partial else 0))


def _configuration(folder: Path | None, anchor: Path | None) -> TrustedConfiguration:
    if folder is not None:
        return load_configuration_folder(folder, strict=False)
    import asyncio

    from gateway.edges.download import download_configuration

    return asyncio.run(download_configuration((anchor or Path()).read_bytes()))


def _show(file: Path, name: str | None, verdict: Verdict, *, as_json: bool) -> None:
    if as_json:
        click.echo(
            shown_json(
                {
                    "file": str(file),
                    "container": name,
                    "valid": verdict.is_valid,
                    "proved": verdict.is_proved,
                    "withheld": None if verdict.withheld is None else verdict.withheld.says(),
                    "code": verdict.code,
                    "signer": None if verdict.signer is None else verdict.signer.path(),
                    "message_id": verdict.message_id,
                    "timestamp": None if verdict.timestamp is None else verdict.timestamp.isoformat(),
                    "steps": [
                        {
                            "number": s.number,
                            "title": s.title,
                            "outcome": s.outcome,
                            "detail": s.detail,
                            "code": s.code,
                        }
                        for s in verdict.steps
                    ],
                },
            )
        )
        return
    where = shown(str(file)) if name is None else f"{shown(str(file))}: {shown(name)}"
    click.echo(f"{where}: {_word(verdict)}")
    for s in verdict.steps:
        click.echo(
            f"  {s.number}. {s.title:<26} {_MARKS[s.outcome]:<7} {shown(s.detail, _LONGEST)}"
            + (f" [{s.code}]" if s.code else "")
        )


def _word(verdict: Verdict) -> str:
    if verdict.is_valid:
        return "VALID"
    return "PROVED BY DIGESTS, CONTENT WITHHELD" if verdict.is_proved else "INVALID"
