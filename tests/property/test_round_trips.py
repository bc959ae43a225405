"""What is written is read as what it was: every parser against its writer."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from certs.algorithms import DigestAlgorithm
from gateway.messagelog.archive import ArchiveLink, LinkingInfo, parse_linking_info, render_linking_info
from schemas import hashchain, rest, xades
from schemas.asic import container as asic
from schemas.faults import Fault, Kind, Origin, Spelling, Step, camel_code, snake_code
from schemas.faultxml import parse_soap_fault, render_soap_fault
from schemas.globalconf import parts
from schemas.globalconf.anchor import Anchor, AnchorSource, parse_anchor, render_anchor
from schemas.globalconf.directory import (
    Directory,
    DirectoryPart,
    DirectorySignature,
    parse_signed_content,
    render_directory,
    render_signed_content,
    split_directory,
)
from schemas.globalconf.private import ManagementService, PrivateParameters, parse_private, render_private
from schemas.globalconf.shared import SharedParameters, parse_shared
from schemas.globalconf.sharedwriting import render_shared
from schemas.headers import HOP_HEADERS
from schemas.identifiers import (
    append_identifier,
    parse_client_path,
    parse_identifier,
    parse_server_path,
    quote_path,
    unquote_segments,
)
from tests.property.strategies import (
    BYTES,
    CLIENTS,
    CODES,
    DIGESTS,
    IDENTIFIERS,
    MOMENTS,
    SERVERS,
    SUBSYSTEMS,
    TEXT,
    URLS,
    WHOLE_SECONDS,
    shared_parameters,
)

if TYPE_CHECKING:
    from schemas.identifiers import ClientId, Identifier, ServerId

HEADER_NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,15}", fullmatch=True).filter(
    lambda n: n.lower() not in HOP_HEADERS and not n.lower().startswith("x-road")
)
# White space at the ends of a value is HTTP's, and no part of it.
HEADER_VALUES = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=30).map(str.strip)
HEADERS = st.lists(st.tuples(HEADER_NAMES, HEADER_VALUES), max_size=6)


@given(IDENTIFIERS)
def test_identifier_elements(identifier: Identifier) -> None:
    element = append_identifier(etree.Element("x"), "y", identifier)
    assert parse_identifier(etree.fromstring(etree.tostring(element))) == identifier


@given(CLIENTS, SERVERS, st.lists(CODES, min_size=1, max_size=6))
def test_identifier_paths(client: ClientId, server: ServerId, components: list[str]) -> None:
    assert parse_client_path(quote_path(client.components)) == client
    assert parse_server_path(quote_path(server.components)) == server
    assert list(unquote_segments(quote_path(components))) == components


@given(
    st.sampled_from(sorted(rest.METHODS)),
    SUBSYSTEMS.filter(lambda s: not {".", ".."} & set(s.components)),
    CODES.filter(lambda code: code not in (".", "..")),
    CLIENTS,
    st.from_regex(r"(/([a-z0-9;+]|%2F|%20){0,3}[a-z]){0,3}(\?[a-z=&?/+;]{0,10})?", fullmatch=True),
    HEADERS,
)
def test_rest_messages(
    method: str,
    provider: ClientId,
    code: str,
    client: ClientId,
    rest_of_target: str,
    headers: list[tuple[str, str]],
) -> None:
    target = f"/r1/{quote_path((*provider.components, code))}{rest_of_target}"
    said = [("X-Road-Client", quote_path(client.components)), *headers]
    request = rest.build_request(method, target, said, instance="MX", new_id=lambda: "id")
    assert rest.parse_request(request.raw) == request
    response = rest.build_response(200, "OK", headers, request, rest.compute_request_hash(b"1" * 64, None))
    assert rest.parse_response(response.raw) == response
    assert rest.is_response_part(response.raw)
    assert not rest.is_response_part(request.raw)
    rest.check_answers(request, response, response.request_hash)


@given(st.sampled_from(Kind), st.lists(st.sampled_from(Step), max_size=3), st.sampled_from(Origin))
def test_fault_codes_in_both_spellings(kind: Kind, steps: list[Step], origin: Origin) -> None:
    fault = Fault(kind, "x")
    fault.steps, fault.origin = tuple(steps), origin
    assert (
        snake_code(fault.code_in(Spelling.CAMEL)) == fault.code == snake_code(fault.code_in(Spelling.SNAKE))
    )
    assert camel_code(fault.code) == camel_code(snake_code(camel_code(fault.code)))


@given(CODES, TEXT, TEXT, TEXT)
def test_soap_faults(code: str, string: str, actor: str, detail: str) -> None:
    wire = parse_soap_fault(render_soap_fault(code, string, actor, detail))
    assert wire is not None
    assert (wire.code, wire.string, wire.actor, wire.detail) == (code, string, actor, detail)


URIS = st.from_regex(r"/[a-z0-9.]{1,12}", fullmatch=True)
PART_LISTS = st.lists(st.tuples(URIS, DIGESTS), min_size=1, max_size=4, unique_by=lambda p: p[0])


@given(st.lists(PART_LISTS, min_size=1, max_size=20))
def test_hash_chains_lead_from_every_message_to_the_result(messages: list[list[tuple[str, bytes]]]) -> None:
    if len(messages) == 1 and len(messages[0]) == 1:
        messages *= 2
    built = hashchain.build(messages)
    for message, chain in zip(messages, built.chains, strict=True):
        covered = hashchain.verify(built.result, chain, dict(message))
        assert list(covered) == [uri for uri, _ in message]
        assert hashchain.is_as_built(built.result, chain, message)


ISSUERS = st.text(
    st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\ufffe\uffff"), max_size=30
)
FACTS = st.builds(xades.SignerFacts, BYTES, ISSUERS, st.integers(1, 2**160))


@given(
    st.sampled_from((xades.MESSAGE_URI, xades.HASH_CHAIN_RESULT_URI)),
    DIGESTS,
    FACTS,
    BYTES,
    st.lists(BYTES, min_size=1, max_size=3),
    st.lists(FACTS, max_size=2),
    st.none() | BYTES,
)
def test_signature_documents(
    uri: str,
    digest: bytes,
    signer: xades.SignerFacts,
    value: bytes,
    responses: list[bytes],
    intermediates: list[xades.SignerFacts],
    token: bytes | None,
) -> None:
    draft = xades.build_to_be_signed(uri, digest, signer, "2026-11-24T12:00:00.000Z", "urn:algorithm")
    raw = draft.finish(value, responses, intermediates)
    if token is not None:
        raw = xades.insert_timestamp(raw, token)
    document = xades.parse_signature_document(raw)
    assert document.signed_info == draft.signed_info
    assert document.reference(uri) == xades.Reference(uri, "", xades.SHA512_URI, digest, ())
    assert (document.signature_value, document.certificate) == (value, signer.certificate)
    assert document.ocsp_responses == tuple(responses)
    assert document.intermediates == tuple(i.certificate for i in intermediates)
    assert document.timestamps == (() if token is None else (token,))
    # Told through the XML parser, for the blank behind its name: the quick road gives the very same.
    slowly = xades.parse_signature_document(raw.replace(b"<ds:Signature Id", b"<ds:Signature  Id", 1))
    assert slowly == document


OPTIONAL = st.none() | st.binary(min_size=1, max_size=50)


@given(
    st.binary(min_size=1, max_size=50).filter(bytes.strip),
    st.binary(min_size=1, max_size=50).filter(bytes.strip),
    st.none() | st.tuples(BYTES, BYTES),
    st.none() | st.tuples(BYTES, BYTES, BYTES),
    st.lists(st.binary(max_size=50), max_size=3),
    WHOLE_SECONDS,
)
def test_containers(
    message: bytes,
    signature: bytes,
    chain: tuple[bytes, bytes] | None,
    stamp: tuple[bytes, bytes, bytes] | None,
    bodies: list[bytes],
    at: datetime,
) -> None:
    named = [(f"attachment{n}", body) for n, body in enumerate(bodies, 1)]
    result, path = chain or (None, None)
    stamp_result, stamp_path, token = stamp or (None, None, None)
    said = asic.Container(
        message,
        signature,
        result,
        path,
        stamp_result,
        stamp_path,
        token,
        {n: asic_digest(b) for n, b in named},
    )
    assert asic.parse_container(asic.render_container(said, at, named)) == said


def asic_digest(content: bytes) -> bytes:
    return DigestAlgorithm.SHA512.digest(content)


@given(
    CODES,
    st.lists(st.builds(AnchorSource, URLS, st.lists(BYTES, min_size=1, max_size=2).map(tuple)), min_size=1),
    st.none() | MOMENTS,
)
def test_anchors(instance: str, sources: list[AnchorSource], at: datetime | None) -> None:
    at = None if at is None else at.replace(microsecond=at.microsecond // 1000 * 1000)
    anchor = Anchor(instance, tuple(sources), at)
    raw = render_anchor(anchor)
    assert parse_anchor(raw) == anchor
    assert parse_anchor(raw).hash_text() == anchor.hash_text()


DIRECTORY_TEXT = st.from_regex(r"[A-Za-z0-9/._-]{1,20}", fullmatch=True)
DIRECTORY_PARTS = st.builds(
    DirectoryPart,
    st.sampled_from(("SHARED-PARAMETERS", "FOO")),
    DIRECTORY_TEXT,
    DIRECTORY_TEXT,
    st.just(xades.SHA512_URI),
    DIGESTS,
)


@given(st.integers(2, 6), WHOLE_SECONDS, st.lists(DIRECTORY_PARTS, max_size=4), BYTES, DIGESTS)
def test_directories(
    version: int, at: datetime, listed: list[DirectoryPart], value: bytes, certificate_digest: bytes
) -> None:
    directory = Directory(version, at, tuple(listed))
    signature = DirectorySignature("urn:algorithm", xades.SHA512_URI, certificate_digest, value)
    signed = render_signed_content(directory, "inner")
    split = split_directory(render_directory(signed, "inner", "outer", signature))
    assert split.signed == signed
    assert split.signature == signature
    assert parse_signed_content(split) == directory


def as_version(shared: SharedParameters, version: int) -> SharedParameters:
    """What a version can say of it: writing and reading once more must not change that."""
    return parse_shared(render_shared(shared, version), version)


@settings(max_examples=60)
@given(shared_parameters(), st.integers(2, 5))
def test_shared_parameters(shared: SharedParameters, version: int) -> None:
    assert parse_shared(render_shared(shared), 6) == shared
    older = as_version(shared, version)
    assert as_version(older, version) == older
    assert older.members[0].id == shared.members[0].id


@given(
    CODES,
    URLS,
    CLIENTS,
    st.none() | BYTES,
    st.integers(1, 10**6),
    st.lists(st.builds(Anchor, CODES, st.just((AnchorSource("http://a/", (b"c",)),))), max_size=2),
)
def test_private_parameters(
    instance: str,
    address: str,
    provider: ClientId,
    certificate: bytes | None,
    interval_s: int,
    anchors: list[Anchor],
) -> None:
    private = PrivateParameters(
        instance, ManagementService(address, provider, certificate), interval_s, tuple(anchors)
    )
    assert parse_private(render_private(private)) == private


@given(st.none() | CLIENTS, st.integers(60, 10**6), st.booleans())
def test_optional_parts(client: ClientId | None, interval_s: int, verify: bool) -> None:
    assert parts.parse_monitoring_client(parts.render_monitoring_client(client)) == client
    assert parts.parse_fetch_interval(parts.render_fetch_interval(interval_s)) == interval_s
    assert parts.parse_verify_next_update(parts.render_verify_next_update(verify)) is verify


LINK_TEXT = st.from_regex(r"[a-z0-9.]{1,12}", fullmatch=True)
LINKS = st.builds(ArchiveLink, LINK_TEXT, LINK_TEXT) | st.just(ArchiveLink())


@given(
    LINKS,
    st.sampled_from((DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512)),
    st.lists(st.tuples(LINK_TEXT, LINK_TEXT), max_size=5, unique_by=lambda e: e[1]),
)
def test_linking_info(
    previous: ArchiveLink, algorithm: DigestAlgorithm, entries: list[tuple[str, str]]
) -> None:
    info = LinkingInfo(previous, algorithm, tuple(entries))
    assert parse_linking_info(render_linking_info(info)) == info
