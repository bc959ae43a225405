"""``gateway api-key``: keys of programs that use the admin API, made and ended in the data folder."""

from __future__ import annotations

import getpass
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from gateway.admin.roles import gateway_roles
from gateway.cli.keys import DATA, FOLDERS
from gateway.cli.localaudit import record
from schemas.jsontext import encode_json
from serving.cli.commands import report_errors
from serving.cli.printing import print_value
from serving.cli.usercommands import ALL, JSON, Where
from serving.language import _
from serving.login.users import ApiKey, Logins

ROLE = click.option(
    "--role",
    "names",
    multiple=True,
    required=True,
    help="a role, or all; repeat",
)


def open_logins(data: Path) -> Logins:
    """Users and API keys of a data folder's gateway, wherever it keeps them."""
    from gateway.settings.datafolder import find_folder

    return Logins(find_folder(data, os.environ).logins)


WHERE = Where(FOLDERS, lambda data, _settings: open_logins(data))


@click.group(
    "api-key",
    help="Keys of programs for the admin API.",
)
def api_key() -> None: ...


@api_key.command("list", help="Every key.")
@DATA
@JSON
@report_errors
def list_keys(data: Path, as_json: bool) -> None:
    logins = open_logins(data)
    views = [_view(key) for key in logins.api_keys()]
    logins.close()
    if as_json:
        click.echo(encode_json(views).decode())
    else:
        print_value(views)


@api_key.command(help="Make a key; it is shown this once.")
@DATA
@ROLE
@JSON
@click.option(
    "--client",
    "scope",
    multiple=True,
    help="only for this client (INST:CLASS:CODE[:SUB])",
)
@click.option("--days", type=click.IntRange(1, 3650), help="how many days it lives")
@report_errors
def make(data: Path, names: tuple[str, ...], as_json: bool, scope: tuple[str, ...], days: int | None) -> None:
    expires = datetime.now(UTC) + timedelta(days=days) if days else None
    logins = open_logins(data)
    made, key = logins.make_api_key(
        _roles(names), f"local:{getpass.getuser()}", scope=scope, expires_at=expires
    )
    logins.close()
    record(data, "API_KEY_CREATE", "done", (f"+ api key {made.id} {', '.join(sorted(made.roles))}",))
    click.echo(encode_json({**_view(made), "key": key}).decode() if as_json else f"{made.id}  {key}")


@api_key.command(help="Give a key other roles.")
@DATA
@ROLE
@click.argument("number", type=int)
@report_errors
def roles(data: Path, names: tuple[str, ...], number: int) -> None:
    logins = open_logins(data)
    before = _found(logins, number)
    logins.set_api_key_roles(number, _roles(names))
    after = _found(logins, number)
    logins.close()
    record(
        data,
        "API_KEY_UPDATE",
        "done",
        (
            f"- api key {number} {', '.join(sorted(before.roles))}",
            f"+ api key {number} {', '.join(sorted(after.roles))}",
        ),
    )
    click.echo(_("done"))


@api_key.command(help="End a key.")
@DATA
@click.argument("number", type=int)
@report_errors
def revoke(data: Path, number: int) -> None:
    logins = open_logins(data)
    found = _found(logins, number)
    logins.revoke_api_key(number)
    logins.close()
    record(data, "API_KEY_REMOVE", "done", (f"- api key {number} {', '.join(sorted(found.roles))}",))
    click.echo(_("done"))


def _found(logins: Logins, number: int) -> ApiKey:
    found = logins.api_key(number)
    if found is None:
        raise LookupError(_("there is no key {number}", number=number))
    return found


def _roles(names: tuple[str, ...]) -> frozenset[str]:
    known = frozenset(gateway_roles().permissions)
    roles = known if ALL in names else frozenset(names)
    if wrong := sorted(roles - known):
        raise ValueError(
            _(
                "unknown roles: {names}; there are {known}, and all",
                names=", ".join(wrong),
                known=", ".join(sorted(known)),
            )
        )
    return roles


def _view(key: ApiKey) -> dict[str, object]:
    expires = key.expires_at.isoformat() if key.expires_at else ""
    return {
        "id": key.id,
        "roles": sorted(key.roles),
        "clients": sorted(key.scope),
        "made_by": key.made_by,
        "expires_at": expires,
    }
