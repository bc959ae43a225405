"""TLS with a private key that is somewhere else: OpenSSL is given the public half and asks a function for each signature.

Python's `ssl` cannot be told of such a key, but the OpenSSL under it can: a key with a method of its own is what engines
are made of. So the key is put into the context through OpenSSL's own functions, in the very library `ssl` runs on. That
needs CPython with a shared OpenSSL 3; where it is otherwise, `load_remote_key` says so and nothing is half done.

The function is asked within the handshake and holds up the event loop for as long as a signature takes. Elliptic-curve
keys work with TLS 1.2 and 1.3. RSA keys sign PKCS#1 v1.5, so their contexts speak TLS 1.2 only, as X-Road does: TLS 1.3
wants PSS with padding made by OpenSSL, that is, a signer for any number, and `Signer` signs digests only.

Spec: OpenSSL 3 EC_KEY_METHOD_new(3), RSA_meth_new(3); RFC 5246 7.4.3, RFC 8446 4.2.3.
"""

from __future__ import annotations

import ctypes
import ssl
import sysconfig
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from certs.algorithms import SignatureAlgorithm
from certs.certificates import der_of
from schemas.faults import Kind, TokenFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cryptography import x509

_EC_SIGN = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.POINTER(ctypes.c_uint),
    ctypes.c_void_p,
    ctypes.c_void_p,
    ctypes.c_void_p,
)
_RSA_SIGN = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_void_p,
    ctypes.c_uint,
    ctypes.c_void_p,
    ctypes.POINTER(ctypes.c_uint),
    ctypes.c_void_p,
)
_EVP_PKEY_RSA, _EVP_PKEY_EC = 6, 408
_SET_SIGALGS_LIST, _EXTRA_CHAIN_CERT = 98, 14
_RSA_FLAG_EXT_PKEY = 0x20
# What RSA contexts offer and accept: no PSS for our own key, every usual scheme of peers.
_RSA_SIGALGS = b"RSA+SHA512:RSA+SHA384:RSA+SHA256:ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512"
_BY_SIZE = {
    ("rsa", 32): SignatureAlgorithm.RSA_SHA256,
    ("rsa", 48): SignatureAlgorithm.RSA_SHA384,
    ("rsa", 64): SignatureAlgorithm.RSA_SHA512,
    ("ecdsa", 32): SignatureAlgorithm.ECDSA_SHA256,
    ("ecdsa", 48): SignatureAlgorithm.ECDSA_SHA384,
    ("ecdsa", 64): SignatureAlgorithm.ECDSA_SHA512,
}


class RemoteTlsKey(msgspec.Struct, frozen=True):
    """A key elsewhere: its public half, and what signs a digest (ECDSA as DER) or raises."""

    public_key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey
    sign: Callable[[bytes, SignatureAlgorithm], bytes]


@lru_cache(maxsize=1)
def _libraries() -> tuple[Any, Any]:
    """libssl and libcrypto, the very ones `ssl` uses. Raises `TokenFailed`."""
    if sysconfig.get_config_var("Py_GIL_DISABLED") or ssl.OPENSSL_VERSION_INFO[0] != 3:
        raise TokenFailed(
            Kind.CANNOT_SIGN,
            f"authentication keys outside this process need CPython with a shared OpenSSL 3; this is {ssl.OPENSSL_VERSION}",
        )
    import _ssl  # only to find the library under it

    try:
        # Symbols resolve through the extension module to the libraries that it is linked to.
        both = ctypes.CDLL(_ssl.__file__)
        both.OpenSSL_version.restype = ctypes.c_char_p
        if both.OpenSSL_version(0).decode() != ssl.OPENSSL_VERSION:
            raise TokenFailed(Kind.CANNOT_SIGN, "another OpenSSL than the one ssl runs on was found")
    except (AttributeError, OSError) as err:
        raise TokenFailed(
            Kind.CANNOT_SIGN,
            f"the OpenSSL under this Python's ssl cannot be reached: {err}; use a Python linked to a shared OpenSSL",
        ) from err
    pointer = ctypes.c_void_p
    for name, result, arguments in (
        ("d2i_PUBKEY", pointer, [pointer, pointer, ctypes.c_long]),
        ("d2i_X509", pointer, [pointer, pointer, ctypes.c_long]),
        ("X509_free", None, [pointer]),
        ("EVP_PKEY_new", pointer, []),
        ("EVP_PKEY_free", None, [pointer]),
        ("EVP_PKEY_assign", ctypes.c_int, [pointer, ctypes.c_int, pointer]),
        ("EVP_PKEY_get1_EC_KEY", pointer, [pointer]),
        ("EVP_PKEY_get1_RSA", pointer, [pointer]),
        ("EC_KEY_OpenSSL", pointer, []),
        ("EC_KEY_METHOD_new", pointer, [pointer]),
        ("EC_KEY_METHOD_set_sign", None, [pointer, _EC_SIGN, pointer, pointer]),
        ("EC_KEY_set_method", ctypes.c_int, [pointer, pointer]),
        ("RSA_PKCS1_OpenSSL", pointer, []),
        ("RSA_meth_dup", pointer, [pointer]),
        ("RSA_meth_set_sign", ctypes.c_int, [pointer, _RSA_SIGN]),
        ("RSA_meth_set_flags", ctypes.c_int, [pointer, ctypes.c_int]),
        ("RSA_set_method", ctypes.c_int, [pointer, pointer]),
        ("SSL_CTX_use_certificate_ASN1", ctypes.c_int, [pointer, ctypes.c_int, ctypes.c_char_p]),
        ("SSL_CTX_use_PrivateKey", ctypes.c_int, [pointer, pointer]),
        ("ERR_clear_error", None, []),
        ("SSL_CTX_get_options", ctypes.c_uint64, [pointer]),
        ("SSL_CTX_ctrl", ctypes.c_long, [pointer, ctypes.c_int, ctypes.c_long, pointer]),
    ):
        function = getattr(both, name)
        function.restype, function.argtypes = result, arguments
    return both, both


