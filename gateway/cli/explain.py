"""The command ``gateway explain``: what a fault code means, who mends it and how."""

from __future__ import annotations

import os

import click

from serving.cli.commands import report_errors
from serving.language import _, language_of


@click.command(help="Explain a fault code: what it means, who mends it, what to do.")
@click.argument("code")
@report_errors
def explain(code: str) -> None:
    from schemas.faultcatalogue import SIDES
    from schemas.faultcatalogue import explain as find

    found = find(code)
    if found is None:
        raise LookupError(_("{code} is no fault code", code=code))
    spanish = language_of(os.environ) == "es"
    meaning, remedy = found.es if spanish else found.en
    side = SIDES["es" if spanish else "en"][found.side]
    click.echo(f"{found.kind.value}\n  {meaning}\n  {side}: {remedy}")
