"""The key pair that a server shows on one of its own listeners: made at the first start, kept with its key sealed.

``NAME.key.json`` is the sealed key and ``NAME.pem`` the certificate with its issuers. An operator replaces the pair by
putting ``NAME.key`` (PEM) and ``NAME.pem`` there: the key is sealed at the next start, and the clear file overwritten and
removed. A clear file that an earlier version left goes the same way.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from certs.edges.tokenfiles import write_whole
from certs.remotetls import RemoteTlsKey
from certs.tls import TlsCredentials, system_server_context
from serving.errors import OperatorError
from serving.language import N_
from serving.storage.keysafe import SUFFIX, NotAtHand, holds_clear_key, shred
from serving.storage.selfsigned import self_signed

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from certs.tls import TlsPrivateKey
    from serving.storage.keysafe import KeySafe

log = logging.getLogger("tls")


class KeptCredentials:
    """One key pair, in memory and, once a seal is at hand, on disk. ``make`` gives one when there is none."""

    def __init__(
        self,
        folder: Path,
        name: str,
        safe: KeySafe,
        make: Callable[[], TlsCredentials],
        passphrase: str | None = None,
    ) -> None:
        self._name = name
        self._clear = folder / f"{name}.key"
        self._sealed = folder / f"{name}{SUFFIX}"
        self._chain = folder / f"{name}.pem"
        self._safe = safe
        self._passphrase = passphrase
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found, waits = None, False
        try:
            found = self._load()
        except NotAtHand as err:
            self._report(str(err))
            waits = True
        self.current = found or make()
        # Whether what is shown is on disk too.
        self.is_kept = found is not None
        if found is None and not waits:
            self._keep_if_possible()

    def settle(self) -> bool:
        """Show what is on disk, or put there what is shown as far as a seal is at hand; whether it shows another now.

        Raises ValueError when what is there cannot be used.
        """
        before = self.current
        if self.is_kept and not self._clear.exists() and self._is_unchanged():
            return False
        try:
            found = self._load()
        except NotAtHand:
            return False  # said when it was found
        if found is not None:
            self.current, self.is_kept = found, True
        else:
            self._keep_if_possible()
        return self.current.chain != before.chain

    def save(self, credentials: TlsCredentials) -> None:
        """Keep and show a key pair. Raises `NotAtHand` when nothing can seal it."""
        key = credentials.private_key
        if isinstance(key, RemoteTlsKey):
            raise TypeError("a key that never leaves its token cannot be written to a file")
        if not self._safe.can_seal:
            raise NotAtHand(
                N_(
                    "the TLS key {name!r} cannot be kept: log in to the software token, or name a secret in the settings (seal.secret)",
                    name=self._name,
                )
            )
        # On disk from here: no certificate. A crash before the last line leaves a pair that is made anew.
        self._chain.unlink(missing_ok=True)
        self._safe.write(self._sealed, key)
        if self._clear.exists():
            shred(self._clear)
        self.save_chain(credentials.chain)
        self.current, self.is_kept = credentials, True

    def save_chain(self, chain: tuple[x509.Certificate, ...]) -> None:
        """Show other certificates for the same key. Raises `NotAtHand` when the key is in memory alone."""
        if not (self._sealed.exists() or self._clear.exists()):
            raise NotAtHand(
                N_("the TLS key {name!r} is in memory only; {name}.pem would not outlive it", name=self._name)
            )
        # On disk from here on: this chain, for the key that is there already.
        write_whole(self._chain, _pem(chain))

    def _is_unchanged(self) -> bool:
        """Whether the certificates on disk are those shown; then the key is the same too."""
        return self._chain.exists() and self._chain.read_bytes() == _pem(self.current.chain)

    def _keep_if_possible(self) -> None:
        if self._safe.can_seal:
            self.save(self.current)
        else:
            self._report("it is in memory only and another one after the next start, for no seal is at hand")

    def _load(self) -> TlsCredentials | None:
        """The pair on disk; None when there is none."""
        if not self._chain.exists():
            return None
        try:
            chain = tuple(x509.load_pem_x509_certificates(self._chain.read_bytes()))
        except ValueError as err:
            raise OperatorError(
                N_(
                    "{chain} holds no certificates that can be read ({err}); restore it from a backup, or remove it and {sealed}: a new pair is made then",
                    chain=self._chain,
                    err=err,
                    sealed=self._sealed,
                )
            ) from err
        if self._clear.exists():
            key = self._take_in(chain)
        elif self._sealed.exists():
            key = self._safe.read(self._sealed)
        else:
            return None
        if key.public_key() != chain[0].public_key():
            raise OperatorError(
                N_("{chain} is no certificate of the key in {sealed}", chain=self._chain, sealed=self._sealed)
            )
        return TlsCredentials(cast("TlsPrivateKey", key), chain)

    def _take_in(self, chain: tuple[x509.Certificate, ...]) -> PrivateKeyTypes:
        """A key that lies there as PEM: sealed, and the file removed, as soon as that is possible."""
        raw = self._clear.read_bytes()
        try:
            password = None if holds_clear_key(raw) or self._passphrase is None else self._passphrase.encode()
            key = serialization.load_pem_private_key(raw, password)
        except (TypeError, ValueError) as err:
            raise OperatorError(
                N_("the TLS key {clear} cannot be opened: {err}", clear=self._clear, err=err)
            ) from err
        if key.public_key() != chain[0].public_key():
            raise OperatorError(
                N_("{chain} is no certificate of the key in {clear}", chain=self._chain, clear=self._clear)
            )
        if self._safe.can_seal:
            # On disk from here: the key twice, sealed and clear. A crash leaves both, and the next start does this again.
            self._safe.write(self._sealed, key)
            shred(self._clear)
        else:
            self._report(f"{self._clear} is in clear until a seal is at hand")
        return key

    def _report(self, reason: str) -> None:
        log.warning(
            "TLS key not sealed on disk", extra={"event": "tls_key", "key": self._name, "reason": reason}
        )


def _pem(chain: tuple[x509.Certificate, ...]) -> bytes:
    return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in chain)


def kept_context(folder: Path, name: str, address: str, safe: KeySafe) -> ssl.SSLContext:
    """A server's TLS context with the pair of a folder; made, self-signed for ``address``, when there is none."""
    kept = KeptCredentials(folder, name, safe, lambda: TlsCredentials(*self_signed(address)))
    return system_server_context(kept.current)
