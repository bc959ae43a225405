"""The signed requests of ACME: JSON Web Signatures read and proved, keys named by their thumbprint. Pure.

Spec: RFC 8555 6.2 (flattened JSON, one signature); RFC 7515, RFC 7517, RFC 7638; RFC 8555 7.3.4 (external account binding).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from schemas.jsontext import dump_json, load_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

ALGORITHMS = ("ES256", "ES384", "RS256")
_CURVES: dict[str, tuple[ec.EllipticCurve, str]] = {
    "P-256": (ec.SECP256R1(), "ES256"),
    "P-384": (ec.SECP384R1(), "ES384"),
}
_HASHES: dict[str, hashes.HashAlgorithm] = {"ES256": hashes.SHA256(), "ES384": hashes.SHA384()}
# The members of a JWK that its thumbprint is of, in their order (RFC 7638 3.2).
_NAMING = {"EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n")}
_SHORTEST_RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it came: its protected header, what was signed (``payload`` empty for a POST-as-GET), and the signature."""

    header: dict[str, Any]
    payload: bytes
    signature: bytes
    signed: bytes

    def json(self) -> dict[str, Any]:
        """The payload as a JSON object. Raises ValueError."""
        found = load_json(self.payload or b"{}")
        if not isinstance(found, dict):
            raise ValueError("the payload must be a JSON object")
        return found


def parse_signed(raw: bytes | dict[str, Any]) -> SignedRequest:
    """A flattened JWS, nothing of it proved. Raises ValueError."""
    body = load_json(raw) if isinstance(raw, bytes) else raw
    if not isinstance(body, dict) or {"protected", "payload", "signature"} - set(body):
        raise ValueError("a JSON object with protected, payload and signature is expected (RFC 8555 6.2)")
    if "header" in body or "signatures" in body:
        raise ValueError("an unprotected header or several signatures are not taken (RFC 8555 6.2)")
    protected, payload = str(body["protected"]), str(body["payload"])
    header = load_json(from_base64url(protected))
    if not isinstance(header, dict):
        raise ValueError("the protected header must be a JSON object")
    return SignedRequest(
        header,
        from_base64url(payload),
        from_base64url(str(body["signature"])),
        f"{protected}.{payload}".encode(),
    )


class AccountKey:
    """A public key that a JWK gives: EC on P-256 or P-384, or RSA of 2048 bits and more. Raises ValueError for others."""

    def __init__(self, jwk: object) -> None:
        if not isinstance(jwk, dict) or jwk.get("kty") not in _NAMING:
            raise ValueError("the key must be a JWK of kty EC or RSA")
        named = {name: str(jwk.get(name, "")) for name in _NAMING[jwk["kty"]]}
        self.jwk = named
        self.thumbprint = to_base64url(
            hashlib.sha256(dump_json(named, sort_keys=True, separators=(",", ":")).encode()).digest()
        )
        self._key, self._algorithm = _key_of(named)

    def check(self, request: SignedRequest) -> None:
        """Refuse a request that this key did not sign. Raises ValueError."""
        if request.header.get("alg") != self._algorithm:
            raise ValueError(f"the key signs {self._algorithm}, not {request.header.get('alg')!r}")
        try:
            if isinstance(self._key, rsa.RSAPublicKey):
                self._key.verify(request.signature, request.signed, padding.PKCS1v15(), hashes.SHA256())
                return
            size = (self._key.curve.key_size + 7) // 8
            if len(request.signature) != 2 * size:
                raise ValueError("the signature has not the length of two numbers of the curve")
            r, s = (
                int.from_bytes(part, "big") for part in (request.signature[:size], request.signature[size:])
            )
            scheme = ec.ECDSA(_HASHES[self._algorithm])
            self._key.verify(encode_dss_signature(r, s), request.signed, scheme)
        except InvalidSignature:
            raise ValueError("the signature is not the key's over this request") from None


def _key_of(jwk: dict[str, str]) -> tuple[ec.EllipticCurvePublicKey | rsa.RSAPublicKey, str]:
    if jwk["kty"] == "RSA":
        key = rsa.RSAPublicNumbers(_number(jwk["e"]), _number(jwk["n"])).public_key()
        if key.key_size < _SHORTEST_RSA_BITS:
            raise ValueError(f"RSA keys have {_SHORTEST_RSA_BITS} bits or more")
        return key, "RS256"
    if jwk["crv"] not in _CURVES:
        raise ValueError(f"the curves are {', '.join(_CURVES)}, not {jwk['crv']!r}")
    curve, algorithm = _CURVES[jwk["crv"]]
    return ec.EllipticCurvePublicNumbers(_number(jwk["x"]), _number(jwk["y"]), curve).public_key(), algorithm


def check_binding(binding: object, key: AccountKey, url: str, outside: dict[str, str]) -> str:
    """The outside account that a binding proves; ``outside`` is MAC key (base64url) by key id. Raises ValueError."""
    if not isinstance(binding, dict):
        raise ValueError("externalAccountBinding must be a signed object")
    signed = parse_signed(binding)
    kid = str(signed.header.get("kid"))
    mac_key = outside.get(kid)
    if signed.header.get("alg") != "HS256" or signed.header.get("url") != url or "nonce" in signed.header:
        raise ValueError(f"the binding must be HS256 for {url} and have no nonce (RFC 8555 7.3.4)")
    if mac_key is None or not hmac.compare_digest(
        hmac.digest(from_base64url(mac_key), signed.signed, "sha256"), signed.signature
    ):
        raise ValueError(f"the binding is not signed with the MAC key of {kid!r}")
    if AccountKey(signed.json()).thumbprint != key.thumbprint:
        raise ValueError("the binding is for another key than the account's")
    return kid


def from_base64url(text: str) -> bytes:
    """The bytes of unpadded base64url. Raises ValueError."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as err:
        raise ValueError(f"not base64url: {err}") from err


def to_base64url(raw: bytes) -> str:
    """The text of bytes in unpadded base64url."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _number(text: str) -> int:
    return int.from_bytes(from_base64url(text), "big")


def jwk_of(key: PublicKeyTypes) -> dict[str, str]:
    """A public key as a JWK. Raises ValueError for one that is neither RSA nor EC."""
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        return {"kty": "RSA", "n": _octets(numbers.n), "e": _octets(numbers.e)}
    if isinstance(key, ec.EllipticCurvePublicKey):
        size = (key.key_size + 7) // 8
        point = key.public_numbers()
        return {
            "kty": "EC",
            "crv": f"P-{key.key_size}",
            "x": to_base64url(point.x.to_bytes(size, "big")),
            "y": to_base64url(point.y.to_bytes(size, "big")),
        }
    raise ValueError("the key is neither RSA nor EC")


def _octets(number: int) -> str:
    return to_base64url(number.to_bytes((number.bit_length() + 7) // 8, "big"))
