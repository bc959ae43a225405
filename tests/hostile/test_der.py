"""DER and BER of strangers: timestamp replies and tokens, OCSP responses, certificates. A value or a fault, in linear time."""

from __future__ import annotations

import time

import pytest
from asn1crypto import cms, core, tsp, x509

from certs.certificates import der_of, parse_certificate
from certs.der import LARGEST_BYTES, check_shape
from certs.dev.timestamping import timestamp_reply
from certs.verify import ocsp
from certs.verify import timestamp as timestamps
from certs.verify.container import verify_container
from schemas.faults import Fault, NotProved
from schemas.message import digest_of
from tests import worlds

BUDGET_S = 3.0


def wrap(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def nested(tag: int, depth: int, content: bytes = b"\x05\x00") -> bytes:
    for _ in range(depth):
        content = wrap(tag, content)
    return content


def token() -> bytes:
    return worlds.world().stamp(b"x")


def with_serial(number: int) -> bytes:
    read = cms.ContentInfo.load(token())
    read["content"]["signer_infos"][0]["sid"].chosen["serial_number"] = number
    raw: bytes = read.dump(force=True)
    return raw


def with_info(**changes: object) -> bytes:
    info = tsp.TSTInfo.load(bytes(cms.ContentInfo.load(token())["content"]["encap_content_info"]["content"]))
    for name, value in changes.items():
        info[name] = value
    return with_content(info.dump(force=True))


def with_content(content: bytes) -> bytes:
    read = cms.ContentInfo.load(token())
    signed = read["content"]
    inner = signed["encap_content_info"]["content_type"].dump() + wrap(0xA0, wrap(0x04, content))
    kept = (signed[name].dump() for name in ("version", "digest_algorithms"))
    after = (signed[name].dump() for name in ("certificates", "signer_infos"))
    fields = b"".join((*kept, wrap(0x30, inner), *after))
    return wrap(0x30, read["content_type"].dump() + wrap(0xA0, wrap(0x30, fields)))


def oid(octets: int) -> bytes:
    return wrap(0x06, b"\x2a" + b"\xff" * octets + b"\x01")


HUGE = 10**5000
WHOLE = token()
VALUES: dict[str, bytes] = {
    # As found.
    "5000-open-sequences": b"\x30\x80" * 5000,
    "serial-of-5000-digits": with_serial(HUGE),
    # Of their kind.
    "closed-open-sequences": b"\x30\x80" * 5000 + b"\x00\x00" * 5000,
    "open-sets": b"\x31\x80" * 100_000,
    "open-octet-strings": b"\x24\x80" * 5000 + b"\x00\x00" * 5000,
    "open-in-a-tag-of-their-own": b"\xa0\x80" * 5000,
    "closed-sequences": nested(0x30, 5000),
    "closed-octet-strings": nested(0x24, 5000, b"\x04\x01x"),
    "closed-tags": nested(0xA0, 300),
    "one-within-the-token": WHOLE[:2] + b"\x30\x80" * 4000 + WHOLE[2:],
    "negative-serial-of-5000-digits": with_serial(-HUGE),
    "stamp-number-of-5000-digits": with_info(serial_number=HUGE),
    "nonce-of-5000-digits": with_info(nonce=HUGE),
    "nested-content": with_content(nested(0x30, 5000)),
    "open-content": with_content(b"\x30\x80" * 5000),
    "content-is-text": with_content(b"hello"),
    "no-content": with_content(b""),
    "oid-of-5000-octets": wrap(0x30, oid(5000) + wrap(0xA0, b"\x30\x00")),
    "oid-of-400000-octets": wrap(0x30, oid(400_000)),
    "oid-without-an-end": wrap(0x30, wrap(0x06, b"\x2a\xff") + wrap(0xA0, b"\x30\x00")),
    "time-of-100000-digits": wrap(0x30, wrap(0x18, b"2" * 100_000 + b"Z")),
    "tag-without-an-end": b"\x3f" + b"\xff" * 5000,
    "length-of-length-127": b"\x30\xff" + b"\xff" * 200,
    "length-beyond-the-end": b"\x30\x84\xff\xff\xff\xff\x00",
    "a-child-longer-than-its-parent": b"\x30\x03\x04\x20a" + b"b" * 40,
    "a-million-nothings": wrap(0x30, b"\x05\x00" * 200_000),
    "more-than-is-read": wrap(0x30, wrap(0x04, bytes(LARGEST_BYTES))),
    "zeros": bytes(100_000),
    "nothing": b"",
    "half-a-token": WHOLE[: len(WHOLE) // 2],
    "two-tokens": WHOLE * 2,
    "a-plain-value-without-length": b"\x30\x80\x04\x80\x00\x00\x00\x00",
    "no-content-type": wrap(0x30, wrap(0xA0, b"")),
    "another-content-type": wrap(0x30, wrap(0x06, b"\x2a\x03") + wrap(0xA0, b"\x30\x00")),
}


def at_once(began: float) -> bool:
    return time.process_time() - began < BUDGET_S


@pytest.mark.parametrize("name", VALUES)
def test_a_token_is_refused_with_a_reason(name: str) -> None:
    began = time.process_time()
    for read in (
        lambda data: timestamps.check_token(data, digest_of(b"x"), [worlds.world().pki.tsa_certificate]),
        timestamps.imprint_algorithm_of,
        lambda data: timestamps.check_nonce(data, 1),
        lambda data: timestamps.add_certificate(data, worlds.world().pki.root),
    ):
        try:
            read(VALUES[name])
        except Fault as fault:
            assert len(fault.detail) < 500
    assert at_once(began)


@pytest.mark.parametrize("name", VALUES)
def test_a_reply_is_a_round_that_failed(name: str) -> None:
    granted = wrap(0x30, wrap(0x30, b"\x02\x01\x00") + VALUES[name])
    began = time.process_time()
    for reply in (VALUES[name], granted, granted[:-1]):
        with pytest.raises(NotProved):
            timestamps.check_reply(reply, digest_of(b"x"), [worlds.world().pki.tsa_certificate])
    assert at_once(began)


@pytest.mark.parametrize("name", VALUES)
def test_a_container_with_it_is_invalid(name: str) -> None:
    changed = worlds.rezipped(
        worlds.containers()["batch-timestamp"], {"META-INF/timestamp.tst": VALUES[name] or b" "}
    )
    began = time.process_time()
    verdict = verify_container(changed, worlds.world().configuration)
    assert not verdict.is_proved
    assert verdict.code
    assert at_once(began)


@pytest.mark.parametrize("name", VALUES)
def test_no_certificate_or_ocsp_response_or_request_is_made_of_it(name: str) -> None:
    world = worlds.world()
    leaf = world.identities[worlds.CONSUMER.member].certificate
    began = time.process_time()
    with pytest.raises(NotProved):
        parse_certificate(VALUES[name])
    assert not ocsp.is_about(VALUES[name], leaf, world.pki.intermediate)
    with pytest.raises(NotProved):
        ocsp.check_response(VALUES[name], leaf, world.pki.intermediate, world.configuration, world.now)
    refused = timestamps.TimestampReply.load(timestamp_reply(world.pki, VALUES[name], world.now, 1))
    assert refused["status"]["status"].native == "rejection"
    assert at_once(began)


def test_a_certificate_whose_serial_number_cannot_be_written_out_is_refused() -> None:
    read = x509.Certificate.load(der_of(worlds.world().pki.root))
    read["tbs_certificate"]["serial_number"] = HUGE
    with pytest.raises(NotProved):
        parse_certificate(read.dump(force=True))


@pytest.mark.parametrize("wrapper", ["definite", "open"])
def test_a_token_in_the_form_that_cms_writers_use_is_read(wrapper: str) -> None:
    read = cms.ContentInfo.load(WHOLE)
    if wrapper == "open":
        inner = wrap(0x30, read["content"].contents)
        opened = read["content_type"].dump() + b"\xa0\x80" + inner + b"\x00\x00"
        raw = b"\x30\x80" + opened + b"\x00\x00"
    else:
        raw = read.dump(force=True)
    world = worlds.world()
    proved = timestamps.check_token(raw, digest_of(b"x"), [world.pki.tsa_certificate])
    assert proved.at == world.now


def test_a_second_certificate_leaves_what_is_signed_as_it_was() -> None:
    world = worlds.world()
    twice = timestamps.add_certificate(WHOLE, world.pki.root)
    assert timestamps.add_certificate(twice, world.pki.root) == twice
    assert timestamps.check_token(twice, digest_of(b"x"), [world.pki.tsa_certificate]).at == world.now


@pytest.mark.parametrize("size", [0, 1, 23])
def test_depth_up_to_the_bound_is_looked_at(size: int) -> None:
    check_shape(nested(0x30, size), "value")
    with pytest.raises(ValueError, match="nests more"):
        check_shape(nested(0x30, 25), "value")
    assert core.Null.load(b"\x05\x00")
