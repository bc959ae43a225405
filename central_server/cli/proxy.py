"""The commands ``central-server proxy``: publish another federation's configuration again, signed anew."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from central_server.cli.folder import PIN, new_pin, read_pin, utc_now
from serving.cli.commands import report_errors
from serving.config.setting import EVERYWHERE

FOLDER = click.option(
    "--data", type=click.Path(path_type=Path), default=Path("proxy-data"), show_default=True
)


@click.group(help="Configuration proxy: publish another federation's again, proved and signed anew.")
def proxy() -> None: ...


@proxy.command(help="Make the folder: a key of its own, and the anchor for those who use this proxy.")
@FOLDER
@PIN
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
@click.option("--kind", default="rsa-2048", show_default=True)
@report_errors
def init(data: Path, pin_file: Path | None, anchor: Path, address: str, kind: str) -> None:
    from central_server.proxy.folder import OWN_ANCHOR, ProxyFolder

    folder = ProxyFolder(data)
    if folder.is_made:  # again: the anchor of what is there
        made = folder.write_anchor(utc_now())
    else:
        made = asyncio.run(folder.make(anchor.read_bytes(), address, new_pin(pin_file), kind, utc_now()))
    click.echo(f"{data / OWN_ANCHOR}\n{made.hash_text()}")


@proxy.command(help="Relay and serve until told to stop.")
@FOLDER
@PIN
@click.option("--host", default=EVERYWHERE, show_default=True)
@click.option("--port", default=80, show_default=True)
@click.option("--interval", "interval_s", default=60.0, show_default=True, help="s")
@click.option("--validity", "validity_s", default=600.0, show_default=True, help="s")
@report_errors
def serve(
    data: Path, pin_file: Path | None, host: str, port: int, interval_s: float, validity_s: float
) -> None:
    from central_server.proxy.folder import ProxyFolder
    from central_server.proxy.serving import build_app
    from serving.process import telemetry
    from serving.process.listener import serve_until_told

    telemetry.configure()
    app = build_app(ProxyFolder(data), read_pin(pin_file), interval_s=interval_s, validity_s=validity_s)
    serve_until_told(app, host, port, setting="--port")
