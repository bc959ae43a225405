"""The commands ``central-server proxy``: publish another federation's configuration again, signed anew."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from central_server.cli.folder import PIN, SETTINGS, new_pin, read_pin, utc_now
from certs.tokens.port import SOFTWARE_TOKEN_ID, TokenType
from serving.cli.commands import report_errors
from serving.config.setting import EVERYWHERE

if TYPE_CHECKING:
    from central_server.proxy.folder import ProxyFolder
    from schemas.globalconf.anchor import Anchor

FOLDER = click.option(
    "--data", type=click.Path(path_type=Path), default=Path("proxy-data"), show_default=True
)


@click.group(help="Configuration proxy: publish another federation's again, proved and signed anew.")
def proxy() -> None: ...


@proxy.command(help="Make the folder: a key of its own, and the anchor for those who use this proxy.")
@FOLDER
@PIN
@SETTINGS
@click.option(
    "--anchor",
    type=click.Path(path_type=Path, exists=True),
    required=True,
    help="the anchor of the configuration that is relayed",
)
@click.option(
    "--address",
    required=True,
    help="where it is reached: HOST[:PORT]",
)
@click.option("--name", default="", help="path it is served below, where several share an address")
@click.option(
    "--token",
    default=SOFTWARE_TOKEN_ID,
    show_default=True,
    help="token of the settings that its key is made on",
)
@click.option("--kind", default="rsa-2048", show_default=True)
@report_errors
def init(
    data: Path,
    pin_file: Path | None,
    settings: Path | None,
    anchor: Path,
    address: str,
    name: str,
    token: str,
    kind: str,
) -> None:
    from central_server.proxy.folder import OWN_ANCHOR

    made = asyncio.run(_make(data, settings, token, anchor.read_bytes(), address, name, kind, pin_file))
    click.echo(f"{data / OWN_ANCHOR}\n{made.hash_text()}")


async def _make(
    data: Path,
    settings: Path | None,
    token: str,
    anchor: bytes,
    address: str,
    name: str,
    kind: str,
    pin_file: Path | None,
) -> Anchor:
    from central_server.proxy.serving import running_signers

    folder = _folder(data, settings, token)
    if folder.is_made:  # again: the anchor of what is there
        return folder.write_anchor(utc_now())
    folder.begin(anchor)
    async with running_signers(folder):
        return await folder.make(address, lambda: new_pin(pin_file), kind, utc_now(), name)


def _folder(data: Path, settings: Path | None, token: str | None = None) -> ProxyFolder:
    from central_server import config
    from central_server.proxy.folder import ProxyFolder

    keys = config.load(settings, os.environ).keys
    arguments = [] if settings is None else ["--settings", str(settings)]
    return ProxyFolder(data, keys, token, arguments)


@proxy.command(
    help="Relay and serve until told to stop. Several are served on one address by several --data, each made with a name."
)
@click.option(
    "--data",
    "folders",
    type=click.Path(path_type=Path),
    multiple=True,
    default=[Path("proxy-data")],
    show_default=True,
)
@PIN
@SETTINGS
@click.option("--host", default=EVERYWHERE, show_default=True)
@click.option("--port", default=80, show_default=True)
@click.option("--interval", "interval_s", default=60.0, show_default=True, help="s")
@click.option("--validity", "validity_s", default=600.0, show_default=True, help="s")
@report_errors
def serve(
    folders: tuple[Path, ...],
    pin_file: Path | None,
    settings: Path | None,
    host: str,
    port: int,
    interval_s: float,
    validity_s: float,
) -> None:
    from central_server.proxy.serving import build_app
    from serving.process import telemetry
    from serving.process.listener import serve_until_signal

    opened = [_folder(data, settings) for data in folders]
    pins: list[str] = []

    def pin() -> str:
        """Asked once, and only where a software token is there to be opened."""
        if not pins:
            pins.append(read_pin(pin_file))
        return pins[0]

    if any(folder.device.type is TokenType.SOFTWARE for folder in opened):
        pin()  # before there is a loop: it may be asked of a person
    app = build_app(opened, pin, interval_s=interval_s, validity_s=validity_s)
    telemetry.configure()
    serve_until_signal(app, host, port, setting="--port")
