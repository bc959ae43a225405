"""The parsers of everything that comes from outside, each with inputs to begin from.

A target takes bytes and gives anything, or raises `Fault`. Push parsers are fed whole and a byte at a time, and must say
the same.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable
from dataclasses import dataclass

from certs.certificates import der_of, parse_certificate
from certs.configuration import TrustedConfiguration, verify_directory
from certs.dev.timestamping import timestamp_reply as dev_reply
from certs.verify import ocsp
from certs.verify import timestamp as timestamps
from certs.verify.container import expected_signer, verify_container, verify_file
from certs.verify.signature import FOREIGN_EVIDENCE, verify_document
from gateway.edges.revocation import read_responses
from gateway.http.reading import AnswerReader, RequestReader
from gateway.messagelog.archive import FIRST, parse_linking_info, verify_archive
from gateway.messagelog.sealedarchive import SealedArchiveWriter, verify_sealed_archive
from schemas import hashchain, identifiers, management, metadata, monitoring, policy, rest, soap, xades
from schemas.asic import container as asic
from schemas.asic.withheld import parse_withheld
from schemas.catalogue import parse_catalogue, render_catalogue
from schemas.faults import Fault
from schemas.faultxml import parse_soap_fault
from schemas.globalconf import parts
from schemas.globalconf.anchor import parse_anchor
from schemas.globalconf.directory import parse_signed_content, split_directory
from schemas.globalconf.private import parse_private
from schemas.globalconf.shared import parse_shared
from schemas.message import digest_of
from schemas.safexml import parse_xml
from schemas.target import parse_service_target
from schemas.zipreading import open_zip
from schemas.zipwriting import deflated, render_zip
from tests import worlds
from tests.paths import VECTORS
from tests.property.test_push_parsers import CONTENT_TYPE, framing, message, soap_message, written

Parse = Callable[[bytes], object]
_SEEDS_A_FOLDER = 12
_LARGEST_SEED = 200_000


@dataclass(frozen=True)
class Target:
    """A parser under test and where its seeds are: files of the vectors, and bytes made here."""

    parse: Parse
    patterns: tuple[str, ...] = ()
    made: Callable[[], list[bytes]] = list

    def seeds(self) -> list[bytes]:
        """What to begin from; never empty."""
        found = [
            path.read_bytes()
            for pattern in self.patterns
            for path in sorted(VECTORS.glob(pattern))[:_SEEDS_A_FOLDER]
            if path.is_file() and path.stat().st_size <= _LARGEST_SEED
        ]
        return [*found, *self.made(), b""]


def text(parse: Callable[[str], object]) -> Parse:
    """A parser of text, as HTTP headers and paths give it."""
    return lambda data: parse(data.decode("utf-8", "surrogateescape"))


def same_however_cut(read: Callable[[list[bytes]], object]) -> Parse:
    """A push parser fed whole and byte by byte."""

    def parse(data: bytes) -> object:
        whole = read([data])
        assert read([data[i : i + 1] for i in range(len(data))]) == whole
        return whole

    return parse


def _joined(events: list[object]) -> list[object]:
    """Events with the pieces of a body put together; errors as their text."""
    found: list[object] = []
    for event in events:
        if isinstance(event, bytes) and found and isinstance(found[-1], bytes):
            found[-1] += event
        else:
            found.append(event)
    return found


def http_requests(pieces: list[bytes]) -> object:
    """What a listener reads of these bytes."""
    reader = RequestReader()
    return _joined([event for piece in pieces for event in reader.feed(piece)])


def http_answer(pieces: list[bytes]) -> object:
    """What a client reads of these bytes."""
    reader = AnswerReader("GET")
    events = [event for piece in pieces for event in reader.feed(piece)]
    return _joined([*events, *reader.feed_eof()])


def made_requests() -> list[bytes]:
    """Requests as clients send them, framed in every way."""
    head = b"POST /r1/MX HTTP/1.1\r\nHost: x\r\nX-Name: Mu\xf1oz\r\n"
    return [
        head + b"Content-Length: 2\r\n\r\nok" + head + b"\r\n",
        head + b"Transfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nT: x\r\n\r\n",
        head + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nok",
        b"GET http://gw/a?b HTTP/1.0\r\nExpect: 100-continue\r\n\r\n",
    ]


def made_answers() -> list[bytes]:
    """Answers as systems give them, some only nearly so."""
    return [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nokX",
        b"http/1.1  200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
        b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        b"HTTP/1.0 200\r\n\r\nuntil the end",
    ]


def consumer_request(data: bytes) -> object:
    """A consumer system's request: first line, then headers."""
    first, *lines = data.decode("utf-8", "surrogateescape").split("\n")
    method, _, target = first.partition(" ")
    headers = [(name, value) for name, _, value in (line.partition(":") for line in lines)]
    return rest.build_request(method, target, headers, instance="MX", new_id=lambda: "id")


