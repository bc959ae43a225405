"""The commands ``central-server key``: the keys that sign the configuration."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from central_server.cli.folder import DATA, PIN, SETTINGS, open_node, opened_store, read_pin, utc_now
from central_server.store.loading import number_parameter
from central_server.store.records import OPERATOR
from central_server.store.sources import (
    SOURCES,
    activate_signing_key,
    known_since,
    last_publication,
    need_signing_key,
    signing_keys,
)
from certs.tokens.port import SOFTWARE_TOKEN_ID
from schemas.jsontext import encode_json
from serving.cli.commands import report_errors
from serving.cli.usercommands import JSON
from serving.errors import OperatorError
from serving.language import _

if TYPE_CHECKING:
    from pathlib import Path

    from central_server.store.records import Records


@click.group(help="The keys that sign the configuration.")
def key() -> None: ...


@key.command("list", help="Every key with its source and its token.")
@DATA
@SETTINGS
@JSON
@report_errors
def list_keys(data: Path, settings: Path | None, as_json: bool) -> None:
    with opened_store(data, settings) as store:
        _print_keys(store.read(), as_json=as_json)


def _print_keys(records: Records, *, as_json: bool) -> None:
    for source in SOURCES:
        for found in signing_keys(records, source):
            if as_json:
                value = {
                    "id": found.key_id,
                    "source": source,
                    "token": found.token_id,
                    "label": found.label,
                    "active": found.active,
                    "created_at": found.created_at,
                }
                click.echo(encode_json(value).decode())
                continue
            state = _("active") if found.active else _("standby")
            click.echo(f"{found.key_id}  {source}  {state}  token {found.token_id}")


@key.command(help="Make another key; gateways learn its certificate from the configuration before it signs.")
@DATA
@PIN
@SETTINGS
@click.argument("source", type=click.Choice(SOURCES))
@click.option("--kind", default="rsa-2048", show_default=True)
@click.option(
    "--token",
    "token_id",
    default=SOFTWARE_TOKEN_ID,
    show_default=True,
    help="a token of the settings; one behind PKCS#11 needs the server to run and to be logged in to it",
)
@report_errors
def add(
    data: Path, pin_file: Path | None, settings: Path | None, source: str, kind: str, token_id: str
) -> None:
    async def make() -> str:
        async with open_node(data, settings, kind=kind) as node:
            if token_id == SOFTWARE_TOKEN_ID:
                await node.keys.log_in(read_pin(pin_file), OPERATOR, utc_now())
            label = f"{source} configuration"
            made = await node.keys.make_signing_key(source, label, OPERATOR, utc_now(), token_id)
            return made.key_id

    click.echo(asyncio.run(make()))


@key.command(help="Sign with this key from now on.")
@DATA
@SETTINGS
@click.argument("key_id")
@click.option("--force", is_flag=True, help="before every gateway that runs can have met the key")
@report_errors
def activate(data: Path, settings: Path | None, key_id: str, *, force: bool) -> None:
    now = utc_now()
    with (
        opened_store(data, settings) as store,
        store.change(OPERATOR, now) as records,
    ):
        found = need_signing_key(records, key_id)
        since = known_since(records, found, number_parameter(records, "expire_interval_s"))
        if not force and not found.active:
            _check_known(since, min(now, last_publication(records) or now))
        activate_signing_key(records, key_id)
    moment = now if since is None else since[0]
    click.echo(
        _(
            "done; a gateway that was off since before {moment} believes this key only once it has the new anchor: "
            "central-server anchor {source}, then gateway globalconf replace-anchor there",
            moment=_moment(moment),
            source=found.source,
        )
    )


def _check_known(since: tuple[datetime, datetime] | None, last: datetime) -> None:
    """Refuse what would leave gateways without a configuration that they believe; ``last``: up to when it was published."""
    if since is None:
        raise OperatorError(
            _(
                "the key is not published yet, so no gateway would believe what it signs: let the server run and publish it "
                "first; --force activates it all the same, and every gateway then needs the new anchor"
            )
        )
    if last < since[1]:
        raise OperatorError(
            _(
                "the key is published since {since}; not before {known} has every gateway that runs fetched it. Let the server "
                "run until then; --force activates it now, and a gateway that has not fetched it then needs the new anchor",
                since=_moment(since[0]),
                known=_moment(since[1]),
            )
        )


def _moment(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


@key.command(help="Forget a key that no longer signs.")
@DATA
@PIN
@SETTINGS
@click.argument("key_id")
@report_errors
def delete(data: Path, pin_file: Path | None, settings: Path | None, key_id: str) -> None:
    async def forget() -> None:
        async with open_node(data, settings) as node:
            if need_signing_key(node.store.read(), key_id).token_id == SOFTWARE_TOKEN_ID:
                await node.keys.log_in(read_pin(pin_file), OPERATOR, utc_now())
            await node.keys.delete_signing_key(key_id, OPERATOR, utc_now())

    asyncio.run(forget())
