"""The key pair a server shows to administrators: made at the first start, kept in two files, replaceable by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from certs.edges.tokenfiles import write_whole
from certs.remotetls import RemoteTlsKey
from certs.tls import TlsCredentials, system_server_context
from serving.selfsigned import self_signed

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from certs.tls import TlsPrivateKey


def load_or_make_credentials(folder: Path, name: str, address: str) -> TlsCredentials:
    """``NAME.key`` and ``NAME.pem`` of a folder; made, self-signed for ``address``, when they are not there."""
    key_file, chain_file = folder / f"{name}.key", folder / f"{name}.pem"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not key_file.exists() or not chain_file.exists():
        save_credentials(folder, name, TlsCredentials(*self_signed(address)))
    key = serialization.load_pem_private_key(key_file.read_bytes(), None)
    chain = tuple(x509.load_pem_x509_certificates(chain_file.read_bytes()))
    return TlsCredentials(cast("TlsPrivateKey", key), chain)


def load_or_make_context(folder: Path, name: str, address: str) -> ssl.SSLContext:
    """A server's TLS context with the credentials of a folder."""
    return system_server_context(load_or_make_credentials(folder, name, address))


def save_credentials(folder: Path, name: str, credentials: TlsCredentials) -> None:
    """Keep a key pair; the certificate goes last, so that a crash leaves a pair that is made anew."""
    key = credentials.private_key
    if isinstance(key, RemoteTlsKey):
        raise TypeError("a key that never leaves its token cannot be written to a file")
    (folder / f"{name}.pem").unlink(missing_ok=True)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_whole(folder / f"{name}.key", private)
    chain = b"".join(c.public_bytes(serialization.Encoding.PEM) for c in credentials.chain)
    write_whole(folder / f"{name}.pem", chain, mode=0o644)
