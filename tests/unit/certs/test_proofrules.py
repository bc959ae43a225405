"""Small rules of proofs: the shape of DER, paths, name constraints, OCSP responders, containers, notes of logs and witnesses."""

from __future__ import annotations

import io
import ipaddress
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from asn1crypto import x509 as asn1
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp as library

from certs.certificates import der_of, parse_certificate
from certs.der import LARGEST_BYTES, check_shape
from certs.tokens.soft import KeyKind
from certs.transparency import NoteSigner, appointments_in, verify_cosignatures, verify_log, verify_record
from certs.verify import ocsp
from certs.verify.chain import verify_chain
from certs.verify.container import expected_signer, verify_container
from certs.verify.nameconstraints import check_name_constraints
from schemas.faults import BadMessage, NotProved
from schemas.globalconf.witnesses import AppointedLog, Appointments, CentralWitness, render_appointments
from schemas.identifiers import ServerId
from schemas.message import Side
from schemas.transparency.announcement import log_origin
from schemas.transparency.entries import NO_OPENING, Opening
from schemas.transparency.merkle import leaf_hash
from schemas.transparency.notes import (
    COSIGNATURE_ED25519,
    ED25519,
    Checkpoint,
    NoteSignature,
    SignedNote,
    cosigned_text,
)
from schemas.transparency.proofs import InclusionProof
from schemas.transparency.records import RecordProof, RecordStatement
from serving.storage.selfsigned import self_signed
from tests import worlds
from tests.unit.certs.test_chains import certificate as chained
from tests.unit.certs.test_chains import key, root, trust
from tests.unit.certs.test_nameconstraints import MAIL, alternative, ca, certificate, named
from tests.worlds import CONSUMER, NOW

# DER


def nested(depth: int) -> bytes:
    raw = b""
    for _ in range(depth):
        size = len(raw)
        length = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2)
        raw = b"\x30" + length + raw
    return raw


