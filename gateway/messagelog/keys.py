"""The keys of a message log: in one sealed file beside the log, never inside it (`gateway.messagelog.keyplaces`).

``keys.json`` holds the `KeyTree`s, sealed (AES-256-GCM) by a secret of the software token or, where ``log.secret`` is set, by
that secret through argon2id. It is written whole or not at all. A copy of the log's database and bodies without this file is
unreadable, and once a key is destroyed here no copy of theirs can be read again: keep copies of *this* file only where they
can be destroyed too.

The running gateway and a command may both change the file: changes are made under a lock, on what is on the disk then, and
whoever reads looks first whether the file is another one now.
"""

from __future__ import annotations

import base64
import contextlib
import secrets
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec
from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway.messagelog.keyplaces import keys_of
from gateway.messagelog.keytree import Destroyed, KeyTree, new_tree, parse_trees, render_trees
from gateway.messagelog.sealing import KEY_BYTES, NONCE_BYTES
from schemas.faults import Fault, Kind
from schemas.jsontext import decode_json, encode_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from gateway.messagelog.keyplaces import KeyPlace

TOKEN_PURPOSE = "message log"  # a name
_LABEL = b"message log keys 1"
_MEMORY_KIB = 32 * 1024
_PASSES = 2
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class KeySecret:
    """The secret that seals the key file: one of the software token, or one of the operator's (``by`` says which)."""

    by: str
    value: bytes

    @classmethod
    def of_token(cls, secret: bytes) -> KeySecret:
        """The token's secret for `TOKEN_PURPOSE`."""
        return cls("token", secret)

    @classmethod
    def of_operator(cls, secret: str) -> KeySecret:
        """The secret that ``log.secret`` leads to."""
        return cls("secret", secret.encode())

    def key(self, salt: bytes) -> bytes:
        """The key that seals the file: the token's secret itself, or one made of the operator's by Argon2id."""
        if self.by == "token":
            return self.value
        return hash_secret_raw(self.value, salt, _PASSES, _MEMORY_KIB, 1, KEY_BYTES, Type.ID)


class _KeyFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    sealed_by: str
    salt: str
    trees: str


