"""The commands ``central-server member`` and ``central-server request``: who joins, and what waits for approval."""

from __future__ import annotations

import getpass
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from central_server.cli.folder import DATA, SETTINGS, opened_store, read_settings, utc_now
from central_server.management.requests import approve_request, end_request
from central_server.store.members import add_member, add_subsystem, find_client, list_clients
from central_server.store.records import Actor
from central_server.store.requests import OPEN, RequestType
from central_server.store.requests import list_requests as kept_requests
from central_server.store.servers import find_server_client, list_servers
from schemas.identifiers import ClientId
from schemas.jsontext import encode_json
from serving.cli.commands import report_errors
from serving.cli.printing import print_value
from serving.cli.usercommands import JSON
from serving.language import _

if TYPE_CHECKING:
    from central_server.store.records import CentralStore, Records
    from central_server.store.requests import KeptRequest

LOOK_S = 0.5


@click.group(help="Members of the registry.")
def member() -> None: ...


@member.command(help="Add a member, instance/class/code, and its subsystems; what is there already stays.")
@DATA
@SETTINGS
@click.option("--name", required=True, help="name of the member")
@click.option("--subsystem", "subsystems", multiple=True, help="code; repeat for several")
@click.argument("identifier")
@report_errors
def add(data: Path, settings: Path | None, name: str, subsystems: tuple[str, ...], identifier: str) -> None:
    member_id = _member(identifier)
    with opened_store(data, settings) as store, store.change(_actor(), utc_now()) as records:
        line = _added(records, member_id, name)
        for code in subsystems:
            if find_client(records, member_id.subsystem(code)) is None:
                add_subsystem(records, member_id.subsystem(code), None)
    click.echo(line)


def _added(records: Records, member_id: ClientId, name: str) -> str:
    """The line that says that a member is in the registry now, or was already, under the name that it keeps."""
    there = find_client(records, member_id)
    if there is None:
        add_member(records, member_id, name)
    elif there.name != name:
        return _(
            "{path} is in the registry already, as {name}; another name is given by 'central-server apply' or in the console",
            path=member_id.path(),
            name=there.name,
        )
    return _("{path} is in the registry", path=member_id.path())


@member.command(
    help="Add a member and approve its first server and these subsystems as they ask; ends once all are registered."
)
@DATA
@SETTINGS
@click.option("--name", required=True, help="name of the member")
@click.option("--subsystem", "subsystems", multiple=True, required=True, help="code; repeat for several")
@click.option("--wait", "wait_s", type=float, default=86_400.0, show_default=True, help="seconds to wait")
@click.argument("identifier")
@report_errors
def admit(
    data: Path, settings: Path | None, name: str, subsystems: tuple[str, ...], wait_s: float, identifier: str
) -> None:
    policy, member_id = read_settings(data, settings).approval.policy(), _member(identifier)
    deadline = time.monotonic() + wait_s
    with opened_store(data, settings) as store:
        with store.change(_actor(), utc_now()) as records:
            line = _added(records, member_id, name)
        click.echo(line)
        needed = {member_id.subsystem(code) for code in subsystems}
        while left := _unregistered(store, member_id, needed):
            for found in _waiting_requests_of(store, member_id, left):
                with store.change(_actor(), utc_now()) as records:
                    done = approve_request(records, found.number, policy)
                click.echo(_line(done))
            if time.monotonic() >= deadline:
                missing = ", ".join(sorted(c.path() for c in left))
                raise LookupError(_("not registered yet: {missing}; run this command again", missing=missing))
            time.sleep(LOOK_S)


@member.command("list", help="Members and subsystems.")
@DATA
@SETTINGS
@JSON
@report_errors
def list_members(data: Path, settings: Path | None, as_json: bool) -> None:
    with opened_store(data, settings) as store:
        found = [{"id": c.id.path(), "name": c.name or ""} for c in list_clients(store.read())]
    _print(found, as_json)


@click.group(help="Management requests: see, approve, decline.")
def request() -> None: ...