# What OpenSSL calls must outlive every context that may call it; a gateway makes a handful in its life.
_kept: list[object] = []


def load_remote_key(context: ssl.SSLContext, key: RemoteTlsKey, chain: Sequence[x509.Certificate]) -> None:
    """Let a context show ``chain`` and sign with a key elsewhere. Raises `TokenFailed` or `ssl.SSLError`."""
    lib, _ = _libraries()
    try:
        _load(lib, context, key, chain)
    except ssl.SSLError:
        lib.ERR_clear_error()  # what went wrong here must not show in the next thing that Python asks of OpenSSL
        raise


def _load(lib: Any, context: ssl.SSLContext, key: RemoteTlsKey, chain: Sequence[x509.Certificate]) -> None:
    pointer = _context_pointer(lib, context)
    is_rsa = isinstance(key.public_key, rsa.RSAPublicKey)
    if is_rsa:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        _expect(lib.SSL_CTX_ctrl(pointer, _SET_SIGALGS_LIST, 0, _RSA_SIGALGS), "set the signature schemes")
    leaf = der_of(chain[0])
    _expect(lib.SSL_CTX_use_certificate_ASN1(pointer, len(leaf), leaf), "take the certificate")
    for certificate in chain[1:]:
        parsed = _parse(lib.d2i_X509, der_of(certificate))
        _expect(lib.SSL_CTX_ctrl(pointer, _EXTRA_CHAIN_CERT, 0, parsed), "take an intermediate certificate")
    pkey = _private_key(lib, key)
    try:
        _expect(lib.SSL_CTX_use_PrivateKey(pointer, pkey), "take the key: is the certificate another key's?")
    finally:
        lib.EVP_PKEY_free(pkey)


def _context_pointer(lib: Any, context: ssl.SSLContext) -> int:
    """OpenSSL's context inside Python's: the first field after the object's head, checked by what both say of it."""
    found = ctypes.c_void_p.from_address(id(context) + object.__basicsize__).value
    if not found or lib.SSL_CTX_get_options(found) & 0xFFFFFFFF != int(context.options) & 0xFFFFFFFF:
        raise TokenFailed(
            Kind.CANNOT_SIGN, "this Python keeps its TLS contexts in another way than is known here"
        )
    return found


def _private_key(lib: Any, key: RemoteTlsKey) -> int:
    encoded = key.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    public = _parse(lib.d2i_PUBKEY, encoded)
    pkey = lib.EVP_PKEY_new()
    if isinstance(key.public_key, rsa.RSAPublicKey):
        native = lib.EVP_PKEY_get1_RSA(public)
        method = lib.RSA_meth_dup(lib.RSA_PKCS1_OpenSSL())
        callback: Any = _RSA_SIGN(lambda _t, d, n, out, size, _k: _answer(key, "rsa", d, n, out, size))
        lib.RSA_meth_set_flags(method, _RSA_FLAG_EXT_PKEY)
        lib.RSA_meth_set_sign(method, callback)
        _expect(lib.RSA_set_method(native, method), "give the RSA key its method")
        kind = _EVP_PKEY_RSA
    else:
        native = lib.EVP_PKEY_get1_EC_KEY(public)
        method = lib.EC_KEY_METHOD_new(lib.EC_KEY_OpenSSL())
        callback = _EC_SIGN(lambda _t, d, n, out, size, _i, _r, _k: _answer(key, "ecdsa", d, n, out, size))
        lib.EC_KEY_METHOD_set_sign(method, callback, None, None)
        _expect(lib.EC_KEY_set_method(native, method), "give the EC key its method")
        kind = _EVP_PKEY_EC
    _kept.append((key, callback))
    lib.EVP_PKEY_free(public)
    # The method is set before the key is assigned: that is when OpenSSL sees that the key is not its own.
    _expect(lib.EVP_PKEY_assign(pkey, kind, native), "make the key")
    return int(pkey)


def _answer(key: RemoteTlsKey, family: str, digest: int, length: int, out: int, size: Any) -> int:
    """OpenSSL's question, answered: 1 with the signature written, 0 when there is none."""
    algorithm = _BY_SIZE.get((family, length))
    if algorithm is None:
        return 0
    try:
        signature = key.sign(ctypes.string_at(digest, length), algorithm)
    except Exception:
        return 0
    ctypes.memmove(out, signature, len(signature))
    size[0] = len(signature)
    return 1


def _parse(parser: Any, encoded: bytes) -> int:
    buffer = ctypes.create_string_buffer(encoded, len(encoded))
    place = ctypes.c_void_p(ctypes.addressof(buffer))
    parsed = parser(None, ctypes.byref(place), len(encoded))
    if not parsed:
        raise ssl.SSLError("OpenSSL cannot read a certificate or public key")
    return int(parsed)


def _expect(result: int, doing: str) -> None:
    if result <= 0:
        raise ssl.SSLError(f"OpenSSL would not {doing}")
