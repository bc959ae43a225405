"""The command ``signer`` of both servers: the process that holds one token's keys."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from schemas.faults import Fault
from serving.cli.commands import report_errors
from serving.cli.serverfolder import ServerFolders
from serving.process.parent import end_with_parent

if TYPE_CHECKING:
    from collections.abc import Callable

    from certs.edges.signer import SignerToken
    from serving.config.tokensettings import TokenSettings, TokensSection

_PR_SET_DUMPABLE = 4


def signer_command(
    folders: ServerFolders, load: Callable[[Path | None], tuple[TokensSection, str]]
) -> click.Command:
    """The command of one kind of server; ``load`` reads the settings of tokens, and the log level, of a file."""

    @click.command(
        name="signer",
        help="Hold one token's keys and sign digests over a Unix socket; the server finds it there.\n\nA server starts these itself. To run one under another user set keys.start_signers = false.",
    )
    @folders.option()
    @click.option("--pin-file", type=click.Path(path_type=Path))
    @click.option("--settings", "settings_file", type=click.Path(path_type=Path, exists=True))
    @click.option("--token", "token_id", default="0", show_default=True)
    @click.option("--number", default=0, show_default=True)
    @click.option("--child", is_flag=True, hidden=True)
    @report_errors
    def signer(
        data: Path,
        pin_file: Path | None,
        settings_file: Path | None,
        token_id: str,
        number: int,
        child: bool,
    ) -> None:
        keys, log_level = load(settings_file)
        _protect(child=child)
        sys.exit(_hold(data, keys, keys.token(token_id), number, pin_file, log_level))

    return signer


def _hold(
    data: Path, keys: TokensSection, token: TokenSettings, number: int, pin_file: Path | None, log_level: str
) -> int:
    from certs.edges.signer import SignerServer, is_lost
    from serving.config.secret import SecretSource
    from serving.process import telemetry

    telemetry.configure(log_level)
    # The software token's PIN is never tried on another token: wrong tries lock it.
    fallback = SecretSource() if token.module else SecretSource(file=str(pin_file or ""))
    source = token.pin if token.pin.is_set else fallback
    try:
        opened = open_signer_token(data, token)
        if source.is_set:
            opened.unlock(source.read(os.environ))
        elif not token.module and "SACBE_PIN" in os.environ:
            opened.unlock(os.environ["SACBE_PIN"])
    except Fault as fault:
        if is_lost(fault):
            click.echo(fault.detail, err=True)
            return 3
        raise
    server = SignerServer(opened, keys.sockets(data, token)[number])

    async def run() -> int:
        stop = asyncio.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        return await server.run(stop)

    return asyncio.run(run())


def open_signer_token(data: Path, token: TokenSettings) -> SignerToken:
    """The token as this process holds it. Raises `TokenFailed`."""
    if token.module:
        os.environ.update(token.environment)  # before the module is loaded, which reads it
        from certs.edges.signer import HardSignerToken
        from certs.tokens.hardware import HardToken, HardTokenPlace, HardTokenUse

        place = HardTokenPlace(token.module, token.label, token.serial, token.slots)
        use = HardTokenUse(
            token.read_only,
            token.pin_per_signature,
            token.mechanisms,
            token.private_attributes,
            token.public_attributes,
        )
        return HardSignerToken(HardToken(place, use))
    from certs.edges.signer import SoftSignerToken
    from certs.edges.tokenfiles import TokenFolder
    from certs.tokens.soft import SoftToken

    return SoftSignerToken(SoftToken(TokenFolder(data / "token")))


def _protect(*, child: bool) -> None:
    """No core file, no debugger of the same user, and no life after the gateway that started it (Linux)."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if child:
        end_with_parent(signal.SIGTERM)