def directory(data: bytes) -> object:
    """A signed directory, its content too, though its signature be wrong."""
    world = worlds.world()
    try:
        verify_directory(data, [der_of(world.pki.root)], world.now)
    except Fault:
        return parse_signed_content(split_directory(data))
    raise AssertionError("nobody signed this directory with the root's key")


def ocsp_response(data: bytes) -> object:
    world = worlds.world()
    leaf = world.identities[worlds.CONSUMER.member].certificate
    ocsp.is_about(data, leaf, world.pki.intermediate)
    return ocsp.check_response(data, leaf, world.pki.intermediate, world.configuration, world.now)


def token(data: bytes) -> object:
    world = worlds.world()
    algorithm = timestamps.imprint_algorithm_of(data)
    proved = timestamps.check_token(
        data, algorithm.digest(b"x"), world.configuration.tsa_certificates(), algorithm
    )
    return timestamps.add_certificate(data, proved.authority)


def timestamp_reply(data: bytes) -> object:
    world = worlds.world()
    return timestamps.check_reply(data, digest_of(b"x"), world.configuration.tsa_certificates())


def signature(data: bytes) -> object:
    world = worlds.world()
    document = xades.parse_signature_document(data)
    return verify_document(document, worlds.CONSUMER.member, world.configuration, world.now, FOREIGN_EVIDENCE)


def container(data: bytes) -> object:
    verdict = verify_container(io.BytesIO(data), worlds.world().configuration)
    assert verdict.steps
    return asic.parse_container(data)


def hash_chain(data: bytes) -> object:
    """A result and a chain, one after the other, over a part that is known and others that are not."""
    result, _, chain = data.partition(b"\0")
    return hashchain.verify(result, chain, {"/message.xml": b"1" * 64, "/attachment1": b"2" * 64})


def stored_configuration(data: bytes) -> object:
    """Shared parameters and their metadata as a configuration client stores them."""
    raw, _, metadata_raw = data.partition(b"\0")
    files = {
        "instance-identifier": b"EE",
        "EE/shared-params.xml": raw,
        "EE/shared-params.xml.metadata": metadata_raw,
    }
    return TrustedConfiguration.load(files)


def made_chains() -> list[bytes]:
    several = [[("/message.xml", b"1" * 64), ("/attachment1", b"2" * 64)], [("/message.xml", b"3" * 64)]]
    built = hashchain.build(several)
    return [built.result + b"\0" + chain for chain in built.chains]


def made_signatures() -> list[bytes]:
    world = worlds.world()
    alone, batch = world.sign(world.request())[0], world.sign(world.request(body=b"x"))[0]
    return [alone.signature, batch.signature, xades.insert_timestamp(alone.signature, world.stamp(b"x"))]


def made_replies() -> list[bytes]:
    world = worlds.world()
    asked = timestamps.build_request(digest_of(b"x"), want_certificate=True)
    return [dev_reply(world.pki, asked, world.now, 1)]


def made_certificates() -> list[bytes]:
    world = worlds.world()
    return [der_of(i.certificate) for i in world.identities.values()] + [der_of(world.pki.root)]