def number(octets: int) -> bytes:
    return b"\x02\x84" + octets.to_bytes(4) + b"\x01" * octets


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"\x04\x84" + (LARGEST_BYTES - 5).to_bytes(4) + bytes(LARGEST_BYTES - 5), "at most"),
        (b"\x04\x80\x00\x00", "a plain value does not say its length"),
        (b"\x30", "ends too early"),
        (b"\x1f\xff\xff", "ends too early"),
        (b"\x30\x02\x04\x01", "longer than what it lies in"),
        (b"\x30\x84\xff\xff\xff\xff", "longer than what it lies in"),
        (b"\x30\x80\x04\x01", "longer than what it lies in"),
    ],
)
def test_bytes_that_are_no_values_are_refused(raw: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_shape(raw, "thing")


def test_values_are_as_many_as_deep_and_as_long_as_they_may_be() -> None:
    for fits, breaks, words in (
        (nested, range(1, 200), "nests more than"),
        (lambda n: number(1 << n), range(1, 22), "octets; at most"),
        (lambda n: b"\x05\x00" * (1 << n), range(1, 22), "values, or nests"),
    ):
        verdicts = []
        for n in breaks:
            try:
                check_shape(fits(n), "thing")
            except ValueError as err:
                assert words in str(err)
                verdicts.append(False)
                break
            verdicts.append(True)
        assert verdicts[0]
        assert not verdicts[-1]
    check_shape(b"\x30\x80\x04\x01x\x00\x00", "thing")


# Certificates and their paths


def test_the_serial_number_of_a_certificate_is_one_that_can_be_written_out() -> None:
    leaf = self_signed("serie")[1][0]
    der = der_of(leaf)
    serial = leaf.serial_number.to_bytes(20).lstrip(b"\0")
    assert der.count(serial) == 1
    place = der.index(serial)
    longer = bytes.fromhex("0102") * 200
    inner = b"\x02\x82" + len(longer).to_bytes(2) + longer
    start = place - 2
    grown = len(inner) - 2 - len(serial)
    body = der[:start] + inner + der[place + len(serial) :]
    body = body[:2] + (int.from_bytes(body[2:4]) + grown).to_bytes(2) + body[4:]
    body = body[:6] + (int.from_bytes(body[6:8]) + grown).to_bytes(2) + body[8:]
    with pytest.raises(NotProved, match=r"its serial number has \d+ bits|cannot be read"):
        parse_certificate(body)


def version_1(subject: str) -> x509.Certificate:
    """A certificate of version 1, which has no extensions."""
    made = asn1.Certificate.load(der_of(chained(subject, "root")))
    tbs = made["tbs_certificate"]
    tbs["version"] = "v1"
    del tbs["extensions"]
    made["signature_value"] = key("root").sign(tbs.dump(force=True), ec.ECDSA(hashes.SHA256()))
    return x509.load_der_x509_certificate(made.dump(force=True))


def test_a_certificate_of_version_1_proves_nothing() -> None:
    assert len(verify_chain(chained("leaf", "root"), (), trust(root()), "MX", NOW)) == 2
    with pytest.raises(NotProved, match=r"is an X\.509 certificate v1; v3 was expected"):
        verify_chain(version_1("leaf"), (), trust(root()), "MX", NOW)


def test_issuers_of_one_name_are_tried_up_to_a_bound() -> None:
    leaf = chained("leaf", "middle")
    middle = chained("middle", "root", ca=True, usage="key_cert_sign")
    others = [
        chained("middle", "root", ca=True, usage="key_cert_sign", public_key=key(f"k{n}").public_key())
        for n in range(70)
    ]
    assert len(verify_chain(leaf, (*others[:40], middle), trust(root()), "MX", NOW)) == 3
    with pytest.raises(NotProved, match="issuers were tried, and no path leads from"):
        verify_chain(leaf, others, trust(root()), "MX", NOW)


@pytest.mark.parametrize(
    ("constraint", "name", "words"),
    [
        (
            x509.IPAddress(ipaddress.ip_network("10.0.0.0/8")),
            x509.IPAddress(ipaddress.ip_network("10.0.0.0/8")),
            "it is no address",
        ),
        (MAIL("gob.mx"), MAIL._init_without_validation("nobody"), "it is no mailbox"),
        (MAIL("gob.mx"), MAIL._init_without_validation("a@b@gob.mx"), "it is no mailbox"),
        (MAIL._init_without_validation("a@b@gob.mx"), MAIL("a@gob.mx"), "is malformed"),
        (MAIL._init_without_validation("@gob.mx"), MAIL("a@gob.mx"), "is malformed"),
    ],
)
def test_names_and_constraints_that_are_malformed_are_refused(
    constraint: x509.GeneralName, name: x509.GeneralName, words: str
) -> None:
    with pytest.raises(NotProved, match=words):
        check_name_constraints([certificate(named("a"), alternative(name)), ca(permitted=(constraint,))])


# Containers


class Broken(io.BytesIO):
    """A file on a disk that fails."""

    def read(self, *_: object) -> bytes:
        raise OSError("input/output error")


def test_a_disk_that_fails_is_no_verdict() -> None:
    with pytest.raises(OSError, match="input/output error"):
        verify_container(Broken(bytes(100)), worlds.world().configuration)


SOAP = """<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/" xmlns:x="http://x-road.eu/xsd/xroad.xsd"
 xmlns:i="http://x-road.eu/xsd/identifiers"><e:Header>
<x:client i:objectType="SUBSYSTEM"><i:xRoadInstance>MX</i:xRoadInstance><i:memberClass>GOB</i:memberClass>
<i:memberCode>C</i:memberCode><i:subsystemCode>S</i:subsystemCode></x:client>
<x:service i:objectType="SERVICE"><i:xRoadInstance>MX</i:xRoadInstance><i:memberClass>GOB</i:memberClass>
<i:memberCode>P</i:memberCode><i:subsystemCode>S</i:subsystemCode><i:serviceCode>s</i:serviceCode></x:service>
<x:id>7</x:id></e:Header><e:Body><s/></e:Body></e:Envelope>"""


def test_a_soap_message_is_signed_by_its_client_and_its_answer_by_its_provider() -> None:
    signer, number = expected_signer(SOAP.encode())
    assert (signer.path(), number) == ("MX/GOB/C", "7")
    assert expected_signer(SOAP.replace("<s/>", "<sResponse/>").encode())[0].path() == "MX/GOB/P"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("<x:id>7</x:id>", "<x:id/>", "lacks client, service, id or a body"),
        ("x:client", "x:other", "lacks client, service, id or a body"),
        ("x:service", "x:other", "lacks client, service, id or a body"),
        ("<s/>", "", "lacks client, service, id or a body"),
        ("e:Header", "e:Head", "lacks client, service, id or a body"),
        ("<i:serviceCode>s</i:serviceCode>", "", "is no service identifier"),
    ],
)
def test_a_soap_message_that_names_nobody_is_signed_by_nobody(old: str, new: str, words: str) -> None:
    changed = SOAP.replace(old, new)
    if "identifier" in words:
        changed = changed.replace('"SERVICE"', '"SUBSYSTEM"')
    with pytest.raises(BadMessage, match=words):
        expected_signer(changed.encode())


