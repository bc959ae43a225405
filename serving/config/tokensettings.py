"""Settings of tokens: which there are, where their PINs are, and where the processes that hold their keys listen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from certs.tokens.port import SOFTWARE_TOKEN_ID
from serving.config.secret import SecretSource
from serving.config.setting import Setting


class TokenSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One token: the software token has the id 0; every other is a PKCS#11 token under an id of the operator's choice."""

    id: str
    # The PKCS#11 module's file; empty for the software token.
    module: str = ""
    # Which token of the module: its label, or its serial number too.
    label: str = ""
    serial: str = ""
    # Where the PIN is, to log in without a person; unset waits for a login.
    pin: SecretSource = SecretSource()
    # The software token's keys in a process of their own; a PKCS#11 token always has one.
    own_process: bool = False
    # Environment variables that the module wants.
    environment: dict[str, str] = {}
    # How many processes share the token, where the module allows it.
    processes: int = 1

    @property
    def is_remote(self) -> bool:
        """Whether its keys are in another process."""
        return bool(self.module) or self.own_process


class TokenKeeping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The tokens of a server."""

    # fmt: off
    # Tokens besides, or instead of, the software token as it is by default.
    tokens: Annotated[tuple[TokenSettings, ...], Setting(help="Tokens besides the software token.")] = ()
    # Whether the server starts the processes that hold tokens, or finds them started (its command `signer`).
    start_signers: Annotated[bool, Setting(help="Whether the server starts the processes that hold tokens.")] = True
    signer_patience_s: Annotated[float, Setting(help="How long a signature waits for its key's process to come back.", low=0, high=600)] = 15.0
    socket_folder: Annotated[str, Setting(help="Folder of those processes' sockets; empty: the data folder.")] = ""
    # fmt: on

    def all_tokens(self) -> tuple[TokenSettings, ...]:
        """Every token, the software token always among them."""
        named = any(t.id == SOFTWARE_TOKEN_ID for t in self.tokens)
        return self.tokens if named else (TokenSettings(id=SOFTWARE_TOKEN_ID), *self.tokens)

    def token(self, token_id: str) -> TokenSettings:
        """The settings of one token. Raises LookupError."""
        found = next((t for t in self.all_tokens() if t.id == token_id), None)
        if found is None:
            known = ", ".join(t.id for t in self.all_tokens())
            raise LookupError(f"the settings name no token {token_id!r}; they name {known}")
        return found

    def sockets(self, data: Path, token: TokenSettings) -> tuple[Path, ...]:
        """The sockets of a token's processes."""
        folder = Path(self.socket_folder) if self.socket_folder else data
        return tuple(folder / f"signer-{token.id}-{n}.sock" for n in range(token.processes))
