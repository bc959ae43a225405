"""Private keys that are not on a token: in sealed files, never in clear.

A `KeySafe` has the seals that are at hand: of a secret that the settings name, and of the software token once it was
unlocked. The first one closes; a file says by which it was closed and is closed anew when that is not the first. What
holds no seal yet (a server before its initialisation, or whose token waits for a person) keeps its keys in memory until
one is given, and whoever subscribed is told then.

Spec: docs/decisions/0019-sealed-listener-keys.md.
"""

from __future__ import annotations

import base64
import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import serialization

from certs.edges.tokenfiles import sync_folder, write_whole
from certs.sealing import open_sealed, seal, stretch
from schemas.jsontext import dump_json, load_json
from serving.config.secret import SecretSource
from serving.config.setting import Setting
from serving.errors import OperatorError
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

SUFFIX = ".key.json"
TOKEN_PURPOSE = "sacbe sealed files"  # what the token derives the key for
_WHERE = N_("log in to the software token, or name a secret in the settings (seal.secret)")


class SealSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Secrets that close the keys of this server's own TLS listeners and of its backups on disk."""

    # fmt: off
    # Without one the software token closes them, and they can be used once it is logged in.
    secret: Annotated[SecretSource, Setting(help="Where the secret is that seals TLS keys and the key of backups; empty: the token seals them.")] = SecretSource()
    # The secret before this one: what it closed is opened with it and closed anew.
    previous: Annotated[SecretSource, Setting(help="Where the secret before it is, while it changes.")] = SecretSource()
    # fmt: on

    def seals(self, environ: Mapping[str, str]) -> tuple[Seal, ...]:
        """The seals of the secrets that are named. Raises ValueError when one cannot be had."""
        return tuple(Seal.of_secret(s.read(environ)) for s in (self.secret, self.previous) if s.is_set)


class NotAtHand(OperatorError):
    """The seal that closes or opens a file is not at hand; the text says how to have it."""


@dataclass(frozen=True, slots=True)
class Seal:
    """A way to close files: ``by`` says of what it was made. Its material is a secret."""

    by: str
    material: bytes

    @classmethod
    def of_secret(cls, secret: str) -> Seal:
        """The seal of a secret that people or machines keep; at least eight characters. Raises ValueError."""
        if len(secret) < 8:
            raise OperatorError(N_("a secret that seals keys has at least eight characters"))
        return cls("secret", secret.encode("utf-8"))

    @classmethod
    def of_token(cls, key: bytes) -> Seal:
        """The seal of a key that the software token derived for `TOKEN_PURPOSE`."""
        return cls("token", key)

    def key(self, salt: bytes) -> bytes:
        """The key of 32 bytes that closes one file with this salt."""
        return stretch(self.material.decode("utf-8"), salt) if self.by == "secret" else self.material


class KeySafe:
    """Writes and reads sealed private keys with the seals at hand; those of secrets come before the token's."""

    def __init__(self, seals: tuple[Seal, ...] = ()) -> None:
        self._seals = seals
        self._subscribers: list[Callable[[], None]] = []

    @property
    def can_seal(self) -> bool:
        """Whether any seal is at hand."""
        return bool(self._seals)

    def give(self, given: Seal) -> None:
        """Have the token's seal at hand from now on."""
        if given not in self._seals:
            self._seals = (*(s for s in self._seals if s.by != given.by), given)
            for subscriber in self._subscribers:
                subscriber()

    def subscribe(self, subscriber: Callable[[], None]) -> None:
        """Call ``subscriber`` when a seal is given."""
        self._subscribers.append(subscriber)

    def write(self, path: Path, key: PrivateKeyTypes) -> None:
        """Keep a key, closed by the first seal. Raises `NotAtHand`."""
        if not self._seals:
            raise NotAtHand(N_("the key {path} cannot be sealed: {where}", path=path, where=_WHERE))
        chosen, salt = self._seals[0], secrets.token_bytes(16)
        clear = key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        closed = seal(chosen.key(salt), clear, path.name.encode())
        record = {"sealed_by": chosen.by, "salt": _text(salt), "sealed": _text(closed)}
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # On disk when this returns: the sealed key, in place of the one before; never a part of it.
        write_whole(path, dump_json(record, indent=1).encode())

    def read(self, path: Path) -> PrivateKeyTypes:
        """A key that was kept. Raises `NotAtHand`, or ValueError when it does not open."""
        by, salt, closed = _record(path)
        fitting = [s for s in self._seals if s.by == by]
        if not fitting:
            how = N_("log in to it") if by == "token" else N_("name it in the settings (seal.secret)")
            raise NotAtHand(
                N_(
                    "the key {path} is sealed by the {by}, which is not at hand: {how}",
                    path=path,
                    by=_BY[by],
                    how=how,
                )
            )
        for number, tried in enumerate(fitting):
            try:
                clear = open_sealed(tried.key(salt), closed, path.name.encode())
            except InvalidTag:
                continue
            key = serialization.load_der_private_key(clear, None)
            if number or fitting[0] is not self._seals[0]:
                self.write(path, key)
            return key
        raise OperatorError(
            N_(
                "the key {path} does not open: it was sealed by another {by}, or is damaged; put the earlier one back (seal.previous), or remove the file and a new key is made",
                path=path,
                by=_BY[by],
            )
        )


_BY = {"token": N_("software token"), "secret": N_("secret")}


def _record(path: Path) -> tuple[str, bytes, bytes]:
    try:
        record = load_json(path.read_bytes())
        by, salt, closed = record["sealed_by"], record["salt"], record["sealed"]
        if by in _BY:
            return by, base64.b64decode(salt, validate=True), base64.b64decode(closed, validate=True)
    except (ValueError, KeyError, TypeError) as err:
        raise OperatorError(
            N_(
                "{path} is no sealed key: {err}; restore it from a backup, or remove it: a new key is made then",
                path=path,
                err=err,
            )
        ) from err
    raise OperatorError(
        N_("{path} is sealed by {by!r}; 'token' and 'secret' are understood", path=path, by=by)
    )


def holds_clear_key(data: bytes) -> bool:
    """Whether a file's content is a private key (PEM) that nothing seals."""
    return b"PRIVATE KEY-----" in data and b"ENCRYPTED" not in data


def shred(path: Path) -> None:
    """Overwrite a file and remove it. Copies that the disk or a snapshot keeps are out of reach."""
    with path.open("r+b") as file:
        file.write(os.urandom(path.stat().st_size))
        file.flush()
        os.fsync(file.fileno())
    # On disk now: noise under the name. A crash here leaves a file that is no key, for which whoever shreds looks again.
    path.unlink()
    sync_folder(path.parent)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
