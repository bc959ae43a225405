"""The software token: sealed by its PIN, locked after too many wrong ones, and never giving a key to a stranger's file."""

from __future__ import annotations

import base64
import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from certs.algorithms import SignatureAlgorithm, verify_digest_signature
from certs.sealing import open_sealed, seal, stretch
from certs.tokens.port import KeyId
from certs.tokens.soft import WRONG_PINS_ALLOWED, KeyKind, SoftToken
from schemas.faults import TokenFailed
from tests.doubles import MemoryTokens

PIN = "1234"


@pytest.fixture
def storage() -> MemoryTokens:
    return MemoryTokens()


@pytest.fixture
def token(storage: MemoryTokens) -> SoftToken:
    return SoftToken.create(storage, PIN)


def code_of(caught: pytest.ExceptionInfo[TokenFailed]) -> str:
    return caught.value.code


def test_a_token_is_not_made_over_another(token: SoftToken, storage: MemoryTokens) -> None:
    with pytest.raises(TokenFailed) as caught:
        SoftToken.create(storage, PIN)
    assert code_of(caught) == "invalid_request"


def test_a_short_pin_is_refused(storage: MemoryTokens) -> None:
    with pytest.raises(TokenFailed, match="four characters"):
        SoftToken.create(storage, "123")


def test_there_is_nothing_to_unlock_in_an_empty_folder(storage: MemoryTokens) -> None:
    with pytest.raises(TokenFailed) as caught:
        SoftToken(storage).unlock(PIN)
    assert code_of(caught) == "token_not_found"


@pytest.mark.xroad("F022")
def test_keys_come_back_with_the_pin_and_are_gone_while_it_is_locked(
    token: SoftToken, storage: MemoryTokens
) -> None:
    key_id = token.generate_key(KeyKind.EC_P256, "label", "sign")
    public = token.public_key(key_id)
    again = SoftToken(storage)
    with pytest.raises(TokenFailed) as caught:
        again.public_key(key_id)
    assert code_of(caught) == "token_not_active"
    again.unlock(PIN)
    assert again.public_key(key_id) == public
    assert again.find_key(public) == key_id
    again.lock()
    with pytest.raises(TokenFailed):
        again.public_key(key_id)


def test_no_private_key_is_in_what_is_stored(token: SoftToken, storage: MemoryTokens) -> None:
    key_id = token.generate_key(KeyKind.EC_P256, "label", "sign")
    clear = token.tls_private_key(key_id).private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    assert clear[-32:] not in b"".join(storage.keys.values())


def test_wrong_pins_are_counted_and_then_lock_the_token(token: SoftToken, storage: MemoryTokens) -> None:
    for left in range(WRONG_PINS_ALLOWED - 1, -1, -1):
        with pytest.raises(TokenFailed, match=f"{left} tries") as caught:
            token.unlock("0000")
        assert code_of(caught) == "pin_incorrect"
    with pytest.raises(TokenFailed) as locked:
        SoftToken(storage).unlock(PIN)
    assert code_of(locked) == "token_not_active"


def test_a_right_pin_forgives_the_wrong_ones(token: SoftToken) -> None:
    with pytest.raises(TokenFailed):
        token.unlock("0000")
    assert token.wrong_pins() == 1
    token.unlock(PIN)
    assert token.wrong_pins() == 0


@pytest.mark.xroad("F022")
def test_another_pin_opens_the_same_keys(token: SoftToken, storage: MemoryTokens) -> None:
    key_id = token.generate_key(KeyKind.EC_P256, "label", "sign")
    token.change_pin(PIN, "another")
    again = SoftToken(storage)
    with pytest.raises(TokenFailed):
        again.unlock(PIN)
    again.unlock("another")
    assert again.public_key(key_id) == token.public_key(key_id)