# OCSP


def test_a_responder_whose_certificate_nobody_has_proves_nothing() -> None:
    ours, other = worlds.world(), worlds.world(KeyKind.EC_P384)
    leaf = ours.identities[CONSUMER.member].certificate
    stranger, (unknown,) = self_signed("responder")
    der = library.OCSPResponseBuilder()
    answer = der.add_response(
        leaf,
        ours.pki.intermediate,
        hashes.SHA1(),
        library.OCSPCertStatus.GOOD,
        NOW,
        NOW + timedelta(hours=1),
        None,
        None,
    ).responder_id(library.OCSPResponderEncoding.HASH, unknown)
    raw = answer.sign(stranger, hashes.SHA256()).public_bytes(Encoding.DER)
    for configuration in (ours.configuration, other.configuration):
        with pytest.raises(NotProved, match="neither known nor in the response"):
            ocsp.check_response(raw, leaf, ours.pki.intermediate, configuration, NOW)


# Notes of logs and witnesses

LOG = NoteSigner("camino/log", Ed25519PrivateKey.from_private_bytes(b"l" * 32))
WITNESS = NoteSigner("camino/witness", Ed25519PrivateKey.from_private_bytes(b"w" * 32))
NOTE = LOG.sign(SignedNote(Checkpoint("camino/log", 7, bytes(32)).render()))


def cosignature(at_s: int, *, more: bytes = b"") -> SignedNote:
    value = at_s.to_bytes(8) + WITNESS.key.sign(cosigned_text(NOTE.text, at_s)) + more
    return NOTE.signed_also(NoteSignature(WITNESS.name, WITNESS.verifier(COSIGNATURE_ED25519).key_id, value))


@pytest.mark.parametrize(
    ("note", "words"),
    [
        (cosignature(1 << 63), r"has a time beyond 2\*\*63"),
        (cosignature((1 << 63) - 1), "is of no time of this calendar"),
        (cosignature(0, more=b"x"), "does not hold"),
    ],
)
def test_a_cosignature_of_no_time_or_of_another_length_refuses_the_whole(
    note: SignedNote, words: str
) -> None:
    witness = WITNESS.verifier(COSIGNATURE_ED25519)
    assert verify_cosignatures(cosignature(0), [witness]) == {WITNESS.name: datetime(1970, 1, 1, tzinfo=UTC)}
    with pytest.raises(NotProved, match=words):
        verify_cosignatures(note, [witness])


def test_who_is_appointed_is_what_the_configuration_says_and_otherwise_nobody() -> None:
    shared = worlds.world().shared
    centre = CentralWitness("https://cs.invalid/tlog", WITNESS.verifier(COSIGNATURE_ED25519))
    appointed = Appointments((centre,))
    raw = render_appointments(appointed)
    assert appointments_in(worlds.trusted(shared, NOW, **{"transparency": raw})) == appointed
    nobody = Appointments()
    for found in (
        None,
        worlds.trusted(shared, NOW),
        worlds.trusted(shared, NOW, **{"transparency": b"<a/>"}),
    ):
        assert appointments_in(found) == nobody


