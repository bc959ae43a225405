"""``python -m social_security``: serve a member's system, or fill its folder with the synthetic fixture."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from schemas.jsontext import dump_json
from serving.cli.commands import Program
from serving.config.secret import SecretSource
from serving.errors import OperatorError
from serving.language import _
from serving.process import telemetry
from serving.process.listener import serve_until_signal
from social_security import app, config
from social_security.commands import seed
from social_security.commands.conformance import SUITE, TESTS, run_suite
from social_security.commands.extracting import extract
from social_security.commands.handover import hand_over, translate_hand_over, withdraw
from social_security.commands.importing import import_rows
from social_security.commands.lookup import look_up_person
from social_security.commands.merges import COMMANDS as MERGES
from social_security.commands.moving import move_command
from social_security.commands.officers import officer
from social_security.commands.publishing import publication
from social_security.commands.quality import quality_page
from social_security.commands.renapo import curp_states
from social_security.domain.calendars import national_day
from social_security.initialise import Making, check_making, first_secret, init_system, reaching
from social_security.portal.commands import portal
from social_security.wire.books import check_found
from social_security.wire.publication import edition_in, read_publication


@click.group(cls=Program)
def main() -> None:
    """Social-security systems that speak through gateways."""


main.add_command(officer)
main.add_command(hand_over)
main.add_command(withdraw)
main.add_command(move_command)
officer.add_command(curp_states)
for deciding in MERGES:
    officer.add_command(deciding)
officer.add_command(translate_hand_over)
main.add_command(portal)
main.add_command(publication)
main.add_command(extract)
main.add_command(quality_page)


@main.command()
@click.option("--data", required=True, type=click.Path(path_type=Path), help="folder of the system")
@click.option("--settings", type=click.Path(path_type=Path), help="settings file (TOML)")
def serve(data: Path, settings: Path | None) -> None:
    """Run one member's system. Only its gateway may reach it."""
    try:
        loaded = config.load(settings, os.environ)
    except OperatorError as err:
        click.echo(str(err), err=True)
        sys.exit(2)
    telemetry.configure(loaded.log_level)
    try:
        check_found(data, loaded)
        system = app.build(data, loaded)
    except ValueError as err:  # keys that do not open, or a passphrase that cannot be had
        click.echo(str(err), err=True)
        sys.exit(2)
    serve_until_signal(system, loaded.host, loaded.port, setting="port")


@main.command("seed")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="folder of the system")
@click.option("--member", required=True, help="member code, as 15-ISSEMYM")
@click.option("--registry", type=click.Path(path_type=Path), help="the registry's folder, for an institute")
@click.option(
    "--secret-file", type=click.Path(path_type=Path), help="file with the passphrase that seals the keys"
)
def seed_command(data: Path, member: str, registry: Path | None, secret_file: Path | None) -> None:
    """Fill a folder with the synthetic persons of the fixture; a seeded folder stays as it is."""
    if member == app.ONIESS:
        seed.seed_oniess(data)
        return
    if secret_file is None:
        raise click.UsageError(_("--secret-file is needed: the keys made here are sealed by a passphrase"))
    secret = SecretSource(file=str(secret_file)).read({})
    if member == app.REGISTRY:
        seed.seed_registry(data, secret)
    elif registry is None:
        raise click.UsageError(_("an institute needs --registry: the registry learns its public key"))
    else:
        seed.seed_institute(data, member, registry, secret)


@main.command("init")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="new folder of the system")
@click.option("--member", "code", required=True, help="member code, as 15-ISSEMYM")
@click.option(
    "--secret-file",
    required=True,
    type=click.Path(path_type=Path),
    help="file with the passphrase that seals the keys; one is made when it is not there",
)
@click.option(
    "--registry-key",
    type=click.Path(path_type=Path, exists=True),
    help="the registry's public key, for an institute without a gateway yet",
)
@click.option(
    "--database", default="", help="postgresql:// address for its books; without it SQLite in the folder"
)
@click.option(
    "--gateway",
    default="",
    callback=lambda _context, _option, value: value.rstrip("/"),
    help="the member's own gateway, as http://127.0.0.1:8080: an institute and the registry tell each other their keys through it",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="where the system listens")
@click.option(
    "--caller", "callers", multiple=True, help="a member that the gateway lets in; repeat for several"
)
@click.option(
    "--publication",
    "publication_files",
    type=(click.Path(path_type=Path, exists=True), click.Path(path_type=Path, exists=True), str),
    metavar="FILE KEY DIGEST",
    help="for a member that only ONIESS's publication knows: `publication show --out`, ONIESS's public key, its SHA-256 as read aloud",
)
def init_command(data: Path, publication_files: tuple[Path, Path, str] | None, **given: Any) -> None:
    """Make a member's system: folder, random keys, database, settings, unit file and the gateway's file. Prints what is left to do."""
    try:
        edition, published = edition_in(data), None
        if publication_files is not None:
            file, key, digest = publication_files
            published = file.read_bytes(), key.read_bytes()
            edition = read_publication(*published, digest, datetime.now(UTC))
        making = Making(edition=edition, published=published, **given)
        check_making(making)
        secret = first_secret(making.secret_file)
        for line in init_system(data, making, secret):
            click.echo(line)
    except ValueError as err:
        raise click.ClickException(str(err)) from err


@main.command("look-up")
@click.option(
    "--settings", required=True, type=click.Path(path_type=Path, exists=True), help="of this member's system"
)
def look_up(settings: Path) -> None:
    """Ask the registry for a person: her CURP on standard input. Prints its answer; exit 1 when there is none."""
    loaded = config.load(settings, os.environ)
    response = asyncio.run(look_up_person(settings.parent, loaded, sys.stdin.readline().strip()))
    click.echo(
        dump_json(response.body, ensure_ascii=False) if response.status else _("the gateway does not answer")
    )
    sys.exit(0 if response.is_done else 1)


main.add_command(import_rows)


@main.command()
@click.option(
    "--settings", required=True, type=click.Path(path_type=Path, exists=True), help="of this member's system"
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="where the report goes, as ONIESS's gate takes it"
)
def conformance(settings: Path, out: Path | None) -> None:
    """Run the conformance suite against this member's own services, through its gateway; exit 1 when a test fails."""
    loaded = config.load(settings, os.environ)

    async def run() -> dict[str, bool]:
        async with reaching(loaded.gateway, edition_in(settings.parent), loaded.member) as gateway:
            return await run_suite(gateway, loaded.policy)

    outcomes = asyncio.run(run())
    for test in TESTS:
        click.echo(f"{'ok    ' if outcomes[test.id] else 'FAILED'}  {test.id}  {test.expected}  {test.what}")
    if out is not None:
        made = national_day(app.clock_of(loaded)()).isoformat()
        out.write_text(dump_json({"suite": SUITE, "fecha": made, "pruebas": outcomes}), encoding="utf-8")
    sys.exit(0 if all(outcomes.values()) else 1)


if __name__ == "__main__":
    main()