@pytest.mark.parametrize("change", ["sealed", "usage", "id"])
def test_a_key_file_that_was_tampered_with_does_not_open(
    token: SoftToken, storage: MemoryTokens, change: str
) -> None:
    key_id = token.generate_key(KeyKind.EC_P256, "label", "sign")
    record = json.loads(storage.keys[key_id])
    if change == "sealed":
        record["sealed"] = record["sealed"][:-8] + "AAAAAAA="
    elif change == "usage":
        record["usage"] = "auth"
    raw = storage.keys.pop(key_id)
    storage.keys["0" * 32 if change == "id" else key_id] = (
        raw if change == "id" else json.dumps(record).encode()
    )
    with pytest.raises(TokenFailed, match="damaged"):
        SoftToken(storage).unlock(PIN)


def test_a_key_that_another_process_made_is_found_beside_those_that_were_known(
    token: SoftToken, storage: MemoryTokens
) -> None:
    known = token.generate_key(KeyKind.EC_P256, "mine", "sign")
    other = SoftToken(storage)
    other.unlock(PIN)
    made = other.generate_key(KeyKind.EC_P256, "theirs", "sign")
    mine = token.tls_private_key(known)
    assert token.public_key(made) == other.public_key(made)
    assert token.tls_private_key(known) is mine


def test_an_unknown_key_is_not_found(token: SoftToken) -> None:
    with pytest.raises(TokenFailed) as caught:
        token.public_key(KeyId("none"))
    assert code_of(caught) == "key_not_found"


def test_a_removed_key_is_gone(token: SoftToken, storage: MemoryTokens) -> None:
    key_id = token.generate_key(KeyKind.EC_P256, "label", "sign")
    token.remove_key(key_id)
    assert storage.keys == {}
    with pytest.raises(TokenFailed):
        token.public_key(key_id)


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        (KeyKind.EC_P256, SignatureAlgorithm.ECDSA_SHA512),
        (KeyKind.EC_P384, SignatureAlgorithm.ECDSA_SHA384),
        (KeyKind.RSA_2048, SignatureAlgorithm.RSA_SHA512),
        (KeyKind.RSA_2048, SignatureAlgorithm.RSA_PSS_SHA256),
    ],
    ids=str,
)
async def test_what_a_key_signs_verifies(
    token: SoftToken, kind: KeyKind, algorithm: SignatureAlgorithm
) -> None:
    key_id = token.generate_key(kind, "label", "sign")
    digest = algorithm.digest.digest(b"x")
    value = await token.sign(key_id, digest, algorithm)
    verify_digest_signature(token.public_key(key_id), value, digest, algorithm, ecdsa_format="der")
    token.close()


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        (KeyKind.RSA_2048, SignatureAlgorithm.ECDSA_SHA512),
        (KeyKind.EC_P256, SignatureAlgorithm.ECDSA_SHA512),
    ],
)
def test_a_key_does_not_sign_what_it_cannot(
    token: SoftToken, kind: KeyKind, algorithm: SignatureAlgorithm
) -> None:
    key_id = token.generate_key(kind, "label", "sign")
    with pytest.raises(TokenFailed) as caught:
        token.sign_now(key_id, b"too short a digest", algorithm)
    assert code_of(caught) == "cannot_sign"


def test_a_sealed_key_of_a_type_that_signs_nothing_here_is_refused(
    token: SoftToken, storage: MemoryTokens
) -> None:
    key_id = token.generate_key(KeyKind.EC_P256, "label", "sign")
    sealed = json.loads(storage.token or b"")
    master = open_sealed(
        stretch(PIN, base64.b64decode(sealed["salt"])), base64.b64decode(sealed["master"]), b"master"
    )
    clear = ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    record = json.loads(storage.keys[key_id])
    record["sealed"] = base64.b64encode(seal(master, clear, f"{key_id}:sign".encode())).decode()
    storage.keys[key_id] = json.dumps(record).encode()
    with pytest.raises(TokenFailed, match=f"key {key_id} is of a type that is not supported") as caught:
        SoftToken(storage).unlock(PIN)
    assert code_of(caught) == "cannot_sign"
