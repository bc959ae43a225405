"""Keys behind PKCS#11: a hardware security module or a smart card, by its vendor's module.

Synchronous and for one thread alone: the binding releases the interpreter lock around calls it does not let the module
lock for, so a second thread crashes the process. It belongs into a process of its own (`certs.edges.signer`): a crash in
the vendor's library then ends that process and not the gateway.

A key is known by its CKA_ID in hexadecimal; keys without one are not seen. A failure that means "the module or the token
is gone" raises `TokenFailed` with ``is_lost``, after which this object is of no more use.

Spec: PKCS#11 2.40. RSA signs PKCS#1 v1.5 over a DigestInfo or PSS over the digest, EC signs the digest.
"""

from __future__ import annotations

import contextlib
import secrets
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pkcs11
from asn1crypto import algos, core, keys
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from pkcs11 import Attribute, CertificateType, KeyType, Mechanism, ObjectClass, TokenFlag
from pkcs11.attributes import AttributeMapper
from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters
from pkcs11.util.rsa import encode_rsa_public_key

from certs.tokens.port import KeyId
from schemas.faults import Kind, TokenFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from certs.algorithms import SignatureAlgorithm

_CURVES = {"ec-p256": "1.2.840.10045.3.1.7", "ec-p384": "1.3.132.0.34"}
_PSS = {
    "sha256": (Mechanism.SHA256, pkcs11.MGF.SHA256, 32),
    "sha384": (Mechanism.SHA384, pkcs11.MGF.SHA384, 48),
    "sha512": (Mechanism.SHA512, pkcs11.MGF.SHA512, 64),
}
_WRONG_PIN = (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange, pkcs11.ArgumentsBad)


@dataclass(frozen=True, slots=True)
class HardTokenPlace:
    """A token's place: the module's file, the token's label or serial number in it, the slots that are looked into (empty: all)."""

    module: str
    label: str = ""
    serial: str = ""
    slots: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class HardTokenUse:
    """The use of a token: never written to, its PIN shown anew for each signature, mechanisms and attributes of keys made on it."""

    read_only: bool = False
    pin_per_signature: bool = False
    mechanisms: tuple[str, ...] = ()
    private_attributes: dict[str, bool] = field(default_factory=dict)
    public_attributes: dict[str, bool] = field(default_factory=dict)

    def templates(self) -> tuple[dict[Attribute, Any], dict[Attribute, Any]]:
        """The attributes of the private and of the public half of a key to make."""
        private: dict[Attribute, Any] = {Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False}
        private |= {Attribute[name]: value for name, value in self.private_attributes.items()}
        if self.mechanisms:
            private[Attribute.ALLOWED_MECHANISMS] = [Mechanism[name] for name in self.mechanisms]
        return private, {Attribute[name]: value for name, value in self.public_attributes.items()}


@dataclass(frozen=True, slots=True)
class HardTokenState:
    """A token's labels and the flags of its PIN, as PKCS#11's CK_TOKEN_INFO has them."""

    label: str
    serial: str
    model: str
    manufacturer: str
    pin_locked: bool
    pin_final_try: bool
    pin_count_low: bool
    pin_initialised: bool
    read_only: bool


