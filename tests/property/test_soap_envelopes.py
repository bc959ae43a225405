"""SOAP envelopes are read as another XML reader reads them, whatever their prefixes, spacing and order; an answer's request
hash changes nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from schemas import soap
from schemas.faults import BadMessage, Kind
from schemas.faultxml import SOAP_NS
from schemas.identifiers import ID_NS, ClientId, ServiceId, render_identifier_parts
from schemas.soapenvelope import REPRESENTATION_NS, XROAD_NS, SoapLimits
from tests.property.strategies import CODES, SERVERS, SUBSYSTEMS

if TYPE_CHECKING:
    from schemas.identifiers import Identifier, ServerId

PREFIXES = st.from_regex(r"[a-wyz][a-z0-9]{0,5}", fullmatch=True)
SPACES = st.sampled_from(["", " ", "\n  ", "\t\r\n", "<!-- > -->"])
SAFE = st.characters(exclude_categories=("Cs", "Cc", "Cn"), exclude_characters="\ufffe\uffff")
TEXTS = st.text(SAFE, min_size=1, max_size=20).filter(lambda t: bool(t.strip()))
MEMBER = ClientId("MX", "GOB", "00-RNSS")
EXAMPLE = soap.render_request(MEMBER, ServiceId(MEMBER.subsystem("INDICE"), "echo"), "q-1", "<echo/>")
NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9]{0,10}", fullmatch=True)


@st.composite
def envelopes(draw: st.DrawFn, *, with_hash: bool = False) -> tuple[bytes, dict[str, str | None]]:
    """An envelope with prefixes, spaces, quotes and an order of headers that nobody else would choose; and its values."""
    code = draw(NAMES)
    client = draw(SUBSYSTEMS)
    service = ServiceId(draw(SUBSYSTEMS), code)
    x, i, s, r = draw(st.lists(PREFIXES, min_size=4, max_size=4, unique=True))
    values = {
        "id": draw(TEXTS),
        "userId": draw(st.none() | TEXTS),
        "issue": draw(st.none() | TEXTS),
        "protocolVersion": "4.0",
        "requestHash": draw(st.sampled_from([None, "", "b2xk"])) if with_hash else None,
    }
    server = draw(st.none() | SERVERS)
    party = draw(st.none() | st.tuples(st.none() | CODES, CODES))

    def space() -> str:
        return draw(SPACES)

    def element(name: str, text: str) -> str:
        if not text and draw(st.booleans()):
            return f"<{x}:{name}/>"
        if draw(st.booleans()):
            return f"<{x}:{name}{draw(st.sampled_from(['', ' ', chr(10)]))}>{escape(text)}</{x}:{name} >"
        return f"<{name} note={quoteattr('a>b')} xmlns={quoteattr(XROAD_NS)}>{escape(text)}</{name}>"

    def identifier(name: str, value: Identifier) -> str:
        parts = space().join(f"<{i}:{n}>{escape(v)}</{i}:{n}>" for n, v in render_identifier_parts(value))
        return f"<{x}:{name} {i}:objectType='{value.object_type}'>{space()}{parts}{space()}</{x}:{name}>"

    fields = [element(n, v) for n, v in values.items() if v is not None]
    fields += [identifier("client", client), identifier("service", service)]
    fields += [identifier("securityServer", server)] if server else []
    if party is not None:
        inner = "" if party[0] is None else f"<{r}:partyClass>{escape(party[0])}</{r}:partyClass>"
        fields.append(
            f"<{r}:representedParty>{inner}<{r}:partyCode>{escape(party[1])}</{r}:partyCode></{r}:representedParty>"
        )
    if draw(st.booleans()):
        fields.append("<o:other xmlns:o='urn:o'><o:id>no</o:id></o:other>")
    header = space().join(draw(st.permutations(fields)))
    named = code + draw(st.sampled_from(["", "Response"]))
    body = f"<p:{named} xmlns:p='urn:p'>{escape(draw(TEXTS))}</p:{named}>"
    text = (
        f"{draw(st.sampled_from(['', chr(0xFEFF)]))}<{s}:Envelope xmlns:{s}={quoteattr(SOAP_NS)} xmlns:{x}={quoteattr(XROAD_NS)} "
        f"xmlns:{i}={quoteattr(ID_NS)} xmlns:{r}={quoteattr(REPRESENTATION_NS)}>{space()}<{s}:Header>{space()}{header}"
        f"{space()}</{s}:Header>{space()}<{s}:Body a='>'>{space()}{body}{space()}</{s}:Body>{space()}</{s}:Envelope>{space()}"
    )
    said: dict[str, str | None] = dict(values)
    said |= {
        "client": str(client),
        "service": str(service),
        "server": None if server is None else str(server),
    }
    said["party"] = None if party is None else party[1] if party[0] is None else f"{party[0]}/{party[1]}"
    return text.encode(), said


@given(envelopes(with_hash=True))
def test_an_envelope_says_what_was_written_into_it(made: tuple[bytes, dict[str, str | None]]) -> None:
    raw, said = made
    read = soap.parse_message(raw)
    assert read.raw == raw
    assert said == {
        "id": read.message_id,
        "userId": read.user_id,
        "issue": read.issue,
        "protocolVersion": read.protocol_version,
        "requestHash": read.request_hash,
        "client": str(read.client),
        "service": str(read.service),
        "server": None if read.security_server is None else str(read.security_server),
        "party": read.represented_party,
    }


def canonical(raw: bytes, *, without_hash: bool) -> bytes:
    """The envelope in canonical form with its headers' spacing taken out, as another reader sees it."""
    root = etree.fromstring(raw.removeprefix(b"\xef\xbb\xbf"))
    header = root.find(f"{{{SOAP_NS}}}Header")
    assert header is not None
    for child in list(header):
        if without_hash and child.tag == f"{{{XROAD_NS}}}requestHash":
            header.remove(child)
        else:
            child.tail = None
    header.text = None
    return etree.tostring(root, method="c14n", with_comments=False)