class LogKeys:
    """The keys of one log. Closed until `open`."""

    def __init__(self, where: Path | KeyPlace, *, period: timedelta = timedelta(days=30)) -> None:
        self._place = keys_of(where)
        self._period = period
        self._lock = threading.RLock()
        self._sealed_by = ""
        self._salt = b""
        self._key: bytes | None = None
        self._trees: tuple[KeyTree, ...] = ()
        self._seen: object = None

    @property
    def exist(self) -> bool:
        """Whether there is a key file."""
        return self._place.mark() is not None

    @property
    def is_open(self) -> bool:
        """Whether keys can be had."""
        return self._key is not None

    def open(self, secret: KeySecret, *, may_make: bool) -> None:
        """Open the key file; make one if there is none and ``may_make``. Raises `Fault`, and then nothing is open."""
        with self._lock, self._place.locked():
            if not self.exist:
                if not may_make:
                    raise Fault(
                        Kind.LOGGING_FAILED,
                        f"{self._place} is missing, and the message log holds records sealed by it; bring it back, or put the "
                        "log's folder aside to begin a new one. Nothing is logged or sent until then",
                    )
                self._make(secret)
            stored = _read(self._place)
            if stored.sealed_by != secret.by:
                raise Fault(
                    Kind.LOGGING_FAILED,
                    f"the message log's keys in {self._place} are sealed by {_named(stored.sealed_by)}, and "
                    f"{_named(secret.by)} was given; set or unset log.secret, or change what seals them: gateway log rekey",
                )
            key = secret.key(base64.b64decode(stored.salt))
            self._take(stored, key)
            self._key, self._sealed_by, self._salt = key, stored.sealed_by, base64.b64decode(stored.salt)

    def check_open(self) -> None:
        """Refuse while keys cannot be had. Raises `Fault`."""
        if self._key is None:
            raise Fault(
                Kind.LOGGING_FAILED,
                "the message log is closed: its keys open once the software token is logged in (or with log.secret); "
                "nothing is logged or sent until then",
            )

    def close(self) -> None:
        """Forget every key that is in memory."""
        with self._lock:
            self._key, self._trees, self._seen = None, (), None
            self._place.close()

    def record_key(self, record_id: int) -> bytes:
        """The key of a record. Raises `Destroyed`, or `Fault` while the keys are closed."""
        return self.record_keys([record_id])[0]

    def record_keys(self, record_ids: Sequence[int]) -> list[bytes]:
        """The keys of records, of one look at the file. Raises `Destroyed` for the first that has none, `Fault` as `record_key`."""
        with self._lock:
            self._refresh()
            return [self._known_key(record_id) for record_id in record_ids]

    def _known_key(self, record_id: int) -> bytes:
        for tree in reversed(self._trees):
            if tree.first <= record_id < tree.end:
                return tree.key(record_id)
        raise Destroyed(record_id)

    def new_keys(self, record_id: int, moments: Sequence[datetime]) -> list[bytes]:
        """Keys for records that are to be written, from a number on, each at its moment. Raises `Fault`."""
        with self._lock:
            self._refresh()
            found = []
            for number, now in enumerate(moments, record_id):
                if not self._trees or not self._serves(self._trees[-1], number, now):
                    self.prepare(number, now)
                found.append(self._trees[-1].key(number))
        return found

    def known_keys(
        self, record_id: int, moments: Sequence[datetime], mark: object = None
    ) -> list[bytes] | None:
        """The keys that `new_keys` gives, if they can be had at once: without a lock to wait for and without a file to read or write.

        ``mark`` is that of the file as it is now, where the caller has it.
        """
        if not self._lock.acquire(blocking=False):
            return None
        try:
            is_current = self._is_current() if mark is None else mark == self._seen
            if self._key is None or not self._trees or not is_current:
                return None
            tree = self._trees[-1]
            if not all(self._serves(tree, number, now) for number, now in enumerate(moments, record_id)):
                return None
            return [tree.key(number) for number in range(record_id, record_id + len(moments))]
        except Destroyed:
            return None
        finally:
            self._lock.release()

    def prepare(self, record_id: int, now: datetime) -> None:
        """Have a key for a record that is to be written: a new tree begins when the last one is full or its period over."""
        with self._lock:
            self._refresh()
            if self._trees and self._serves(self._trees[-1], record_id, now):
                return
            with self._changing() as trees:
                if not trees or not self._serves(trees[-1], record_id, now):
                    trees.append(new_tree(record_id, now, secrets.token_bytes(KEY_BYTES)))

    def retire(self) -> None:
        """Let the next record have a key of a new tree, whatever the last one's age."""
        with self._lock, self._changing() as trees:
            trees[-1:] = [replace(tree, made_at=_LONG_AGO) for tree in trees[-1:]]

    def destroy(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Destroy the keys of records; it is on the disk when this returns. What is destroyed already stays so."""
        with self._lock, self._changing() as trees:
            trees[:] = [
                tree.without([(low, min(high, end - 1)) for low, high in ranges if low < end])
                for tree, end in zip(trees, _ends(trees), strict=True)
            ]

    def reseal(self, secret: KeySecret) -> None:
        """Let the file open with another secret from now on."""
        with self._lock, self._changing():
            self._salt = secrets.token_bytes(16)
            self._key, self._sealed_by = secret.key(self._salt), secret.by

    def _serves(self, tree: KeyTree, record_id: int, now: datetime) -> bool:
        return tree.first <= record_id < tree.end and now - tree.made_at < self._period

    @contextlib.contextmanager
    def _changing(self) -> Iterator[list[KeyTree]]:
        with self._place.locked():
            self._refresh()
            trees = list(self._trees)
            yield trees
            self._write(trees)

    def _refresh(self) -> None:
        """Take the file again if another process wrote it. Raises `Fault` when it is gone or opens no more."""
        self.check_open()
        try:
            found = self._place.mark()
        except OSError as err:
            raise Fault(
                Kind.LOGGING_FAILED,
                "the message log's keys cannot be reached; nothing is logged or sent",
            ) from err
        if found is None:
            raise Fault(
                Kind.LOGGING_FAILED,
                f"the message log's keys are gone: {self._place} is missing; nothing is logged or sent",
            )
        if found != self._seen:
            self._take(_read(self._place), self._key or b"")

    def _is_current(self) -> bool:
        """Whether the file is the one that was read."""
        try:
            return self._place.is_near and self._place.mark() == self._seen
        except OSError:
            return False

    def _take(self, stored: _KeyFile, key: bytes) -> None:
        found = self._place.mark()
        self._trees = parse_trees(_unsealed(stored, key, self._place))
        self._seen = found

    def _make(self, secret: KeySecret) -> None:
        self._salt, self._sealed_by = secrets.token_bytes(16), secret.by
        self._key = secret.key(self._salt)
        self._write([])

    def _write(self, trees: Sequence[KeyTree]) -> None:
        assert self._key is not None  # only what is open is written
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = nonce + AESGCM(self._key).encrypt(nonce, render_trees(trees), _LABEL)
        stored = _KeyFile(1, self._sealed_by, _text(self._salt), _text(sealed))
        self._place.write(encode_json(stored))
        self._take(stored, self._key)


def _ends(trees: Sequence[KeyTree]) -> list[int]:
    """The number of the record behind each tree's last: the first of the next tree."""
    return [after.first for after in trees[1:]] + [1 << 62 for _ in trees[-1:]]


def _read(place: KeyPlace) -> _KeyFile:
    try:
        stored = decode_json(place.read(), _KeyFile)
    except (OSError, ValueError) as err:  # `msgspec.DecodeError` is a ValueError
        raise Fault(
            Kind.LOGGING_FAILED,
            f"the message log's keys in {place} cannot be read: {err}; restore the file from a backup: without it "
            "nothing that the log holds can be read",
        ) from err
    if stored.version != 1:
        raise Fault(Kind.LOGGING_FAILED, f"{place} is of version {stored.version}; version 1 was expected")
    return stored


def _unsealed(stored: _KeyFile, key: bytes, place: KeyPlace) -> bytes:
    try:
        sealed = base64.b64decode(stored.trees)
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _LABEL)
    except (InvalidTag, ValueError):
        raise Fault(
            Kind.LOGGING_FAILED,
            f"the message log's keys in {place} do not open: {_named(stored.sealed_by)} is another than the one they were "
            "sealed with, or the file was altered. Nothing is logged or sent until they do",
        ) from None


def _named(sealed_by: str) -> str:
    return "the software token" if sealed_by == "token" else "log.secret"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