def made_ocsp() -> list[bytes]:
    world = worlds.world()
    return [world.ocsp(world.identities[worlds.CONSUMER.member].certificate)]


def made_rest() -> list[bytes]:
    world = worlds.world()
    asked = world.request(body=b"x")
    return [asked.raw, world.response(asked).raw]


def made_lines() -> list[bytes]:
    return [b"POST /r1/MX/GOB/1/SUB/code/x?y=1\nX-Road-Client:MX/GOB/2/SUB\nX-Road-Id:1\nAccept:*/*"]


def made_revocation() -> list[bytes]:
    return [b"--b\r\nContent-Type: application/ocsp-response\r\n\r\n" + made_ocsp()[0] + b"\r\n--b--\r\n"]


def stored_seeds() -> list[bytes]:
    seeds = []
    for version in (2, 3, 4, 5, 6):
        folder = VECTORS / f"globalconf/good_v{version}/EE"
        names = ("shared-params.xml", "shared-params.xml.metadata")
        seeds.append(b"\0".join((folder / name).read_bytes() for name in names))
    return seeds


def unzipped(data: bytes) -> object:
    archive = open_zip(io.BytesIO(data))
    return {name: archive.read(name, 1 << 20) for name in archive.names}


def made_zips() -> list[bytes]:
    whole = list(worlds.containers().values())[:3]
    return [
        render_zip([(f"q{n}.asice", raw) for n, raw in enumerate(whole)], worlds.NOW, deflated),
        *whole,
    ]


def made_sealed() -> list[bytes]:
    out = io.BytesIO()
    writer = SealedArchiveWriter(out, FIRST)
    raw = worlds.containers()["alone"]
    writer.add(
        "a.asice", worlds.NOW, 1, bytes(32), lambda file, bare: file.write(raw[: 10 if bare else None])
    )
    writer.finish("")
    return [out.getvalue()]


def made_policies() -> list[bytes]:
    return [b'{"version": "1.0.0", "previous": "", "rules": []}', b'{"suspended": true}', b'[{"a": [1.5e3]}]']


