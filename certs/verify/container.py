"""The verdict on a signed container, offline: was this message signed by whom it says, and when.

`verify_container` takes the numbered steps of X-Road's asic-verifier, stricter where a body is there: one that does not
match the hash chain makes the container invalid, one that is not there is said so. A hash chain that nobody signed is
reported and ignored, as X-Road does: it proves nothing and disproves nothing.

1 container read · 2 signer expected, from the message · 3 coverage · 4 timestamp · 5 signature and signer ·
6 path and OCSP at the time of the timestamp · 7 bodies

A container that says what it withholds (`schemas.asic.withheld`) takes the same steps on the digests it gives instead. What it
proves is less: who signed what has these digests, and when; never what a content was. So it is not valid, but `is_proved`.

Spec: PR-SIGDOC; X-Road 7.8's AsicContainerVerifier.
"""

from __future__ import annotations

import enum
import re
from functools import lru_cache
from typing import IO, TYPE_CHECKING

import msgspec

from certs.certificates import subject_of
from certs.verify import signature as verifying
from certs.verify import timestamp as timestamps
from schemas import hashchain, rest, xades
from schemas.asic import container as asic
from schemas.faults import BadMessage, Fault, Kind, NotProved, Step, step
from schemas.identifiers import ClientId, ServiceId, parse_client_element, parse_identifier
from schemas.message import digest_of
from schemas.safexml import parse_xml
from schemas.zipreading import open_zip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from certs.configuration import TrustedConfiguration
    from schemas.asic.withheld import Withheld
    from schemas.zipreading import Zip

SIGNATURES_URI = "/META-INF/signatures.xml"
_XROAD = "{http://x-road.eu/xsd/xroad.xsd}"
_SOAP = "{http://schemas.xmlsoap.org/soap/envelope/}"
_REST_MESSAGE = re.compile(rb"(?:[A-Z]{3,7}\r\n/r1/|[1-9][0-9]{2}\r\n)")
_CONTAINER = re.compile(r"[^/]+\.asice")
_OLD_STAMPS = timestamps.TimestampPolicy(check_purpose=False)


class StepOutcome(enum.StrEnum):
    """The finding of one numbered step of a verification."""

    VALID = "valid"
    INVALID = "invalid"
    WARNING = "warning"


class VerdictStep(msgspec.Struct, frozen=True):
    """One numbered step; ``code`` is the fault's when it is invalid."""

    number: int
    title: str
    outcome: StepOutcome
    detail: str
    code: str | None = None


class Verdict(msgspec.Struct):
    """The steps taken, and what they established."""

    steps: list[VerdictStep] = msgspec.field(default_factory=list)
    signer: ClientId | None = None
    message_id: str | None = None
    timestamp: datetime | None = None
    withheld: Withheld | None = None
    # As it stands in the container; empty when it could not be read, or is withheld.
    message: bytes = b""

    @property
    def is_valid(self) -> bool:
        """Whether no step failed, all were taken, and the content is all there."""
        return self.is_proved and self.withheld is None

    @property
    def is_proved(self) -> bool:
        """Whether no step failed and all were taken, be it on digests of withheld content."""
        return bool(self.steps) and all(s.outcome is not StepOutcome.INVALID for s in self.steps)

    @property
    def code(self) -> str | None:
        """The code of the step that failed."""
        return next((s.code for s in self.steps if s.outcome is StepOutcome.INVALID), None)


def verify_container(
    source: IO[bytes], configuration: TrustedConfiguration, *, at: datetime | None = None
) -> Verdict:
    """The verdict on one container; ``at`` stands in for the timestamp's time. Raises OSError and MemoryError alone.

    What no check foresaw is no proof either: the step at which it happened is invalid.
    """
    verdict = Verdict()
    try:
        _verify(source, configuration, at, verdict)
    except Fault as fault:
        _failed(verdict, fault.detail, fault.code)
    except (OSError, MemoryError):
        raise
    except Exception as err:  # a verdict is due on any bytes
        _failed(
            verdict,
            f"it cannot be judged ({type(err).__name__}: {str(err)[:200]})",
            Kind.INTERNAL_ERROR.value,
        )
    return verdict


def verify_file(
    source: IO[bytes], configuration: TrustedConfiguration, *, at: datetime | None = None
) -> Iterator[tuple[str | None, Verdict]]:
    """The verdicts on a file: of each container of a zip as ``GET /asic`` gives it, by name, or on the one it is (None).

    Raises OSError and MemoryError alone.
    """
    bundle = _bundle(source)
    if bundle is None:
        source.seek(0)
        yield None, verify_container(source, configuration, at=at)
        return
    for name in bundle.names:
        try:
            container = bundle.open(name)
        except Fault as fault:
            verdict = Verdict()
            _failed(verdict, fault.detail, fault.code)
            yield name, verdict
            continue
        with container:
            yield name, verify_container(container, configuration, at=at)


def _bundle(source: IO[bytes]) -> Zip | None:
    """The zip of containers that a file is; None: it is none, and perhaps a container."""
    try:
        found = open_zip(source)
    except Fault:
        return None
    return found if found.names and all(_CONTAINER.fullmatch(n) for n in found.names) else None


