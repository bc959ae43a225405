"""The tokens the settings name, as devices: in this process, or behind processes that are started here or elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from certs.edges.devices import SoftwareDevice
from certs.edges.signerclient import RemoteDevice
from certs.edges.signerprocess import SignerProcess
from certs.edges.tokenfiles import TokenFolder
from certs.tokens.port import TokenType
from certs.tokens.soft import SoftToken
from serving.process.loops import Loop

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from certs.edges.devices import Device
    from serving.config.tokensettings import TokenSettings, TokensSection


def build_devices(keys: TokensSection, data: Path) -> list[Device]:
    """A device for every token."""
    return [build_device(keys, data, token) for token in keys.all_tokens()]


def build_device(keys: TokensSection, data: Path, token: TokenSettings) -> Device:
    """The device of one token."""
    if not token.is_remote:
        return SoftwareDevice(token.id, SoftToken(TokenFolder(data / "token")))
    kind = TokenType.HARDWARE if token.module else TokenType.SOFTWARE
    return RemoteDevice(
        token.id,
        kind,
        keys.sockets(data, token),
        patience_s=keys.signer_patience_s,
        signs_pss=token.sign_mechanism == "RSA_PKCS_PSS",
    )


def signer_loops(signers: Sequence[SignerProcess]) -> list[Loop]:
    """A loop for each process that holds a token: it is started anew whenever it ends."""

    def loop_of(number: int, signer: SignerProcess) -> Loop:
        name = f"signer {number} of token {signer.token_id}"
        return Loop(name, signer.live, lambda: signer.pause_s, needed=True, stalls=False)

    return [loop_of(number, signer) for number, signer in enumerate(signers)]


def build_signers(
    program: str, keys: TokensSection, data: Path, arguments: Sequence[str]
) -> list[SignerProcess]:
    """The processes to start, each ``python -m PROGRAM signer``; ``arguments`` say where settings and PIN are."""
    if not keys.start_signers:
        return []
    return [
        SignerProcess(
            token.id,
            program,
            ["--data", str(data), "--token", token.id, "--number", str(number), "--child", *arguments],
        )
        for token in keys.all_tokens()
        if token.is_remote
        for number in range(token.processes)
    ]
