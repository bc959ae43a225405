"""``python -m social_security``: serve a member's system, or fill its folder with the synthetic fixture."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click
from aiohttp import web

from serving import telemetry
from serving.settings import BadSettings
from social_security import app, config, seed
from social_security.officers import officer
from social_security.portal.commands import portal


@click.group()
def main() -> None:
    """Social-security systems on the road."""


main.add_command(officer)
main.add_command(portal)


@main.command()
@click.option("--data", required=True, type=click.Path(path_type=Path), help="folder of the system")
@click.option("--settings", type=click.Path(path_type=Path), help="settings file (TOML)")
def serve(data: Path, settings: Path | None) -> None:
    """Run one member's system. Only its gateway may reach it."""
    try:
        told = config.load(settings, os.environ)
    except BadSettings as err:
        click.echo(str(err), err=True)
        sys.exit(2)
    telemetry.configure(told.log_level)
    web.run_app(app.build(data, told), host=told.host, port=told.port, print=None, access_log=None)


@main.command("seed")
@click.option("--data", required=True, type=click.Path(path_type=Path), help="folder of the system")
@click.option("--member", required=True, help="member code, as 15-ISSEMYM")
@click.option("--registry", type=click.Path(path_type=Path), help="the registry's folder, for an institute")
def seed_command(data: Path, member: str, registry: Path | None) -> None:
    """Fill a folder with the synthetic persons of the fixture; a seeded folder stays as it is."""
    if member == app.REGISTRY:
        seed.seed_registry(data)
    elif member == app.ONIESS:
        seed.seed_oniess(data)
    elif registry is None:
        raise click.UsageError("an institute needs --registry: the registry learns its public key")
    else:
        seed.seed_institute(data, member, registry)


if __name__ == "__main__":
    main()