def _failed(verdict: Verdict, detail: str, code: str) -> None:
    number = verdict.steps[-1].number + 1 if verdict.steps else 1
    verdict.steps.append(VerdictStep(number, _TITLES[number], StepOutcome.INVALID, detail, code))


_TITLES = {
    1: "container",
    2: "message",
    3: "coverage",
    4: "timestamp",
    5: "signature",
    6: "certificate path and OCSP",
    7: "bodies",
}


def _verify(
    source: IO[bytes], configuration: TrustedConfiguration, at: datetime | None, verdict: Verdict
) -> None:
    def passed(number: int, detail: str, outcome: StepOutcome = StepOutcome.VALID) -> None:
        verdict.steps.append(VerdictStep(number, _TITLES[number], outcome, detail))

    container = asic.read_container(source)
    document = xades.parse_signature_document(container.signature)
    if container.timestamp is None and not document.timestamps:
        raise BadMessage(Kind.ASIC_TIMESTAMP_NOT_FOUND, "the container has no timestamp")
    remarks = "".join(f"; {remark}" for remark in container.remarks)
    looks = StepOutcome.WARNING if remarks else StepOutcome.VALID
    passed(1, f"complete, with {len(container.attachments)} bodies{remarks}", looks)

    withheld, verdict.message = container.withheld, container.message
    verdict.withheld = withheld
    if withheld is None:
        signer, verdict.message_id = expected_signer(container.message)
        passed(2, f"{verdict.message_id}, to be signed by {signer.path()}")
    else:
        signer, verdict.message_id = withheld.signer, withheld.message_id
        line = f"{verdict.message_id}, said to be signed by {signer.path()}; withheld: {withheld.says()}"
        passed(2, line, StepOutcome.WARNING)

    if not any(document.reference(u) for u in (xades.MESSAGE_URI, xades.HASH_CHAIN_RESULT_URI)):
        raise NotProved(
            Kind.MALFORMED_SIGNATURE, "the signature references neither the message nor a hash chain result"
        )
    passed(3, "the signature is over the message or its hash chain")

    stamp = _check_timestamp(container, document, configuration)
    verdict.timestamp = stamp.at
    passed(4, f"{_utc(stamp.at)} by {subject_of(stamp.authority)}")

    moment = at or stamp.at
    proved = verifying.verify_document(document, signer, configuration, moment, verifying.FOREIGN_EVIDENCE)
    is_whole = _is_as_built(container, document)
    stray = "" if is_whole else _check_coverage(container, document)
    verdict.signer = proved.member
    by = f"by {proved.member.path()} ({subject_of(proved.certificate)})"
    passed(5, f"{by}; {stray}" if stray else by, StepOutcome.WARNING if stray else StepOutcome.VALID)
    passed(6, f"good, says the OCSP response produced {_utc(proved.ocsp.produced_at)}")
    passed(7, _whole_bodies(container) if is_whole else _bodies(container, document))


# Containers of a batch share these times.
@lru_cache(maxsize=64)
def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def expected_signer(message: bytes) -> tuple[ClientId, str]:
    """The member whose signature a message needs, and the message's id. Raises `BadMessage`."""
    if message.lstrip()[:1] == b"<" or message.startswith(b"\xef\xbb\xbf"):
        return _soap_signer(message)
    signer, message_id = rest.signer_of(message)
    return signer.member, message_id


def _soap_signer(message: bytes) -> tuple[ClientId, str]:
    root = parse_xml(message, kind=Kind.INVALID_SOAP, what="message")
    header, body = root.find(f"{_SOAP}Header"), root.find(f"{_SOAP}Body")
    client = None if header is None else header.find(f"{_XROAD}client")
    service = None if header is None else header.find(f"{_XROAD}service")
    message_id = None if header is None else header.findtext(f"{_XROAD}id")
    if client is None or service is None or not message_id or body is None or not len(body):
        raise BadMessage(Kind.MISSING_HEADER_FIELD, "the SOAP message lacks client, service, id or a body")
    provider = parse_identifier(service)
    if not isinstance(provider, ServiceId):
        raise BadMessage(Kind.INVALID_SOAP, "the SOAP message's service is no service identifier")
    is_response = str(body[0].tag).endswith("Response")
    return (provider.client if is_response else parse_client_element(client)).member, message_id


def _is_as_built(container: asic.Container, document: xades.SignatureDocument) -> bool:
    """Whether the signature is over a hash chain that is, byte for byte, what is built over all that is in the container.

    Then steps 5 and 7 ask the same of it. False says nothing. Raises `NotProved` when the signature is over another result.
    """
    result, chain = container.sig_hash_chain_result, container.sig_hash_chain
    by_chain = document.reference(xades.HASH_CHAIN_RESULT_URI)
    if by_chain is None or result is None or chain is None or container.withheld is not None:
        return False
    parts = container.signed_parts()
    named = [xades.MESSAGE_URI, *(f"/attachment{n}" for n in range(1, len(parts)))]
    if document.reference(xades.MESSAGE_URI) is not None or [uri for uri, _ in parts] != named:
        return False
    verifying.check_octets(by_chain, result)
    return hashchain.is_as_built(result, chain, parts)