@given(envelopes(with_hash=True))
def test_a_request_hash_is_the_only_change_to_an_answer(made: tuple[bytes, dict[str, str | None]]) -> None:
    answer = soap.parse_message(made[0])
    value = soap.compute_request_hash(b"d" * 64)
    hashed = soap.with_request_hash(answer, value)
    again = soap.parse_message(hashed.raw)
    assert again == hashed
    assert again.request_hash == value
    soap.check_request_hash(b"d" * 64, again)
    soap.check_consistent(answer, again)
    hashes = etree.fromstring(hashed.raw).findall(f".//{{{XROAD_NS}}}requestHash")
    assert [(h.text, h.get("algorithmId")) for h in hashes] == [(value, soap.HASH_ALGORITHM_URI)]
    assert canonical(hashed.raw, without_hash=True) == canonical(made[0], without_hash=True)


@given(SUBSYSTEMS, SUBSYSTEMS, NAMES, TEXTS, st.none() | TEXTS, st.none() | SERVERS)
def test_a_request_is_read_as_it_was_rendered(
    client: ClientId,
    provider: ClientId,
    code: str,
    message_id: str,
    user: str | None,
    server: ServerId | None,
) -> None:
    service = ServiceId(provider, code)
    raw = soap.render_request(client, service, message_id, f"<{code}/>", user_id=user, security_server=server)
    read = soap.parse_message(raw)
    assert (read.client, read.service, read.message_id) == (client, service, message_id)
    assert (read.user_id, read.security_server, read.body_name) == (user, server, code)


@given(envelopes(), st.integers(0), st.sampled_from([b"", b"<", b"&", b">", b"</x>", b"\x00", b"\xff"]))
def test_a_damaged_envelope_is_refused_or_reads_to_the_end(
    made: tuple[bytes, dict[str, str | None]], place: int, damage: bytes
) -> None:
    raw = made[0]
    at = place % len(raw)
    try:
        read = soap.parse_message(raw[:at] + damage + raw[at + 1 :])
    except BadMessage:
        return
    # What is still accepted is a whole document for another reader too.
    etree.fromstring(read.raw.removeprefix(b"\xef\xbb\xbf"))


@pytest.mark.parametrize(
    ("limits", "what"),
    [
        (SoapLimits(size_bytes=100), "bytes; at most 100"),
        (SoapLimits(depth=3), "nested more than 3 deep"),
        (SoapLimits(elements=4), "more than 4 elements"),
        (SoapLimits(namespaces=2), "more than 2 namespace declarations"),
        (SoapLimits(header_value_bytes=1), "a header value longer than 1"),
    ],
)
def test_each_bound_has_its_words(limits: SoapLimits, what: str) -> None:
    with pytest.raises(BadMessage, match=what) as caught:
        soap.parse_envelope(EXAMPLE, limits)
    assert caught.value.kind is Kind.INVALID_SOAP
