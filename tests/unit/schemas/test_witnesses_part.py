"""The part of the configuration that appoints witnesses, and the announcements it is made of: read as written, refused otherwise."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.faults import BadMessage, Fault
from schemas.globalconf.witnesses import (
    AppointedLog,
    Appointments,
    CentralWitness,
    parse_appointments,
    render_appointments,
)
from schemas.identifiers import ServerId
from schemas.transparency.announcement import (
    KeyAnnouncement,
    SignedAnnouncement,
    log_origin,
    parse_announcement,
    witness_name,
)
from schemas.transparency.notes import COSIGNATURE_ED25519, ED25519, VerifierKey

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
CODES = st.text(st.sampled_from("ABÑ ñ+%&<>'-_.é中0"), min_size=1, max_size=12).filter(
    lambda t: t == t.strip() and t not in (".", "..")
)
SERVERS = st.builds(ServerId, st.just("MX"), CODES, CODES, CODES)
KEYS = st.binary(min_size=32, max_size=32)


def log_of(server: ServerId, key: bytes = bytes(32), *witnesses: ServerId) -> AppointedLog:
    return AppointedLog(
        server,
        VerifierKey(log_origin(server), ED25519, key),
        VerifierKey(witness_name(server), COSIGNATURE_ED25519, key),
        witnesses,
    )


@given(st.lists(SERVERS, unique=True, max_size=6), KEYS)
def test_appointments_are_read_as_they_were_written(servers: list[ServerId], key: bytes) -> None:
    central = CentralWitness("http://c.mx/tlog", VerifierKey("MX/central/witness", COSIGNATURE_ED25519, key))
    logs = tuple(log_of(s, key, *[w for w in servers if w != s][:2]) for s in servers)
    made = Appointments((central,), logs)
    assert parse_appointments(render_appointments(made)) == made


A, B = ServerId("MX", "GOB", "A", "S"), ServerId("MX", "GOB", "B", "S")


@pytest.mark.parametrize(
    "wrong",
    [
        Appointments((), (log_of(A), log_of(A))),
        Appointments((), (log_of(A, bytes(32), A),)),
        Appointments((), (log_of(A, bytes(32), B),)),
        Appointments((), (AppointedLog(A, log_of(B).log_key, log_of(A).witness_key),)),
        Appointments((), (AppointedLog(A, log_of(A).witness_key, log_of(A).witness_key),)),
        Appointments((CentralWitness("ftp://c.mx/tlog", log_of(A).witness_key),)),
        Appointments((CentralWitness("http://c.mx/tlog", log_of(A).log_key),)),
    ],
    ids=[
        "twice",
        "itself",
        "unknown",
        "another's key",
        "key of another type",
        "address",
        "central key of a log",
    ],
)
def test_appointments_that_could_mislead_are_refused(wrong: Appointments) -> None:
    with pytest.raises(Fault, match="witnesses"):
        parse_appointments(render_appointments(wrong))


def announced(server: ServerId, key: bytes) -> SignedAnnouncement:
    log = log_of(server, key)
    made = KeyAnnouncement(server, log.log_key, log.witness_key, AT)
    return SignedAnnouncement(made, made.statement(), "SHA512withECDSA", b"signature")


@given(SERVERS, KEYS)
def test_an_announcement_is_read_as_it_was_written(server: ServerId, key: bytes) -> None:
    made = announced(server, key)
    assert parse_announcement(made.render()) == made


@given(st.data())
def test_an_announcement_that_was_changed_is_refused_or_says_something_else(data: st.DataObject) -> None:
    raw = bytearray(announced(A, bytes(32)).render())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    try:
        found = parse_announcement(bytes(raw))
    except (BadMessage, Fault):
        return
    assert found != announced(A, bytes(32))


def test_keys_of_another_server_are_not_announced() -> None:
    made = announced(A, bytes(32)).render()
    other = made.replace(quote("MX/GOB/A/S").encode(), b"MX/GOB/B/S", 1)
    with pytest.raises(BadMessage, match="was expected"):
        parse_announcement(other)