QUERIES = ("queries/*.query", "queries/*.answer")
TARGETS: dict[str, Target] = {
    "identifier-element": Target(
        lambda d: identifiers.parse_identifier(parse_xml(d)), ("identifiers/*.xml",)
    ),
    "client-path": Target(
        text(identifiers.parse_client_path), made=lambda: [b"MX/GOB/1/SUB", b"MX/G%C3%B3/1"]
    ),
    "endpoint-path": Target(
        text(parse_service_target), made=lambda: [b"/a/../b", b"/%252e%252e/x", b"/a;v=1//b%2Fc?x=1?y"]
    ),
    "rest-request": Target(rest.parse_request, made=made_rest),
    "rest-response": Target(rest.parse_response, made=made_rest),
    "http-requests": Target(same_however_cut(http_requests), made=made_requests),
    "http-answer": Target(same_however_cut(http_answer), made=made_answers),
    "consumer-request": Target(consumer_request, made=made_lines),
    "soap": Target(soap.parse_envelope, QUERIES),
    "soap-message": Target(soap.parse_message, QUERIES),
    "soap-fault": Target(parse_soap_fault, ("queries/fault*.query", "queries/fault*.answer")),
    "multipart": Target(same_however_cut(framing), made=lambda: [written()[:600], soap_message()]),
    "proxy-message": Target(
        same_however_cut(lambda pieces: message(pieces, CONTENT_TYPE)),
        made=lambda: [written(), soap_message()],
    ),
    "foreign-proxy-message": Target(
        same_however_cut(
            lambda p: message(p, "multipart/mixed; charset=UTF-8; boundary=xtop1357783211hcn1yiro")
        ),
        ("proxymessages/*.request",),
    ),
    "signature": Target(signature, ("signatures/*.xml",), made_signatures),
    "hash-chain": Target(hash_chain, made=made_chains),
    "hash-chain-result": Target(hashchain.parse_result, ("hashchains/*result*.xml",)),
    "container": Target(container, ("asic/*/*.asice",), lambda: list(worlds.containers().values())),
    "expected-signer": Target(expected_signer, QUERIES, made_rest),
    "certificate": Target(parse_certificate, ("certs/*.pem",), made_certificates),
    "ocsp-response": Target(ocsp_response, made=made_ocsp),
    "ocsp-from-peer": Target(
        lambda d: read_responses("multipart/related; boundary=b", d), made=made_revocation
    ),
    "timestamp": Target(token, ("timestamps/*",), lambda: [worlds.world().stamp(b"x")]),
    "timestamp-reply": Target(timestamp_reply, made=made_replies),
    "anchor": Target(parse_anchor, ("globalconf/anchors/*.xml",)),
    "directory": Target(directory, ("globalconf/client/*.txt", "globalconf/signed/*/*conf")),
    "private-parameters": Target(parse_private, ("globalconf/good_v*/EE/private-params.xml",)),
    **{
        f"shared-parameters-{version}": Target(
            functools.partial(parse_shared, version=version),
            (f"globalconf/good_v{version}/EE/shared-params.xml",),
        )
        for version in (2, 3, 4, 5, 6)
    },
    "stored-configuration": Target(stored_configuration, made=stored_seeds),
    "monitoring-part": Target(parts.parse_monitoring_client, ("globalconf/parts/*monitoring*.xml",)),
    "interval-part": Target(parts.parse_fetch_interval, ("globalconf/parts/*fetch*.xml",)),
    "next-update-part": Target(parts.parse_verify_next_update, ("globalconf/parts/*next*.xml",)),
    "management-request": Target(management.parse_request, ("management/*", *QUERIES)),
    "management-parts": Target(
        lambda d: management.parse_parts("multipart/related; boundary=b", d),
        made=lambda: [written(), soap_message()],
    ),
    "management-status": Target(
        management.parse_status, made=lambda: [b'{"id": 1, "type": "clientReg", "status": "APPROVED"}']
    ),
    "clients-json": Target(metadata.parse_clients_json, ("metaservices/*",)),
    "clients-xml": Target(metadata.parse_clients_xml, ("metaservices/*",)),
    "services-json": Target(metadata.parse_services_json, ("metaservices/*",)),
    "services-body": Target(metadata.parse_services_body, ("metaservices/*",)),
    "get-wsdl": Target(metadata.parse_get_wsdl, ("metaservices/*",)),
    "linking-info": Target(parse_linking_info, made=lambda: [b"- - SHA-512\n00 a-request-1.asice\n"]),
    "archive": Target(lambda d: verify_archive(io.BytesIO(d), None), ("archives/*.zip",)),
    "sealed-archive": Target(
        lambda d: verify_sealed_archive(io.BytesIO(d), None), ("archives/message-archive-0.zip",), made_sealed
    ),
    "zip": Target(unzipped, ("archives/*.zip", "asic/*/*.asice"), made_zips),
    "zip-of-containers": Target(
        lambda d: list(verify_file(io.BytesIO(d), worlds.world().configuration)), made=made_zips
    ),
    "withheld": Target(parse_withheld, made=lambda: [b'{"format": "sacbe-withheld-1", "parts": []}']),
    "policy": Target(policy.parse_document, made=made_policies),
    "signed-policy": Target(policy.parse_signed, made=made_policies),
    "catalogue": Target(
        lambda d: parse_catalogue(d, worlds.PROVIDER), made=lambda: [render_catalogue(worlds.PROVIDER, ())]
    ),
    "operational-query": Target(lambda d: monitoring.parse_operational_query(d, 0, 600), QUERIES),
    "health-query": Target(monitoring.parse_health_query, QUERIES),
    "metrics-query": Target(monitoring.parse_metrics_query, QUERIES),
}


def crashes(target: Target, data: bytes) -> BaseException | None:
    """What a target raises over bytes that it may not raise."""
    try:
        target.parse(data)
    except Fault:
        return None
    except (Exception, RecursionError) as err:
        return err
    return None
