"""Commands for the people who use a server's admin API, and for its audit logs; the same for every server."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from schemas.jsontext import decode_json, encode_json
from serving.cli.commands import ask_secret, report_errors
from serving.cli.serverfolder import ServerFolders
from serving.config.secret import read_secret_file
from serving.language import _
from serving.login.users import Logins
from serving.storage.audit import AuditLog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from serving.login.users import Roles

JSON = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="one JSON line for each",
)
ALL = "all"
CALLS = "calls"


@dataclass(frozen=True, slots=True)
class Where:
    """The place of a server's users and audit logs: its folders, and what opens them."""

    folders: ServerFolders
    # From the data folder and the settings file.
    logins: Callable[[Path, Path | None], Logins]
    # Audit logs beside that of the admin API (`CALLS`), by the name people give them.
    other_logs: Callable[[Path, Path | None], dict[str, AuditLog]] = lambda _data, _settings: {}
    log_names: tuple[str, ...] = (CALLS,)

    def options(self, command: Callable[..., Any], *, new: bool = False) -> Callable[..., Any]:
        """Give a command the options ``--data``, which names a server unless ``new``, and ``--settings``."""
        data = self.folders.new_option() if new else self.folders.option()
        settings = click.option(
            "--settings",
            type=click.Path(path_type=Path, exists=True),
            help="settings file (TOML)",
        )
        return data(settings(command))


def user_commands(roles: Roles, where: Where) -> click.Group:
    """``user add``, ``user list``, ``user remove``."""

    @click.group("user", help="Who may use the admin API.")
    def group() -> None: ...

    @group.command(
        "add",
        help="Make a user, or give one other roles and another password.",
    )
    @functools.partial(
        where.options, new=True
    )  # the first user, before a server is set up by pages or its API
    @click.option(
        "--role",
        "names",
        multiple=True,
        required=True,
        help="a role, or all; repeat for several",
    )
    @click.option(
        "--client",
        "scope",
        multiple=True,
        help="only for this client (INST:CLASS:CODE[:SUB])",
    )
    @click.option("--password-file", type=click.Path(path_type=Path, exists=True))
    @click.argument("name")
    @report_errors
    def add(
        data: Path,
        settings: Path | None,
        names: tuple[str, ...],
        scope: tuple[str, ...],
        password_file: Path | None,
        name: str,
    ) -> None:
        known = roles.of_people()
        chosen = known if ALL in names else frozenset(names)
        if wrong := sorted(chosen - known):
            there = ", ".join(sorted(known))
            raise ValueError(
                _("unknown roles: {join}; there are {there}, and all", join=", ".join(wrong), there=there)
            )
        password = (
            ask_secret(_("Password"), "--password-file", confirm=True)
            if password_file is None
            else read_secret_file(password_file)
        )
        logins = where.logins(data, settings)
        logins.save_user(name, password, chosen, scope)
        logins.close()
        click.echo(_("user {name} saved", name=name))

    @group.command("list", help="Every user with the roles.")
    @where.options
    @JSON
    @report_errors
    def show(data: Path, settings: Path | None, as_json: bool) -> None:
        logins = where.logins(data, settings)
        for found in logins.users():
            value = {"name": found.name, "roles": sorted(found.roles), "clients": sorted(found.scope)}
            line = (
                encode_json(value).decode() if as_json else f"{found.name}  {', '.join(sorted(found.roles))}"
            )
            click.echo(line)
        logins.close()

    @group.command("remove", help="Forget a user; the sessions end.")
    @where.options
    @click.argument("name")
    @report_errors
    def remove(data: Path, settings: Path | None, name: str) -> None:
        logins = where.logins(data, settings)
        logins.remove_user(name)
        logins.close()

    return group


def audit_commands(where: Where) -> click.Group:
    """``audit list``, ``audit verify`` and ``audit export``."""
    which = click.option(
        "--log",
        "chosen",
        type=click.Choice(where.log_names),
        help="only this log",
        hidden=len(where.log_names) == 1,
    )

    @click.group("audit", help="The audit log.")
    def group() -> None: ...

    def logs(data: Path, settings: Path | None, chosen: str | None) -> dict[str, AuditLog]:
        found = where.other_logs(data, settings)
        found |= {CALLS: AuditLog(where.logins(data, settings).database)}
        return {name: log for name, log in found.items() if chosen in (None, name)}

    @group.command("list", help="Who did what, in the order of time.")
    @where.options
    @which
    @click.option(
        "--last",
        type=click.IntRange(min=1),
        default=50,
        show_default=True,
        help="how many records",
    )
    @JSON
    @report_errors
    def show(data: Path, settings: Path | None, chosen: str | None, last: int, as_json: bool) -> None:
        found = [
            (record["at"], name, number, record)
            for name, log in logs(data, settings, chosen).items()
            for number, record in _parsed(log)
        ]
        for _at, name, number, record in sorted(found, key=lambda f: f[:3])[-last:]:
            if as_json:
                click.echo(encode_json({"log": name, "number": number, **record}).decode())
                continue
            words = [record["at"], name, str(number), record["who"], record["event"], record["outcome"]]
            click.echo("  ".join([*words, record.get("target", "")]).rstrip())
            for change in record.get("changes", []):
                click.echo(f"    {change}")

    @group.command(
        "verify",
        help="Prove that no record was changed, moved or removed; exit 1 when one was.",
    )
    @functools.partial(where.options, new=True)  # a gateway's own `audit verify` takes files instead
    @which
    @click.option(
        "--head",
        help="a digest noted earlier that must be on the chain (with --log where there are several)",
    )
    @report_errors
    def verify(data: Path, settings: Path | None, chosen: str | None, head: str | None) -> None:
        where.folders.check(data)
        found = logs(data, settings, chosen)
        if head is not None and len(found) > 1:
            raise ValueError(_("say of which log the digest is, with --log: {names}", names=", ".join(found)))
        for name, log in found.items():
            count, last = log.verify(head)
            prefix = f"{name}: " if len(where.log_names) > 1 else ""
            click.echo(prefix + _("{count} records whole; last digest", count=count))
            click.echo(last)

    @group.command(
        "export",
        help="Write every record as a JSON line with its digest, to OUT or to the output.",
    )
    @where.options
    @which
    @click.argument("out", type=click.File("wb"), default="-")
    @report_errors
    def export(data: Path, settings: Path | None, chosen: str | None, out: BinaryIO) -> None:
        for log in logs(data, settings, chosen or where.log_names[0]).values():
            for line in log.export():
                out.write(line)

    return group


def _parsed(log: AuditLog) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, text, _digest in log.records():
        yield number, decode_json(text)
