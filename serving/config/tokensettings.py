"""Settings of tokens: which there are, where their PINs are, and where the processes that hold their keys listen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from certs.tokens.port import KEY_MECHANISMS, PRIVATE_ATTRIBUTES, PUBLIC_ATTRIBUTES, SOFTWARE_TOKEN_ID
from serving.config.secret import SecretSource
from serving.config.setting import Setting
from serving.errors import OperatorError
from serving.language import N_, _


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
    # The module's slots that are looked into; empty: every slot.
    slots: tuple[int, ...] = ()
    # Nothing is written to the token: no key is made or destroyed on it, and its PIN stays.
    read_only: bool = False
    # A login of its own for each signature. Keys that ask for the PIN themselves (ALWAYS_AUTHENTICATE) get it in any case.
    pin_per_signature: bool = False
    # How its RSA keys sign messages, requests and configurations; X-Road's devices.ini calls it sign_mechanism.
    sign_mechanism: Literal["RSA_PKCS", "RSA_PKCS_PSS"] = "RSA_PKCS"
    # The mechanisms that keys made on the token are narrowed to (RSA_PKCS, RSA_PKCS_PSS, ECDSA); empty: as the module does.
    mechanisms: tuple[str, ...] = ()
    # Attributes of the halves of keys made on the token, by PKCS#11's names without CKA_: `{ ALWAYS_AUTHENTICATE = true }`.
    private_attributes: dict[str, bool] = {}
    public_attributes: dict[str, bool] = {}

    def __post_init__(self) -> None:
        for name, known in (
            ("mechanisms", KEY_MECHANISMS),
            ("private_attributes", PRIVATE_ATTRIBUTES),
            ("public_attributes", PUBLIC_ATTRIBUTES),
        ):
            if unknown := sorted(set(getattr(self, name)) - known):
                raise OperatorError(
                    N_(
                        "keys.tokens {token!r}: {name} names {unknown}; there are {known}",
                        token=self.id,
                        name=name,
                        unknown=", ".join(unknown),
                        known=", ".join(sorted(known)),
                    )
                )
        if self.sign_mechanism != "RSA_PKCS" and not self.module:
            raise OperatorError(
                N_(
                    "keys.tokens {token!r}: sign_mechanism is for a PKCS#11 token, and this one has no module",
                    token=self.id,
                )
            )

    @property
    def is_remote(self) -> bool:
        """Whether its keys are in another process."""
        return bool(self.module) or self.own_process


class TokensSection(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
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
            raise LookupError(
                _(
                    "the settings name no token {token_id!r}; they name {known}",
                    token_id=token_id,
                    known=known,
                )
            )
        return found

    def sockets(self, data: Path, token: TokenSettings) -> tuple[Path, ...]:
        """The sockets of a token's processes."""
        folder = Path(self.socket_folder) if self.socket_folder else data
        return tuple(folder / f"signer-{token.id}-{n}.sock" for n in range(token.processes))
