"""Commands that call the running gateway's admin API, one for each row of `gateway.cli.commandrows`, and ``gateway api``.

A command's options are made from the operation's row when they are asked for; starting any other command does not load
the admin API.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import mimetypes
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from gateway.cli.commandrows import ACTS, GROUPS
from gateway.cli.keys import NEW_DATA
from gateway.cli.localaudit import record
from gateway.server.running import AdminClient, Reply, local_client, remote_client
from schemas.jsontext import encode_json
from serving.cli.commands import report_errors
from serving.cli.helptexts import language_option, show_options
from serving.cli.printing import print_value
from serving.config.secret import read_secret_file
from serving.language import _

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from gateway.cli.commandrows import ApiCommand
    from serving.api.operations import Operation

KEY_VARIABLE = "SACBE_API_KEY"


def connection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which gateway a command speaks to, and in what form it answers."""
    for option in reversed(_connection()):
        command = option(command)
    return command


def _connection() -> tuple[Callable[[Callable[..., Any]], Callable[..., Any]], ...]:
    return (
        NEW_DATA,
        click.option(
            "--gateway",
            "gateway_url",
            help="a gateway elsewhere: https://HOST:4000",
        ),
        click.option(
            "--key-file",
            type=click.Path(path_type=Path, exists=True),
            help="its API key; or the variable SACBE_API_KEY",
        ),
        click.option(
            "--ca-file",
            type=click.Path(path_type=Path, exists=True),
            help="its TLS certificate, if the system does not know it",
        ),
        click.option("--json", "as_json", is_flag=True, help="for programs"),
        click.option("--out", type=click.Path(path_type=Path), help="file to write to"),
    )


@contextlib.contextmanager
def connected(given: Mapping[str, Any]) -> Iterator[AdminClient]:
    """The client that the connection options ask for."""
    if given["gateway_url"] is None:
        with local_client(given["data"]) as client:
            yield client
        return
    key_file = given["key_file"]
    key = read_secret_file(key_file) if key_file else os.environ.get(KEY_VARIABLE, "")
    if not key:
        raise ValueError(_("there is no key: --key-file"))
    yield remote_client(given["gateway_url"], key, given["ca_file"])


@functools.cache
def operations() -> dict[tuple[str, str], Operation]:
    """Every operation of the admin API, by method and path."""
    from gateway.admin.api import operations as rows
    from gateway.settings.config import GatewaySettings
    from gateway.settings.datafolder import DataFolder
    from serving.api import commonapi, useroperations
    from serving.api.operations import Operation as Row

    class Nowhere:
        """A process that is only looked at: rows name handlers, and nothing calls them."""

        folder, settings, store, gateway, live = DataFolder(Path()), GatewaySettings(), None, None, None

        def __getattr__(self, name: str) -> Any:
            return None

    nobody = cast("Any", None)
    common = commonapi.operations(nobody, nobody, 0, nobody)
    users = useroperations.operations(nobody, nobody, nobody)
    found = [*rows(cast("Any", Nowhere())), *common, *users]
    found.append(Row("GET", "/openapi.yaml", cast("Any", None), "", answer="application/x-yaml", public=True))
    return {(o.method, o.path): o for o in found}


class Action(click.Command):
    """One row of the table as a command."""

    def __init__(self, act: ApiCommand) -> None:
        super().__init__(act.name, help=act.help, callback=report_errors(self._run))
        self.act = act
        self._has_options = False

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Made when somebody asks for them."""
        if not self._has_options:
            from gateway.cli.options import parameters

            @connection_options
            def shared() -> None: ...

            own = parameters(operations()[self.act.method, self.act.path])
            common: list[click.Parameter] = list(reversed(shared.__click_params__))  # type: ignore[attr-defined]
            self.params = [*own, *common, language_option()]
            self._has_options = True
        show_options(self.params)
        return super().get_params(ctx)

    def _run(self, **given: Any) -> None:
        from gateway.cli.options import body_of, fill_path, query_of

        operation = operations()[self.act.method, self.act.path]
        path, query, body = fill_path(operation, given), query_of(operation, given), body_of(operation, given)
        raw, media_type = None if body is None else encode_json(body), "application/json"
        if given.get("file") is not None:
            raw, media_type = render_upload(operation, given["file"])
        send(operation.method, path, given, query=query, body=raw, media_type=media_type)


def send(method: str, path: str, given: Mapping[str, Any], **call: Any) -> None:
    """Call the operation, write down who did it here, and show the answer."""
    with connected(given) as client:
        outcome = "failed"
        try:
            reply = client.call(method, path, **call)
            outcome = "done"
        finally:
            if method != "GET" and given["gateway_url"] is None:
                record(given["data"], "COMMAND", outcome, (f"{method} {path}",))
    show(reply, as_json=given["as_json"], out=given["out"])


def show(reply: Reply, *, as_json: bool, out: Path | None) -> None:
    """An answer: into a file, as it is, or for a person."""
    if out is not None:
        out.write_bytes(reply.content)
        click.echo(_("written: {out}", out=out))
    elif reply.media_type != "application/json":
        if reply.content:
            sys.stdout.buffer.write(reply.content)
        elif not as_json:
            click.echo(_("done"))
    elif as_json:
        click.echo(encode_json(reply.value(), indent=2).decode())
    else:
        print_value(reply.value())


def render_upload(operation: Operation, file: Path) -> tuple[bytes, str]:
    """A file as the operation takes it, alone or in a form, with its media type. Raises ValueError for a name that no header can hold."""
    import aiohttp

    from serving.api.operations import MultipartForm

    if not isinstance(operation.body, MultipartForm):
        return file.read_bytes(), operation.body.media_type
    form = aiohttp.FormData()
    kind = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    form.add_field("file", file.read_bytes(), filename=file.name, content_type=kind)
    writer = form()
    return asyncio.run(writer.as_bytes()), writer.content_type


@click.command(help="Call any operation of the admin API: METHOD PATH, below /api/v1.")
@click.argument("method", type=click.Choice(["GET", "POST", "PUT", "PATCH", "DELETE"], case_sensitive=False))
@click.argument("path")
@click.option("--body", help="JSON, or @FILE")
@click.option("--query", "pairs", multiple=True, help="name=value; repeat")
@click.option("--media-type", default="application/json", show_default=True)
@connection_options
@report_errors
def api(
    method: str, path: str, body: str | None, pairs: tuple[str, ...], media_type: str, **given: Any
) -> None:
    """Call any operation of the admin API by method and path, and print its answer."""
    raw: bytes | None = None
    if body is not None:
        raw = Path(body[1:]).read_bytes() if body.startswith("@") else body.encode()
    query = dict(pair.partition("=")[::2] for pair in pairs)
    path = "/" + path.removeprefix("/api/v1").lstrip("/")
    send(method.upper(), path, given, query=query, body=raw, media_type=media_type)


def add_actions(main: click.Group) -> None:
    """Every row of the table as a command of its group, which is made when there is none."""
    for act in ACTS:
        group = main.commands.get(act.group)
        if group is None:
            group = click.Group(act.group, help=GROUPS[act.group].message)
            main.add_command(group)
        if not isinstance(group, click.Group) or act.name in group.commands:
            raise ValueError(_("the command {command!r} is there already", command=act.command))
        group.add_command(Action(act))
    main.add_command(api)