def test_a_log_signs_with_one_signature_of_its_own_length() -> None:
    log = LOG.verifier(ED25519)
    assert verify_log(NOTE, log).size == 7
    longer = NOTE.signed_also(NoteSignature(LOG.name, log.key_id, NOTE.signatures[0].signature + b"x"))
    with pytest.raises(NotProved, match="does not hold"):
        verify_log(longer, log)


def test_a_note_of_another_log_or_key_is_not_this_log_s() -> None:
    for other in (
        NoteSigner("camino/otro", LOG.key),
        NoteSigner(LOG.name, Ed25519PrivateKey.from_private_bytes(b"o" * 32)),
    ):
        with pytest.raises(NotProved, match=f"has no signature of the log {other.name}") as caught:
            verify_log(NOTE, other.verifier(ED25519))
        assert caught.value.code == "invalid_signature_value"


SERVER = ServerId("MX", "GOB", "CAMINO", "SS1")
OURS = NoteSigner(log_origin(SERVER), Ed25519PrivateKey.from_private_bytes(b"s" * 32))
APPOINTED = Appointments(
    (), (AppointedLog(SERVER, OURS.verifier(ED25519), WITNESS.verifier(COSIGNATURE_ED25519)),)
)
STATEMENT = RecordStatement(
    "id-3", "", False, Side.PROVIDER, "MX/GOB/CAMINO", "MX/GOB/X/Y", "MX/GOB/CAMINO/Z/s", "soap", b"m" * 64, b"v", None, None, 77
)  # fmt: skip


def proof_of(statement: RecordStatement, opening: Opening, signer: NoteSigner = OURS) -> RecordProof:
    """The proof of a log of one entry, which commits to ``opening``."""
    head = Checkpoint(signer.name, 1, leaf_hash(opening.entry()))
    return RecordProof(
        statement, InclusionProof(0, (), signer.sign(SignedNote(head.render())), opening.render())
    )


def opening_of(statement: RecordStatement, number: int = 6) -> Opening:
    return Opening(NO_OPENING.salt, number, statement.side, statement.at_ms, statement.digest(), b"g" * 32)


def test_a_record_is_proved_by_the_key_of_its_log() -> None:
    found = verify_record(proof_of(STATEMENT, opening_of(STATEMENT)), APPOINTED)
    assert (found.statement, found.number, found.checkpoint.size, found.cosigned) == (STATEMENT, 6, 1, {})
    stranger = NoteSigner("MX/GOB/OTRO/SS1", OURS.key)
    with pytest.raises(NotProved, match="has no key of a log MX/GOB/OTRO/SS1") as caught:
        verify_record(proof_of(STATEMENT, opening_of(STATEMENT), stranger), APPOINTED)
    assert caught.value.code == "invalid_signature_value"


@pytest.mark.parametrize(
    "change",
    [
        {"side": Side.CONSUMER},
        {"at_ms": 78},
        {"client": "MX/GOB/X"},
        {"is_response": True},
        {"bodies": (b"b" * 64,)},
    ],
    ids=str,
)
def test_a_record_is_what_its_entry_commits_to_and_nothing_else(change: dict[str, object]) -> None:
    other = msgspec.structs.replace(STATEMENT, **change)
    with pytest.raises(NotProved, match="what is said of record 6 is not what entry 0") as caught:
        verify_record(proof_of(other, opening_of(STATEMENT)), APPOINTED)
    assert caught.value.code == "invalid_hash_chain"


def test_the_first_entry_of_a_log_proves_no_record() -> None:
    with pytest.raises(NotProved, match="the proof is of no record"):
        verify_record(proof_of(STATEMENT, opening_of(STATEMENT, number=0)), APPOINTED)