class HardToken:
    """One token behind a PKCS#11 module. Raises `TokenFailed` (``is_lost``) when there is no such token."""

    def __init__(self, place: HardTokenPlace, use: HardTokenUse | None = None) -> None:
        self._place = place
        self._use = use or HardTokenUse()
        # Kept while logged in: a key that asks for it at each signature, or a token used so, is shown it again.
        self._pin: str | None = None
        self._session: Any = None
        self._private: dict[KeyId, Any] = {}
        with _failures("open the module"):
            self._lib = pkcs11.lib(place.module)
            self._token = self._find()

    def _find(self) -> Any:
        for slot in self._lib.get_slots(token_present=True):
            if self._place.slots and slot.slot_id not in self._place.slots:
                continue
            with contextlib.suppress(pkcs11.PKCS11Error):
                token = slot.get_token()
                if self._place.label and token.label.strip() != self._place.label:
                    continue
                if (
                    self._place.serial
                    and token.serial.decode("ascii", "replace").strip() != self._place.serial
                ):
                    continue
                if TokenFlag.TOKEN_INITIALIZED in token.flags:
                    return token
        raise TokenFailed(
            Kind.TOKEN_NOT_FOUND,
            f"the module {self._place.module} shows no initialised token with label {self._place.label!r}"
            f"{f' and serial {self._place.serial!r}' if self._place.serial else ''}"
            f"{f' in the slots {self._place.slots}' if self._place.slots else ''}",
            is_lost=True,
        )

    @property
    def is_unlocked(self) -> bool:
        """Whether keys can be used."""
        return self._pin is not None

    def state(self) -> HardTokenState:
        """The token's flags and labels as the module shows them. Raises `TokenFailed` (``is_lost``)."""
        with _failures("read the token"):
            token = self._find()
        flags = token.flags
        return HardTokenState(
            token.label.strip(),
            token.serial.decode("ascii", "replace").strip(),
            _text(token.model),
            _text(token.manufacturer_id),
            TokenFlag.USER_PIN_LOCKED in flags,
            TokenFlag.USER_PIN_FINAL_TRY in flags,
            TokenFlag.USER_PIN_COUNT_LOW in flags,
            TokenFlag.USER_PIN_INITIALIZED in flags,
            self._use.read_only or TokenFlag.WRITE_PROTECTED in flags,
        )

    def unlock(self, pin: str) -> None:
        """Log in. Raises `TokenFailed`: ``pin_incorrect``, or ``token_not_active`` when the token has locked itself."""
        self.lock()
        self._open(pin)
        self._pin = pin
        self.key_infos()
        if self._use.pin_per_signature:
            self._end_session()

    def _open(self, pin: str) -> None:
        with _failures("log in"):
            self._session = self._token.open(
                rw=not self.state().read_only, user_pin=pin, attribute_mapper=_mapper()
            )

    def lock(self) -> None:
        """Log out, and forget the PIN."""
        self._end_session()
        self._pin = None

    def _end_session(self) -> None:
        if self._session is not None:
            with contextlib.suppress(pkcs11.PKCS11Error):
                self._session.close()
        self._session = None
        self._private = {}

    def change_pin(self, old: str, new: str) -> None:
        """Let the token open with another PIN. Raises `TokenFailed`."""
        self._check_writable("change the PIN")
        with _failures("change the PIN"):
            self._opened().set_pin(old, new)
        self._pin = new

    def key_infos(self) -> tuple[tuple[KeyId, str, str, bytes], ...]:
        """Id, kind, label and public key (DER) of every key."""
        found = []
        with _failures("list the keys"):
            for private in list(self._opened().get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})):
                raw_id = private.id
                if not raw_id or private.key_type not in (KeyType.RSA, KeyType.EC):
                    continue
                public = self._public(raw_id)
                if public is None:
                    continue
                key_id = KeyId(raw_id.hex())
                self._private[key_id] = private
                found.append((key_id, _kind(public), private.label or "", public))
        return tuple(found)

    def certificates(self) -> tuple[bytes, ...]:
        """Every X.509 certificate (DER) that is stored on the token, as it lies there, whomever it is for."""
        template = {
            Attribute.CLASS: ObjectClass.CERTIFICATE,
            Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
        }
        with _failures("list the certificates"):
            return tuple(
                bytes(found[Attribute.VALUE]) for found in list(self._opened().get_objects(template))
            )

    def generate_key(self, kind: str, label: str) -> tuple[KeyId, bytes]:
        """Make a key that cannot leave the token; its id and public key (DER). Raises `TokenFailed` (``key_not_found``)."""
        self._check_writable("make a key")
        raw_id = secrets.token_bytes(20)
        private, public = self._use.templates()
        with _failures(f"make a key of kind {kind}"):
            session = self._opened()
            if kind in _CURVES:
                curve = {Attribute.EC_PARAMS: encode_named_curve_parameters(_CURVES[kind])}
                domain = session.create_domain_parameters(KeyType.EC, curve, local=True)
                domain.generate_keypair(
                    store=True,
                    id=raw_id,
                    label=label,
                    private_template=private,
                    public_template=public,
                )
            else:
                bits = int(kind.removeprefix("rsa-"))
                session.generate_keypair(
                    KeyType.RSA,
                    bits,
                    store=True,
                    id=raw_id,
                    label=label,
                    private_template=private,
                    public_template=public,
                )
        key_id = KeyId(raw_id.hex())
        made = next((i for i in self.key_infos() if i[0] == key_id), None)
        if made is None:
            raise TokenFailed(Kind.KEY_NOT_FOUND, f"the token made the key {key_id} and does not show it")
        return key_id, made[3]

    def remove_key(self, key_id: KeyId) -> None:
        """Destroy a key, both halves."""
        self._check_writable("destroy a key")
        with _failures("destroy the key"):
            self._key(key_id)
            raw_id = bytes.fromhex(key_id)
            for kind in (ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY):
                for found in list(self._opened().get_objects({Attribute.CLASS: kind, Attribute.ID: raw_id})):
                    found.destroy()
        self._private.pop(key_id, None)

    def sign(self, key_id: KeyId, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
        """The signature over a digest; ECDSA as DER. Raises `TokenFailed`."""
        if not self._use.pin_per_signature:
            try:
                return self._sign(key_id, digest, algorithm)
            except TokenFailed:
                self._end_session()  # a signature that was begun and refused would keep the next one out
                raise
        # A login of its own for each signature: what is left of an earlier one must not stand for it.
        self._end_session()
        try:
            return self._sign(key_id, digest, algorithm)
        finally:
            self._end_session()

    def _sign(self, key_id: KeyId, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
        with _failures("sign"):
            key = self._key(key_id)
            if (key.key_type is KeyType.EC) != (algorithm.family == "ecdsa"):
                raise TokenFailed(Kind.CANNOT_SIGN, f"the key {key_id} cannot sign with {algorithm.name}")
            pin = self._pin if _asks_each_time(key) else None
            if algorithm.family == "ecdsa":
                raw: bytes = key.sign(digest, mechanism=Mechanism.ECDSA, pin=pin)
                half = len(raw) // 2
                return encode_dss_signature(
                    int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
                )
            name = algorithm.digest.short
            if algorithm.family == "pss":
                signature: bytes = key.sign(
                    digest, mechanism=Mechanism.RSA_PKCS_PSS, mechanism_param=_PSS[name], pin=pin
                )
                return signature
            named = {"algorithm": name, "parameters": core.Null()}
            info = algos.DigestInfo({"digest_algorithm": named, "digest": digest})
            padded: bytes = key.sign(info.dump(), mechanism=Mechanism.RSA_PKCS, pin=pin)
            return padded

    def close(self) -> None:
        """Log out and let the module go."""
        self.lock()

    def _check_writable(self, doing: str) -> None:
        if self._use.read_only:
            raise TokenFailed(
                Kind.CANNOT_SIGN,
                f"the token cannot {doing}: the settings say that it is only read (keys.tokens, read_only)",
            )

    def _opened(self) -> Any:
        if self._pin is None:
            raise TokenFailed(Kind.TOKEN_NOT_ACTIVE, "the token is not logged in; give its PIN first")
        if self._session is None:
            self._open(self._pin)
        return self._session

    def _key(self, key_id: KeyId) -> Any:
        self._opened()
        if key_id not in self._private:
            self.key_infos()
        found = self._private.get(key_id)
        if found is None:
            raise TokenFailed(Kind.KEY_NOT_FOUND, f"the token has no key {key_id!r}")
        return found

    def _public(self, raw_id: bytes) -> bytes | None:
        template = {Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.ID: raw_id}
        objects = list(
            self._session.get_objects(template)
        )  # searches do not nest, so each is read to its end
        if not objects:
            return None
        found = objects[0]
        if found.key_type is KeyType.EC:
            return bytes(encode_ec_public_key(found))
        key = load_der_public_key(_rsa_info(encode_rsa_public_key(found)))
        return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _mapper() -> AttributeMapper:
    """The binding's attributes, and the list of mechanisms beside them, which it does not know."""
    mapper = AttributeMapper()
    mapper.register_handler(
        Attribute.ALLOWED_MECHANISMS,
        lambda named: struct.pack(f"@{len(named)}L", *named),
        lambda raw: [Mechanism(value) for (value,) in struct.iter_unpack("@L", raw)],
    )
    return mapper


def _asks_each_time(key: Any) -> bool:
    """Whether a key wants the PIN at each signature (CKA_ALWAYS_AUTHENTICATE)."""
    try:
        return bool(key[Attribute.ALWAYS_AUTHENTICATE])
    except (pkcs11.AttributeTypeInvalid, pkcs11.AttributeValueInvalid):  # a module older than the attribute
        return False


def _rsa_info(pkcs1: bytes) -> bytes:
    """A SubjectPublicKeyInfo around a PKCS#1 public key."""
    info: bytes = keys.PublicKeyInfo.wrap(keys.RSAPublicKey.load(pkcs1), "rsa").dump()
    return info


def _kind(public: bytes) -> str:
    key = load_der_public_key(public)
    if isinstance(key, rsa.RSAPublicKey):
        return f"rsa-{key.key_size}"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"ec-p{key.curve.key_size}"
    raise TokenFailed(Kind.CANNOT_SIGN, f"a {type(key).__name__} on the token is not supported")


def _text(raw: object) -> str:
    return (raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)).strip()


@contextlib.contextmanager
def _failures(doing: str) -> Iterator[None]:
    """Raise `TokenFailed` for an error of the PKCS#11 module inside: ``pin_incorrect``, the key missing, or the token gone."""
    try:
        yield
    except _WRONG_PIN as err:
        raise TokenFailed(Kind.PIN_INCORRECT, "the PIN is wrong, says the token") from err
    except (pkcs11.PinLocked, pkcs11.PinExpired) as err:
        raise TokenFailed(
            Kind.TOKEN_NOT_ACTIVE,
            "the token has locked its PIN after too many wrong ones (or the PIN expired); its security officer must reset it",
        ) from err
    except (pkcs11.NoSuchKey, pkcs11.KeyHandleInvalid, pkcs11.ObjectHandleInvalid) as err:
        raise TokenFailed(
            Kind.KEY_NOT_FOUND, f"the token does not have this key any more: {_name(err)}"
        ) from err
    except (
        pkcs11.MechanismInvalid,
        pkcs11.KeySizeRange,
        pkcs11.SessionReadOnly,
        pkcs11.TokenWriteProtected,
        pkcs11.TemplateInconsistent,
        pkcs11.AttributeTypeInvalid,
        pkcs11.AttributeValueInvalid,
        pkcs11.AttributeReadOnly,
    ) as err:
        raise TokenFailed(Kind.CANNOT_SIGN, f"the token cannot {doing}: {_name(err)}") from err
    except (pkcs11.PKCS11Error, OSError, RuntimeError) as err:
        raise TokenFailed(
            Kind.TOKEN_NOT_ACTIVE, f"the token could not {doing}: {_name(err)}", is_lost=True
        ) from err


def _name(err: BaseException) -> str:
    return f"{type(err).__name__} {err}".strip()
