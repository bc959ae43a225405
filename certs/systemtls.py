"""TLS for consumer systems: a client certificate is asked for, any is taken, and who may speak is decided later.

The standard library's server either asks for no certificate or ends the handshake over one it cannot trace; then a
system with a wrong or an expired certificate would get a TLS alert and never the fault that says so, and a system that
needs none would fail for showing one. So this context hands each handshake to OpenSSL through pyOpenSSL, whose verify
callback lets every certificate pass. That the system holds the certificate's key is still proved in the handshake.

`SystemServerContext` is what asyncio and uvloop take for an ``ssl.SSLContext``: all they ask of it is ``wrap_bio``. The
key pair can be exchanged between two handshakes. Sessions are never resumed, and the key never touches the disk.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, TypeVar

from OpenSSL import SSL

from certs.certificates import der_of
from certs.remotetls import RemoteTlsKey
from certs.tls import SYSTEM_RULES

if TYPE_CHECKING:
    from collections.abc import Callable

    from certs.tls import TlsCredentials, TlsRules

_CHUNK = 64 * 1024
_NO_RENEGOTIATION = 0x40000000  # SSL_OP_NO_RENEGOTIATION, which pyOpenSSL does not name
T = TypeVar("T")


class SystemServerContext(ssl.SSLContext):
    """A listening context for consumer systems."""

    _current: SSL.Context

    def __new__(cls, _credentials: TlsCredentials, _rules: TlsRules = SYSTEM_RULES) -> SystemServerContext:
        """An object of the standard library's kind, which the event loops insist on."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)

    def __init__(self, credentials: TlsCredentials, rules: TlsRules = SYSTEM_RULES) -> None:
        self._rules = rules
        self.swap(credentials)

    def swap(self, credentials: TlsCredentials) -> None:
        """Show another key pair from the next handshake on."""
        self._current = _context(credentials, self._rules)

    def wrap_bio(  # type: ignore[override]
        self,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
        server_side: bool = False,
        server_hostname: str | None = None,
        session: object = None,
    ) -> SystemConnection:
        """The TLS of one connection."""
        return SystemConnection(self, self._current, incoming, outgoing)


class SystemConnection:
    """The part of ``ssl.SSLObject`` that event loops use, on a pyOpenSSL connection between two memory buffers."""

    def __init__(
        self,
        context: SystemServerContext,
        openssl: SSL.Context,
        incoming: ssl.MemoryBIO,
        outgoing: ssl.MemoryBIO,
    ) -> None:
        self.context = context
        self.server_side = True
        self.server_hostname = None
        self._incoming = incoming
        self._outgoing = outgoing
        self._connection = SSL.Connection(openssl, None)
        self._connection.set_accept_state()
        self._unread = False

    def do_handshake(self) -> None:
        """Go on with the handshake."""
        self._flow(self._connection.do_handshake)

    def read(self, size: int = _CHUNK, buffer: bytearray | None = None) -> bytes | int:
        """Decrypted bytes, or how many were put into ``buffer``; none at the end."""
        try:
            if buffer is not None:
                return self._flow(lambda: self._connection.recv_into(buffer, size))
            return self._flow(lambda: self._connection.recv(size))
        except ssl.SSLZeroReturnError:
            return b"" if buffer is None else 0

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Encrypt some bytes; how many were taken."""
        return self._flow(lambda: self._connection.send(bytes(data[:_CHUNK])))

    def unwrap(self) -> None:
        """Close TLS in both directions. Raises `ssl.SSLWantReadError` while the other end has not closed yet."""
        if not self._flow(self._connection.shutdown):
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "the other end has not closed yet")

    def pending(self) -> int:
        """Decrypted bytes that wait; one at least while records wait to be decrypted, or nobody would come for them."""
        return self._connection.pending() or int(self._unread)

    def getpeercert(self, binary_form: bool = False) -> bytes | dict[str, object] | None:
        """The system's certificate (DER); its fields are not taken apart here."""
        certificate = self._connection.get_peer_certificate(as_cryptography=True)
        if certificate is None:
            return None
        if not binary_form:
            return {}
        return der_of(certificate)

    def version(self) -> str:
        """The TLS version in use, as ``TLSv1.3``."""
        return self._connection.get_protocol_version_name()

    def cipher(self) -> tuple[str, str, int] | None:
        """Name, version and secret bits of the cipher."""
        name = self._connection.get_cipher_name()
        if name is None:
            return None
        return name, self._connection.get_cipher_version() or "", self._connection.get_cipher_bits() or 0

    def compression(self) -> None:
        """Always None: TLS compression is off."""

    def selected_alpn_protocol(self) -> None:
        """Always None: no application protocol is negotiated."""

    def _flow(self, act: Callable[[], T]) -> T:
        """Feed what came, act, and pass on what that made, alerts included."""
        while data := self._incoming.read(_CHUNK):
            self._connection.bio_write(data)
            self._unread = True
        try:
            return act()
        except SSL.WantReadError:
            self._unread = False
            if self._incoming.eof:
                raise ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "the connection ended within TLS") from None
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "more must come first") from None
        except SSL.ZeroReturnError:
            raise ssl.SSLZeroReturnError(ssl.SSL_ERROR_ZERO_RETURN, "TLS was closed") from None
        except SSL.Error as err:
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, f"TLS failed: {err}") from err
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        while True:
            try:
                self._outgoing.write(self._connection.bio_read(_CHUNK))
            except SSL.WantReadError:
                return


def _context(credentials: TlsCredentials, rules: TlsRules) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(rules.minimum)
    context.set_cipher_list(rules.ciphers.encode("ascii"))
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_TICKET | _NO_RENEGOTIATION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    leaf, *issuers = credentials.chain
    context.use_certificate(leaf)
    for issuer in issuers:
        context.add_extra_chain_cert(issuer)
    if isinstance(credentials.private_key, RemoteTlsKey):
        raise TypeError(
            "TLS to information systems uses a key of this process; this one never leaves its token"
        )
    context.use_privatekey(credentials.private_key)
    # The certificate is compared, byte for byte, with those registered for the client that the message names.
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    return context
