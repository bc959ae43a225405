"""TLS contexts from keys and trust, for security servers and for calling information systems.

Facts this rests on (measured, see docs/decisions/0003-mutual-tls.md): a listening context can hand a handshake over
to another context in its ``sni_callback``, so certificates and trust change while the server runs; resumed sessions
outlive a removed CA, so there are no tickets and no session cache; a client context with ``CERT_NONE`` still gives
the server's certificate, which the sender checks in full before a byte of a message leaves.

X-Road 7 offers TLS 1.2 with three CBC suites only; they stand last here, after TLS 1.3 and GCM.

Private keys never touch the disk in clear: OpenSSL reads them from a file sealed with a passphrase that only this
process has ever known, and the file is gone before the function returns. A key in another process or in hardware
stays there: see `certs.remotetls`. Consumer systems' TLS is `certs.systemtls`.

Spec: PR-MESSTRANSP 3; RFC 8446; RFC 5246.
"""

from __future__ import annotations

import secrets
import ssl
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from certs.remotetls import RemoteTlsKey, load_remote_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

    TlsPrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | RemoteTlsKey

PEER_CIPHERS = ":".join(
    (
        "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384",
        "ECDHE-ECDSA-AES128-GCM-SHA256",
        "ECDHE-RSA-AES128-GCM-SHA256",
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        "ECDHE-RSA-CHACHA20-POLY1305",
        # X-Road's own list, in its order.
        "ECDHE-RSA-AES256-SHA384",
        "DHE-RSA-AES256-SHA256",
        "ECDHE-ECDSA-AES256-SHA384",
    )
)
SYSTEM_CIPHERS = ":".join(
    [*PEER_CIPHERS.split(":")[:6], "DHE-RSA-AES256-GCM-SHA384", "DHE-RSA-AES128-GCM-SHA256"]
)

# What no setting goes below: forward secrecy, AES or ChaCha of 128 bits and more, SHA-2.
ACCEPTED_CIPHERS = frozenset(f"{PEER_CIPHERS}:{SYSTEM_CIPHERS}".split(":"))


class TlsRules(msgspec.Struct, frozen=True):
    """The oldest protocol spoken, and the suites of TLS 1.2, best first, in OpenSSL's spelling with colons between.

    Those of TLS 1.3 are all good and not chosen among.
    """

    minimum: ssl.TLSVersion
    ciphers: str


PEER_RULES = TlsRules(ssl.TLSVersion.TLSv1_2, PEER_CIPHERS)
SYSTEM_RULES = TlsRules(ssl.TLSVersion.TLSv1_2, SYSTEM_CIPHERS)


def choose_rules(minimum: str, ciphers: Sequence[str], default: TlsRules) -> TlsRules:
    """Rules as an operator names them; no ciphers stand for the default's. Raises ValueError for anything below the floor."""
    if unknown := [name for name in ciphers if name not in ACCEPTED_CIPHERS]:
        raise ValueError(
            f"the cipher suite {unknown[0]!r} is not one that is accepted; these are: {', '.join(sorted(ACCEPTED_CIPHERS))}"
        )
    version = {"TLSv1.2": ssl.TLSVersion.TLSv1_2, "TLSv1.3": ssl.TLSVersion.TLSv1_3}.get(minimum)
    if version is None:
        raise ValueError(f"the oldest TLS version is TLSv1.2 or TLSv1.3; {minimum!r} came")
    return TlsRules(version, ":".join(ciphers) or default.ciphers)


class TlsCredentials(msgspec.Struct, frozen=True):
    """A private key with the certificates to show: leaf first, then its issuers without the root."""

    private_key: TlsPrivateKey
    chain: tuple[x509.Certificate, ...]


def load_credentials(context: ssl.SSLContext, credentials: TlsCredentials) -> None:
    """Give the context its key pair without the key ever being on disk in clear."""
    if isinstance(credentials.private_key, RemoteTlsKey):
        load_remote_key(context, credentials.private_key, credentials.chain)
        return
    passphrase = secrets.token_bytes(32)
    sealed = credentials.private_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(passphrase),
    )
    chain = b"".join(c.public_bytes(serialization.Encoding.PEM) for c in credentials.chain)
    with tempfile.TemporaryDirectory(prefix="sacbe-tls-") as folder:
        pem = Path(folder, "pair.pem")
        pem.touch(mode=0o600)
        pem.write_bytes(sealed + chain)
        context.load_cert_chain(pem, password=passphrase)


