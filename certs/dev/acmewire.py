"""The signed requests of ACME: JSON Web Signatures read and proved by joserfc, keys named by their thumbprint. Pure.

Spec: RFC 8555 6.2 (flattened JSON, one signature); RFC 7515, RFC 7517, RFC 7638; RFC 8555 7.3.4 (external account binding).
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, RSAKey, import_key

from schemas.jsontext import load_json

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
    from joserfc.jws import FlattenedJSONSerialization

ALGORITHMS = ("ES256", "ES384", "RS256")
_OF_CURVES = {"P-256": "ES256", "P-384": "ES384"}
_SHORTEST_RSA_BITS = 2048


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request as it came, with its protected header and its payload (empty for a POST-as-GET), of which nothing is proved yet."""

    header: dict[str, Any]
    payload: bytes
    whole: FlattenedJSONSerialization

    def json(self) -> dict[str, Any]:
        """The payload as a JSON object. Raises ValueError."""
        found = load_json(self.payload or b"{}")
        if not isinstance(found, dict):
            raise ValueError("the payload must be a JSON object")
        return found

    def check(self, key: ECKey | RSAKey | OctKey, algorithm: str) -> None:
        """Refuse what the key did not sign by the algorithm. Raises ValueError."""
        # ``url`` and ``nonce`` are ACME's own headers, and a header with an RSA key in it is longer than joserfc's 512 bytes:
        # the listener has bounded the whole request.
        registry = jws.JWSRegistry(algorithms=[algorithm], strict_check_header=False)
        registry.max_header_length = registry.max_payload_length = sum(
            len(str(part)) for part in self.whole.values()
        )
        try:
            jws.deserialize_json(self.whole, key, registry=registry)
        except JoseError as err:
            raise ValueError(f"the signature is not the key's over this request: {err}") from err


def parse_signed(raw: bytes | dict[str, Any]) -> SignedRequest:
    """A flattened JWS, nothing of it proved. Raises ValueError."""
    body = load_json(raw) if isinstance(raw, bytes) else raw
    if not isinstance(body, dict) or {"protected", "payload", "signature"} - set(body):
        raise ValueError("a JSON object with protected, payload and signature is expected (RFC 8555 6.2)")
    if "header" in body or "signatures" in body:
        raise ValueError("an unprotected header or several signatures are not taken (RFC 8555 6.2)")
    protected, payload, signature = (str(body[name]) for name in ("protected", "payload", "signature"))
    header = load_json(from_base64url(protected))
    if not isinstance(header, dict) or "b64" in header:
        raise ValueError("the protected header must be a JSON object, without b64 (RFC 8555 6.2)")
    whole: FlattenedJSONSerialization = {
        "protected": protected,
        "payload": payload,
        "signature": signature,
    }
    return SignedRequest(header, from_base64url(payload), whole)


class AccountKey:
    """A public key that a JWK gives: EC on P-256 or P-384, or RSA of 2048 bits and more. Raises ValueError for others."""

    def __init__(self, jwk: object) -> None:
        if not isinstance(jwk, dict) or jwk.get("kty") not in ("EC", "RSA"):
            raise ValueError("the key must be a JWK of kty EC or RSA")
        try:
            key = import_key({name: str(value) for name, value in jwk.items() if name != "d"})
        except JoseError as err:
            raise ValueError(f"the key is no JWK: {err}") from err
        self._key, self._algorithm = _known(key)
        self.thumbprint = key.thumbprint()

    def check(self, request: SignedRequest) -> None:
        """Refuse a request that this key did not sign. Raises ValueError."""
        request.check(self._key, self._algorithm)


def _known(key: object) -> tuple[ECKey | RSAKey, str]:
    if isinstance(key, RSAKey):
        if key.public_key.key_size < _SHORTEST_RSA_BITS:
            raise ValueError(f"RSA keys have {_SHORTEST_RSA_BITS} bits or more")
        return key, "RS256"
    if not isinstance(key, ECKey) or key.curve_name not in _OF_CURVES:
        raise ValueError(f"the curves are {', '.join(_OF_CURVES)}")
    return key, _OF_CURVES[key.curve_name]


def check_binding(binding: object, key: AccountKey, url: str, outside: dict[str, str]) -> str:
    """The outside account that a binding proves; ``outside`` is MAC key (base64url) by key id. Raises ValueError."""
    if not isinstance(binding, dict):
        raise ValueError("externalAccountBinding must be a signed object")
    signed = parse_signed(binding)
    kid = str(signed.header.get("kid"))
    if signed.header.get("alg") != "HS256" or signed.header.get("url") != url or "nonce" in signed.header:
        raise ValueError(f"the binding must be HS256 for {url} and have no nonce (RFC 8555 7.3.4)")
    if kid not in outside:
        raise ValueError(f"the binding is not signed with the MAC key of {kid!r}")
    signed.check(OctKey.import_key(from_base64url(outside[kid])), "HS256")
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


def jwk_of(key: PublicKeyTypes) -> dict[str, Any]:
    """A public key as a JWK. Raises ValueError for one that is neither RSA nor EC."""
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise ValueError("the key is neither RSA nor EC")
    kind = RSAKey if isinstance(key, rsa.RSAPublicKey) else ECKey
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return dict(kind.import_key(pem).as_dict(private=False))