@request.command("list", help="Those that wait; or all of them.")
@DATA
@SETTINGS
@JSON
@click.option("--all", "every", is_flag=True, help="those settled too")
@report_errors
def list_requests(data: Path, settings: Path | None, as_json: bool, every: bool) -> None:
    with opened_store(data, settings) as store:
        found = [_view(r) for r in kept_requests(store.read()) if every or r.state in OPEN]
    _print(found, as_json)


@request.command(help="Approve requests by number, or a member's next one, which --wait waits for.")
@DATA
@SETTINGS
@click.option("--member", "whose", help="instance/class/code")
@click.option("--wait", "wait_s", type=float, default=0.0, help="seconds to wait")
@click.argument("numbers", type=int, nargs=-1)
@report_errors
def approve(
    data: Path, settings: Path | None, whose: str | None, wait_s: float, numbers: tuple[int, ...]
) -> None:
    policy = read_settings(data, settings).approval.policy()
    if bool(numbers) == bool(whose):
        raise ValueError(_("give numbers or --member"))
    with opened_store(data, settings) as store:
        chosen = numbers or _next_of(store, _member(str(whose)), wait_s)
        for number in chosen:
            with store.change(_actor(), utc_now()) as records:
                done = approve_request(records, number, policy)
            click.echo(_line(done))


@request.command(help="Decline a request.")
@DATA
@SETTINGS
@click.option("--reason", help="what the institute is told")
@click.argument("number", type=int)
@report_errors
def decline(data: Path, settings: Path | None, reason: str | None, number: int) -> None:
    with opened_store(data, settings) as store, store.change(_actor(), utc_now()) as records:
        done = end_request(records, number, reason)
    click.echo(_line(done))


def _unregistered(store: CentralStore, whose: ClientId, needed: set[ClientId]) -> set[ClientId]:
    """The clients of ``needed`` that are registered on no security server of the member's own yet."""
    records = store.read()
    own = [s for s in list_servers(records) if s.id.owner == whose]
    return {c for c in needed if all(find_server_client(records, s, c) is None for s in own)}


def _waiting_requests_of(store: CentralStore, whose: ClientId, needed: set[ClientId]) -> list[KeptRequest]:
    """A member's waiting requests for its own server's certificate and for these subsystems, but for those that this person has approved."""
    return [
        r
        for r in kept_requests(store.read())
        if r.state in OPEN
        and r.content.server.owner == whose
        and r.first_approval != _actor().name
        and (r.content.type is RequestType.AUTH_CERT_REGISTRATION or r.content.client in needed)
    ]


def _next_of(store: CentralStore, whose: ClientId, wait_s: float) -> tuple[int, ...]:
    """The numbers of a member's waiting requests, as soon as there are any."""
    deadline = time.monotonic() + wait_s
    while True:
        found = tuple(
            r.number
            for r in kept_requests(store.read())
            if r.state in OPEN and r.content.server.owner == whose
        )
        if found:
            return found
        if time.monotonic() >= deadline:
            raise LookupError(_("nothing of {path} waits", path=whose.path()))
        time.sleep(LOOK_S)


def _view(found: KeptRequest) -> dict[str, object]:
    about = found.content
    return {
        "number": found.number,
        "type": about.type.value,
        "state": found.state.value,
        "server": about.server.path(),
        "client": about.client.path() if about.client else "",
        "address": about.address or "",
        "at": found.created_at,
    }


def _line(found: KeptRequest) -> str:
    about = found.content
    what = about.client.path() if about.client else about.server.path()
    return f"{found.number}  {about.type.value}  {what}  {found.state.value}"


def _print(found: list[Any], as_json: bool) -> None:
    if as_json:
        click.echo(encode_json(found).decode())
    else:
        print_value(found)


def _member(text: str) -> ClientId:
    parts = text.split("/")
    if len(parts) != 3:
        raise ValueError(_("{text!r} is not instance/class/code", text=text))
    return ClientId(*parts)


def _actor() -> Actor:
    return Actor(f"local:{getpass.getuser()}", "command line")
