"""Commands for the people who use a server's admin API, and for its audit log; the same for every server."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from serving.audit import AuditLog
from serving.commands import said
from serving.language import tr
from serving.logins import Logins

if TYPE_CHECKING:
    from serving.logins import Roles

DATA = click.option(
    "--data", type=click.Path(path_type=Path), default=Path("gateway-data"), show_default=True
)
JSON = click.option("--json", "as_json", is_flag=True, help="one JSON line for each")
ALL = "all"


def user_commands(roles: Roles) -> click.Group:
    """``user add``, ``user list``, ``user remove``."""

    @click.group("user", help=tr("Quién usa la API de administración.", "Who may use the admin API."))
    def group() -> None: ...

    @group.command("add")
    @DATA
    @click.option("--role", "names", multiple=True, required=True, help="a role, or all; repeat for several")
    @click.option("--client", "scope", multiple=True, help="only for this client (INST:CLASS:CODE[:SUB])")
    @click.option("--password-file", type=click.Path(path_type=Path, exists=True))
    @click.argument("name")
    @said
    def add(
        data: Path, names: tuple[str, ...], scope: tuple[str, ...], password_file: Path | None, name: str
    ) -> None:
        """Make a user, or give one other roles and another password."""
        known = roles.of_people()
        wanted = known if ALL in names else frozenset(names)
        if wrong := sorted(wanted - known):
            raise ValueError(
                f"unknown roles: {', '.join(wrong)}; there are {', '.join(sorted(known))}, and all"
            )
        password = (
            click.prompt("Password", hide_input=True, confirmation_prompt=True)
            if password_file is None
            else password_file.read_text(encoding="utf-8").strip()
        )
        logins = _logins(data)
        logins.save_user(name, password, wanted, scope)
        logins.close()
        click.echo(tr(f"usuario {name} guardado", f"user {name} saved"))

    @group.command("list")
    @DATA
    @JSON
    @said
    def show(data: Path, as_json: bool) -> None:
        """Every user with the roles."""
        logins = _logins(data)
        for found in logins.users():
            value = {"name": found.name, "roles": sorted(found.roles), "clients": sorted(found.scope)}
            line = (
                orjson.dumps(value).decode() if as_json else f"{found.name}  {', '.join(sorted(found.roles))}"
            )
            click.echo(line)
        logins.close()

    @group.command("remove")
    @DATA
    @click.argument("name")
    @said
    def remove(data: Path, name: str) -> None:
        """Forget a user; the sessions end."""
        logins = _logins(data)
        logins.remove_user(name)
        logins.close()

    return group


def audit_commands() -> click.Group:
    """``audit verify`` and ``audit export``."""

    @click.group("audit", help=tr("La bitácora de auditoría.", "The audit log."))
    def group() -> None: ...

    @group.command("verify")
    @DATA
    @click.option("--head", help="a digest noted earlier that must be on the chain")
    @said
    def verify(data: Path, head: str | None) -> None:
        """Prove that no record was changed, moved or removed; exit 1 when one was."""
        logins = _logins(data)
        count, last = AuditLog(logins.database).verify(head)
        logins.close()
        click.echo(tr(f"{count} registros íntegros; último resumen", f"{count} records whole; last digest"))
        click.echo(last)

    @group.command("export")
    @DATA
    @said
    def export(data: Path) -> None:
        """Write every record as a JSON line."""
        logins = _logins(data)
        for line in AuditLog(logins.database).export():
            sys.stdout.buffer.write(line)
        logins.close()

    return group


def _logins(data: Path) -> Logins:
    return Logins(data / "admin.sqlite")