def _check_coverage(container: asic.Container, document: xades.SignatureDocument) -> str:
    if container.withheld is not None:
        verifying.check_coverage(
            document,
            container.sig_hash_chain_result,
            container.sig_hash_chain,
            container.signed_parts(),
            verifying.FOREIGN_EVIDENCE,
        )
        return ""
    parts = {f"/{name}": digest for name, digest in container.attachments.items()}
    by_chain = document.reference(xades.HASH_CHAIN_RESULT_URI)
    if by_chain is None:
        signed = [("/message.xml", digest_of(container.message))]
        signed += [(u, d) for u, d in parts.items() if document.reference(u) is not None]
        verifying.check_coverage(document, None, None, signed, verifying.FOREIGN_EVIDENCE)
        if container.sig_hash_chain is not None:
            return "a hash chain lies beside it that nobody signed"
        return ""

    def resolve(uri: str) -> bytes | None:
        return container.message if uri == "/message.xml" else None

    verifying.check_coverage(
        document,
        container.sig_hash_chain_result,
        container.sig_hash_chain,
        [("/message.xml", digest_of(container.message))],
        verifying.FOREIGN_EVIDENCE,
        resolve=resolve,
    )
    return ""


def _whole_bodies(container: asic.Container) -> str:
    """Step 7 where the chain was found to be over all there is."""
    _check_one_message(container)
    return f"{len(container.attachments)} are what was signed"


def _bodies(container: asic.Container, document: xades.SignatureDocument) -> str:
    """Step 7: every body that is there is what was signed; those that are not there are said."""
    if container.withheld is not None:
        return f"the digests are what was signed; not proved by content: {', '.join(container.withheld.digests())}"
    digests = {f"/{name}": digest for name, digest in container.attachments.items()}
    result, chain = container.sig_hash_chain_result, container.sig_hash_chain
    if document.reference(xades.HASH_CHAIN_RESULT_URI) is None or result is None or chain is None:
        loose = [u for u in digests if document.reference(u) is None]
        if loose:
            raise NotProved(
                Kind.MALFORMED_SIGNATURE, f"{', '.join(loose)} is in the container but nobody signed it"
            )
        return f"{len(digests)} directly signed" if digests else "none"
    missing: list[str] = []

    def resolve(uri: str) -> bytes | None:
        if uri == "/message.xml":
            return container.message
        missing.append(uri)
        return None

    with step(Step.MALFORMED_SIGNATURE):
        hashchain.verify(
            result, chain, {"/message.xml": None, **digests}, resolve=resolve, algorithm_uri=None
        )
    _check_one_message(container)
    counted = f"{len(digests)} are what was signed"
    return counted + (f"; not included: {', '.join(missing)}" if missing else "")


def _check_one_message(container: asic.Container) -> None:
    """Refuse one message and a body that may as well be two messages, signed together.

    In X-Road's hash tree two messages of one part each are hashed as one message and its body are, so whoever holds both can
    pass the second off as the body of the first. No body of a message between systems begins as such a message does.
    """
    if len(container.attachments) == 1 and any(_is_message(b) for b in container.beginnings.values()):
        raise NotProved(
            Kind.MALFORMED_SIGNATURE,
            "the body is itself a message between security servers: the signature holds for two messages that were signed "
            "together as well, and does not tell which it was",
        )


def _is_message(beginning: bytes) -> bool:
    if _REST_MESSAGE.match(beginning):
        return b"x-road-" in beginning.lower()
    return b"Envelope" in beginning and b"http://x-road.eu/xsd/xroad.xsd" in beginning


def _check_timestamp(
    container: asic.Container, document: xades.SignatureDocument, configuration: TrustedConfiguration
) -> timestamps.Timestamp:
    if container.timestamp is None:
        token, content = document.timestamps[0], document.signature_value
    else:
        if container.ts_hash_chain_result is None or container.ts_hash_chain is None:
            raise BadMessage(Kind.ASIC_HASH_CHAIN_RESULT_NOT_FOUND, "the batch timestamp has no hash chain")
        _check_batch(container.ts_hash_chain_result, container.ts_hash_chain, container.signature)
        token, content = container.timestamp, container.ts_hash_chain_result
    algorithm = timestamps.imprint_algorithm_of(token)
    return timestamps.check_token(
        token, algorithm.digest(content), configuration.tsa_certificates(), algorithm, _OLD_STAMPS
    )


def _check_batch(result: bytes, chain: bytes, signature: bytes) -> None:
    """The batch's hash chain leads from this signature document to the result that was stamped."""
    parts = [(SIGNATURES_URI, digest_of(signature))]
    if hashchain.is_as_built(result, chain, parts, hashchain.TIMESTAMP_CHAIN_URI):
        return
    with step(Step.MALFORMED_SIGNATURE):
        hashchain.verify(
            result,
            chain,
            {SIGNATURES_URI: None},
            chain_uri=hashchain.TIMESTAMP_CHAIN_URI,
            resolve=lambda uri: signature if uri == SIGNATURES_URI else None,
            algorithm_uri=None,
        )