def peer_server_context(
    credentials: TlsCredentials | None, trusted: Iterable[x509.Certificate], rules: TlsRules = PEER_RULES
) -> ssl.SSLContext:
    """A context that requires a client certificate below one of the ``trusted`` CAs (tops and intermediates)."""
    context = _context(ssl.PROTOCOL_TLS_SERVER, rules)
    context.verify_mode = ssl.CERT_REQUIRED
    _trust(context, trusted)
    if credentials is not None:
        load_credentials(context, credentials)
    return context


def peer_client_context(credentials: TlsCredentials, rules: TlsRules = PEER_RULES) -> ssl.SSLContext:
    """A context for calling security servers. It accepts any certificate: the caller checks the peer in full."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, rules)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    load_credentials(context, credentials)
    return context


def system_server_context(
    credentials: TlsCredentials,
    client_certificates: Iterable[x509.Certificate] = (),
    rules: TlsRules = SYSTEM_RULES,
) -> ssl.SSLContext:
    """A context for people and systems: a client certificate is wanted, not required.

    OpenSSL must know a certificate to let it through, so ``client_certificates`` are the trust anchors themselves; with
    any other one the handshake ends. Where that must read as a fault, see `certs.systemtls`.
    """
    context = _context(ssl.PROTOCOL_TLS_SERVER, rules)
    registered = list(client_certificates)
    if registered:
        context.verify_mode = ssl.CERT_OPTIONAL
        _trust(context, registered)
    load_credentials(context, credentials)
    return context


def provider_client_context(credentials: TlsCredentials | None) -> ssl.SSLContext:
    """A context for calling providers' systems. The caller compares the server's leaf with the registered ones."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT, None)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if credentials is not None:
        load_credentials(context, credentials)
    return context


class SwappableServerContext:
    """A listening context whose key pair and trust can be exchanged between two handshakes.

    ``listening`` is given to the server once; every handshake is handed to the context set last.
    """

    def __init__(self, first: ssl.SSLContext) -> None:
        self._current = first
        self.listening = first.__class__(ssl.PROTOCOL_TLS_SERVER)
        self.listening.minimum_version = first.minimum_version
        old = [str(c["name"]) for c in first.get_ciphers() if c["protocol"] != "TLSv1.3"]
        self.listening.set_ciphers(":".join(old) or PEER_CIPHERS)
        self.listening.verify_mode = first.verify_mode
        self.listening.verify_flags = first.verify_flags
        _forbid_resumption(self.listening)
        self.listening.sni_callback = self._hand_over

    def swap(self, context: ssl.SSLContext) -> None:
        """Use ``context`` from the next handshake on."""
        self._current = context

    def _hand_over(self, connection: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
        connection.context = self._current


def peer_certificates(ssl_object: ssl.SSLObject) -> tuple[bytes, ...]:
    """The certificates (DER) the other end sent, leaf first; empty when it sent none.

    A connection's certificates never change: there is no renegotiation and nothing is asked for after the handshake. So
    they are read once a connection.
    """
    known = _shown.get(ssl_object)
    if known is None:
        known = _read_certificates(ssl_object)
        if known:
            _shown[ssl_object] = known
    return known


_shown: weakref.WeakKeyDictionary[ssl.SSLObject, tuple[bytes, ...]] = weakref.WeakKeyDictionary()


def _read_certificates(ssl_object: ssl.SSLObject) -> tuple[bytes, ...]:
    leaf = ssl_object.getpeercert(True)
    if leaf is None:
        return ()
    chain_of: Callable[[], list[bytes]] | None = getattr(ssl_object, "get_unverified_chain", None)
    if chain_of is not None:
        return tuple(chain_of()) or (leaf,)
    # Before Python 3.13 the same call is only on the private object; without it the leaf alone has to do.
    private = getattr(getattr(ssl_object, "_sslobj", None), "get_unverified_chain", None)
    if private is None:
        return (leaf,)
    sent = [ssl.PEM_cert_to_DER_cert(c.public_bytes()) for c in private() or ()]
    return (leaf, *(der for der in sent if der != leaf))


def _context(purpose: int, rules: TlsRules | None) -> ssl.SSLContext:
    context = ssl.SSLContext(purpose)
    context.minimum_version = ssl.TLSVersion.TLSv1_2 if rules is None else rules.minimum
    if rules is not None:
        context.set_ciphers(rules.ciphers)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    if purpose == ssl.PROTOCOL_TLS_SERVER:
        _forbid_resumption(context)
    return context


def _forbid_resumption(context: ssl.SSLContext) -> None:
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0


def _trust(context: ssl.SSLContext, certificates: Iterable[x509.Certificate]) -> None:
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    anchors = b"".join(c.public_bytes(serialization.Encoding.DER) for c in certificates)
    if anchors:
        context.load_verify_locations(cadata=anchors)
