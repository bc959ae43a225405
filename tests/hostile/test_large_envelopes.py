"""Envelopes of megabytes that anybody may send: read in pieces with others served in between, and never otherwise than at once."""

from __future__ import annotations

import time

import pytest

from schemas import soap
from schemas.faults import BadMessage
from schemas.identifiers import ClientId, ServiceId
from schemas.soapenvelope import scan_in_pieces

CLIENT = ClientId("MX", "GOB", "15-ISSEMYM", "AFIL")
SERVICE = ServiceId(ClientId("MX", "GOB", "00-RNSS", "IDENT"), "a")
PIECE = 64 * 1024
BOMBS = {
    "different prefixes": "".join(f"<b xmlns:n{n}='u'/>" for n in range(300_000)),
    "attributes": "<b " + " ".join(f"a{n}='1'" for n in range(300_000)) + "/>",
    "elements": "<b/>" * 2_200_000,
    "elements with attributes": "<b c='d' e=''/>" * 600_000,
    "deep": "<b>" * 1_000_000 + "</b>" * 1_000_000,
    "a tag that never ends": "<b c='" + "d" * 5_000_000,
    "a comment that never ends": "<!--" + "d" * 5_000_000,
}


def envelope(inside: str) -> bytes:
    return soap.render_request(CLIENT, SERVICE, "q-1", f"<a>{inside}</a>")


@pytest.mark.parametrize("bomb", BOMBS)
def test_no_piece_of_an_envelope_costs_more_than_a_moment(bomb: str) -> None:
    raw = envelope(BOMBS[bomb])
    work, longest = soap.parse_in_pieces(raw), 0.0
    with pytest.raises(BadMessage):
        while True:
            began = time.process_time()
            try:
                next(work)
            finally:
                longest = max(longest, time.process_time() - began)
    assert longest < 1.0  # some 10 ms on an idle machine; each took 0.6 to 1.9 s as a whole


@pytest.mark.parametrize(
    "before", [0, PIECE - 700, PIECE - 350, PIECE - 60, PIECE - 1, PIECE, 2 * PIECE - 500]
)
def test_where_an_envelope_is_cut_changes_nothing(before: int) -> None:
    plain = envelope("é" * 200_000 + "<b>x</b>")
    place = plain.rindex(b"<", 0, plain.index(b"Header"))
    raw = plain[:place] + b" " * before + plain[place:]
    found, shifted = soap.parse_message(plain), soap.parse_message(raw)
    assert (shifted.client, shifted.service, shifted.message_id) == (CLIENT, SERVICE, "q-1")
    begin, end = shifted.places.body_content
    assert raw[begin:end] == plain[slice(*found.places.body_content)]
    begin, end = shifted.places.id_element
    assert raw[begin:end] == plain[slice(*found.places.id_element)]


def test_a_small_envelope_is_read_without_a_stop() -> None:
    with pytest.raises(StopIteration):
        next(scan_in_pieces(envelope("x")))
