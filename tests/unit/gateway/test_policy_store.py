"""A policy counts once enough authorities have signed its exact bytes; a version cannot be changed under its number."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certs.algorithms import SignatureAlgorithm
from certs.certificates import der_of
from certs.policies import sign_policy, verify_policy
from gateway.clients.store import ServerConfStore
from gateway.policies.gate import Binding, Excess
from gateway.policies.store import PolicyStore
from schemas.faults import Fault
from schemas.identifiers import ClientId, ServerId
from schemas.policy import SignedDocument, parse_signed, render_signed
from serving.storage.selfsigned import self_signed
from social_security.wire.policydocument import POLICY_ID, build_policy

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
HIST = ClientId("MX", "GOB", "15-ISSEMYM", "HIST")


class Authority:
    """One governing key with its certificate."""

    def __init__(self, name: str) -> None:
        key, (certificate,) = self_signed(name)
        self._key = key
        self.certificate = der_of(certificate)
        self.algorithm = SignatureAlgorithm.for_key(key.public_key())

    async def sign(self, key_id: object, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
        del key_id
        return self._key.sign(digest, algorithm.ecdsa)


AUTHORITIES = [Authority(f"autoridad-{n}") for n in range(3)]
CERTIFICATES = [a.certificate for a in AUTHORITIES]


def signed(raw: bytes, authorities: list[Authority]) -> SignedDocument:
    async def sign_all() -> SignedDocument:
        return SignedDocument(
            raw,
            tuple([await sign_policy(raw, a, "k", a.algorithm, a.certificate) for a in authorities]),  # type: ignore[arg-type]
        )

    return asyncio.run(sign_all())


@pytest.fixture
def store(tmp_path: Path) -> PolicyStore:
    serverconf = ServerConfStore(tmp_path / "serverconf.sqlite")
    serverconf.initialise(ServerId("MX", "GOB", "15-ISSEMYM", "SS1"), b"anchor")
    made = PolicyStore(serverconf.database)
    made.set_authorities(CERTIFICATES, 3)
    return made


def test_document_signed_by_all_is_loaded_and_in_force(store: PolicyStore) -> None:
    raw = build_policy("1.0.0", NOW)
    store.load(render_signed(signed(raw, AUTHORITIES)), NOW)
    store.bind(HIST, "oss-v1", Binding(POLICY_ID, Excess.STRIP))
    snapshot = store.snapshot()
    assert snapshot.in_force(POLICY_ID, NOW) is not None
    assert snapshot.bindings[HIST, "oss-v1"].excess is Excess.STRIP


def test_two_signatures_of_three_are_not_enough(store: PolicyStore) -> None:
    with pytest.raises(Fault, match="2 of the 3"):
        store.load(render_signed(signed(build_policy("1.0.0", NOW), AUTHORITIES[:2])), NOW)
    assert store.documents() == []


def test_one_authority_signing_three_times_counts_once() -> None:
    document = signed(build_policy("1.0.0", NOW), [AUTHORITIES[0]] * 3)
    with pytest.raises(Fault, match="1 of the 2"):
        verify_policy(document, CERTIFICATES, 2)


def test_a_stranger_counts_for_nothing() -> None:
    document = signed(build_policy("1.0.0", NOW), [Authority("otro"), AUTHORITIES[0]])
    with pytest.raises(Fault, match="1 of the 2"):
        verify_policy(document, CERTIFICATES, 2)


def test_changed_byte_is_refused() -> None:
    document = signed(build_policy("1.0.0", NOW), AUTHORITIES)
    changed = SignedDocument(document.raw.replace(b"PUR-PORT", b"PUR-POST"), document.signatures)
    with pytest.raises(Fault, match="does not hold"):
        verify_policy(changed, CERTIFICATES, 3)


def test_signed_form_comes_back_as_it_was() -> None:
    document = signed(build_policy("1.0.0", NOW), AUTHORITIES)
    assert parse_signed(render_signed(document)) == document


def test_version_cannot_change_under_its_number(store: PolicyStore) -> None:
    store.load(render_signed(signed(build_policy("1.0.0", NOW), AUTHORITIES)), NOW)
    other = build_policy("1.0.0", NOW, more_answer_fields={"consultarHistoria": ("nombre",)})
    with pytest.raises(Fault, match="another content"):
        store.load(render_signed(signed(other, AUTHORITIES)), NOW)


def test_next_version_names_the_one_before(store: PolicyStore) -> None:
    first = build_policy("1.0.0", NOW)
    store.load(render_signed(signed(first, AUTHORITIES)), NOW)
    later = NOW + timedelta(days=1)
    with pytest.raises(Fault, match="must name"):
        store.load(render_signed(signed(build_policy("1.1.0", later), AUTHORITIES)), NOW)
    following = build_policy("1.1.0", later, previous=hashlib.sha256(first).hexdigest())
    store.load(render_signed(signed(following, AUTHORITIES)), NOW)
    snapshot = store.snapshot()
    found = [snapshot.in_force(POLICY_ID, at) for at in (NOW, later)]
    assert [None if p is None else p.version for p in found] == ["1.0.0", "1.1.0"]


def test_withdrawn_authority_takes_its_documents_out_of_force(store: PolicyStore) -> None:
    store.load(render_signed(signed(build_policy("1.0.0", NOW), AUTHORITIES)), NOW)
    store.set_authorities(CERTIFICATES[:2], 2)
    assert store.snapshot().in_force(POLICY_ID, NOW) is not None
    store.set_authorities([Authority("otro").certificate], 1)
    assert store.snapshot().in_force(POLICY_ID, NOW) is None
    assert "0 of the 1" in store.documents()[0].problem
