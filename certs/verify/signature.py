"""Verifying a message's signature: who signed, and that every part is covered. Strict where X-Road is lax.

The steps of `verify_message_signature`. Coverage comes last, for it reads what else came (a hash chain), and nothing of that
is worth reading before somebody known has signed:

1. The document is well formed, its algorithms are accepted, no Id is double.
2. The certificate is for signing (nonRepudiation) and is the one the signed properties name by digest.
3. Its subject, read by its CA's profile, is the member expected.
4. The signature value and the reference to the signed properties hold.
5. The path leads to an approved CA, and an OCSP response in the document says the certificate was good.
6. It covers the message: a reference to ``/message.xml`` and to every other part, or one to the hash chain result from
   which the chain leads to every part, each in its place. A chain that came but is not referenced is refused.

A document already proved is remembered by its bytes (a batch has one for many messages); step 6 is done for each message.
What steps 2, 3 and 5 say of a certificate with its OCSP responses is remembered for exactly these bytes under exactly this
configuration. Both for a minute at the most, and never beyond what certificates and OCSP responses allow.

Spec: PR-SIGDOC; PR-MESSTRANSP 5; X-Road 7.8's SignatureVerifier.
"""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from certs.algorithms import DigestAlgorithm, SignatureAlgorithm, verify_digest_signature
from certs.certificates import name_text, parse_certificate
from certs.verify import chain as chains
from certs.verify import ocsp
from schemas import hashchain, xades
from schemas.faults import Fault, Kind, NotProved, Step, step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cryptography import x509

    from certs.configuration import TrustedConfiguration
    from schemas.identifiers import ClientId

# A batch comes within moments; a parsed document holds some 20 KB, so more would only fill memory.
_REMEMBERED = 64
_REMEMBERED_SIGNERS = 1024
_STRONG = (DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512)


class VerifyingPolicy(msgspec.Struct, frozen=True):
    """The strictness of a verification. The defaults are those for traffic; `FOREIGN_EVIDENCE` reads every known dialect.

    ``allow_references`` lets parts be referenced directly besides the message. ``allow_old_ocsp`` lets OCSP responses be
    later than the evaluation time, as those in recorded evidence are. ``allow_weak_chain`` lets in certificates signed
    with SHA-1 long ago.
    """

    allow_references: bool = True
    allow_old_ocsp: bool = False
    allow_weak_chain: bool = False


TRAFFIC = VerifyingPolicy()
FOREIGN_EVIDENCE = VerifyingPolicy(allow_old_ocsp=True, allow_weak_chain=True)


class VerifiedSigner(msgspec.Struct, frozen=True):
    """Who signed, proved: the member, its certificate and what the OCSP response said of it."""

    member: ClientId
    certificate: x509.Certificate
    ocsp: ocsp.OcspStatus
    signing_time: str
    until: datetime


class _ProvedSigner(msgspec.Struct, frozen=True):
    """A signer proved by its certificate and OCSP responses, good at every moment from ``since`` until before ``until``."""

    member: ClientId
    certificate: x509.Certificate
    ocsp: ocsp.OcspStatus
    since: datetime
    until: datetime


class _ProvedDocument(msgspec.Struct, frozen=True):
    """A document proved, since when, and who signed it, who says until when."""

    document: xades.SignatureDocument
    since: datetime
    signer: VerifiedSigner


def verify_message_signature(
    signature: bytes,
    hash_chain_result: bytes | None,
    hash_chain: bytes | None,
    parts: Sequence[tuple[str, bytes]],
    expected_member: ClientId,
    configuration: TrustedConfiguration,
    at: datetime,
    *,
    policy: VerifyingPolicy = TRAFFIC,
) -> VerifiedSigner:
    """Prove that ``expected_member`` signed exactly ``parts`` (URI and SHA-512 digest). Raises `NotProved`.

    See the module for the steps. The caller adds the step ``signature_verification``.
    """
    key = (
        signature,
        expected_member.instance,
        policy,
    )
    remembered = configuration.memory.of(_ProvedDocument, _REMEMBERED)
    known = remembered.get(key)
    if known is not None and known.since <= at < known.signer.until:
        check_coverage(known.document, hash_chain_result, hash_chain, parts, policy)
        _check_member(known.signer.member, expected_member)
        return known.signer
    document = xades.parse_signature_document(signature)  # 1
    signer = verify_document(document, expected_member, configuration, at, policy)  # 2-5
    remembered.keep(key, _ProvedDocument(document, at, signer))
    check_coverage(document, hash_chain_result, hash_chain, parts, policy)  # 6
    return signer


def verify_document(
    document: xades.SignatureDocument,
    expected_member: ClientId,
    configuration: TrustedConfiguration,
    at: datetime,
    policy: VerifyingPolicy = TRAFFIC,
) -> VerifiedSigner:
    """Steps 2 to 5: who signed the document. What it covers is another question (`check_coverage`)."""
    instance = expected_member.instance
    key = (
        document.certificate,
        document.intermediates,
        document.ocsp_responses,
        instance,
        policy,
    )
    remembered = configuration.memory.of(_ProvedSigner, _REMEMBERED_SIGNERS)
    known = remembered.get(key)
    if known is not None and known.since <= at < known.until:
        _check_named_certificate(document)
        _check_member(known.member, expected_member)
        check_signature_value(document, known.certificate)
        return VerifiedSigner(known.member, known.certificate, known.ocsp, document.signing_time, known.until)
    certificate = parse_certificate(document.certificate)  # 2
    chains.check_kind(certificate, chains.LeafKind.SIGNING)
    _check_named_certificate(document)
    member = configuration.member_of_signing_certificate(certificate, instance)  # 3
    _check_member(member, expected_member)
    check_signature_value(document, certificate)  # 4
    status, since, until = _check_path(document, certificate, instance, configuration, at, policy)  # 5
    remembered.keep(key, _ProvedSigner(member, certificate, status, since, until))
    return VerifiedSigner(member, certificate, status, document.signing_time, until)


def check_coverage(
    document: xades.SignatureDocument,
    hash_chain_result: bytes | None,
    hash_chain: bytes | None,
    parts: Sequence[tuple[str, bytes]],
    policy: VerifyingPolicy = TRAFFIC,
    *,
    resolve: Callable[[str], bytes | None] | None = None,
) -> None:
    """Step 6: every part is covered, and by exactly one way. Raises `NotProved`."""
    by_chain = document.reference(xades.HASH_CHAIN_RESULT_URI)
    if by_chain is None:
        if hash_chain_result is not None or hash_chain is not None:
            raise _malformed("a hash chain came that the signature does not reference")
        _check_direct(document, parts, policy)
        return
    if document.reference(xades.MESSAGE_URI) is not None:
        raise _malformed("the signature references both the message and a hash chain result")
    if hash_chain_result is None or hash_chain is None:
        raise _malformed("the signature is over a hash chain result, but the hash chain did not come")
    check_octets(by_chain, hash_chain_result)
    if resolve is None and hashchain.is_as_built(hash_chain_result, hash_chain, parts):
        return
    inputs: dict[str, bytes | None] = dict(parts)
    if resolve is not None:
        # The chain digests what it resolves itself, and says which part is wrong.
        inputs = dict.fromkeys(inputs)
    with step(Step.MALFORMED_SIGNATURE):
        covered = hashchain.verify(hash_chain_result, hash_chain, inputs, resolve=resolve)
    _check_order(covered)


def _check_order(covered: Sequence[str]) -> None:
    """The message comes first, then its attachments: a chain that names them otherwise passes one off as the other."""
    expected = [xades.MESSAGE_URI, *(f"/attachment{n}" for n in range(1, len(covered)))]
    if list(covered) != expected:
        raise _malformed(
            f"the hash chain is over {', '.join(covered)[:200]}; the message and then its attachments were expected"
        )


def _check_direct(
    document: xades.SignatureDocument, parts: Sequence[tuple[str, bytes]], policy: VerifyingPolicy
) -> None:
    if len(parts) > 1 and not policy.allow_references:
        raise _malformed("the message has several parts, but the signature has no hash chain over them")
    references: Mapping[str, xades.Reference] = {r.uri: r for r in document.references}
    if len(references) != len(document.references):
        raise _malformed("two references of the signature have the same URI")
    for uri, digest in parts:
        reference = references.get(uri)
        if reference is None:
            raise _malformed(f"the signature does not cover {uri}")
        if reference.transforms:
            raise _malformed(f"the reference to {uri} has transforms, which are not accepted")
        if DigestAlgorithm.from_uri(reference.digest_uri) is not DigestAlgorithm.SHA512:
            raise _malformed(f"the reference to {uri} has a digest other than SHA-512")
        if reference.digest != digest:
            raise NotProved(
                Kind.INVALID_SIGNATURE_VALUE, f"the digest of {uri} is not the one that was signed"
            )


def check_octets(reference: xades.Reference, content: bytes) -> None:
    """A reference without transforms and with a strong digest is over exactly this content. Raises `NotProved`."""
    algorithm = DigestAlgorithm.from_uri(reference.digest_uri)
    if reference.transforms or algorithm not in _STRONG:
        raise _malformed(f"the reference to {reference.uri} has transforms or a weak digest")
    if algorithm.digest(content) != reference.digest:
        raise NotProved(
            Kind.INVALID_SIGNATURE_VALUE, f"the digest of {reference.uri} is not the one that was signed"
        )


def _check_named_certificate(document: xades.SignatureDocument) -> None:
    algorithm = DigestAlgorithm.from_uri(document.certificate_digest_uri)
    if algorithm not in _STRONG or algorithm.digest(document.certificate) != document.certificate_digest:
        raise NotProved(
            Kind.INVALID_SIGNATURE_VALUE,
            "the signed properties name another certificate than the one the signature brings",
        )


def _check_member(member: ClientId, expected: ClientId) -> None:
    if not member.same_member(expected):
        raise NotProved(
            Kind.INCORRECT_CERTIFICATE,
            f"the signing certificate belongs to {member.path()}; {expected.member.path()} was expected",
        )


def check_signature_value(document: xades.SignatureDocument, certificate: x509.Certificate) -> None:
    """Step 4: the key made the value over SignedInfo, and SignedInfo has the digest of the signed properties.

    Raises `NotProved` (``invalid_signature_value``).
    """
    algorithm = SignatureAlgorithm.from_uri(document.algorithm_uri)
    properties = document.reference(f"#{document.signed_properties_id}")
    if properties is None or properties.type != xades.SIGNED_PROPERTIES_TYPE:
        raise _malformed("the signature does not cover its signed properties")
    if len(properties.transforms) > 1:
        raise _malformed("the signed properties have more than one transform")
    digest = DigestAlgorithm.from_uri(properties.digest_uri)
    if digest not in _STRONG or digest.digest(document.signed_properties) != properties.digest:
        raise NotProved(
            Kind.INVALID_SIGNATURE_VALUE, "the digest of the signed properties is not the one that was signed"
        )
    verify_digest_signature(
        certificate.public_key(),
        document.signature_value,
        algorithm.digest.digest(document.signed_info),
        algorithm,
        ecdsa_format="raw",
    )


def _check_path(
    document: xades.SignatureDocument,
    certificate: x509.Certificate,
    instance: str,
    configuration: TrustedConfiguration,
    at: datetime,
    policy: VerifyingPolicy,
) -> tuple[ocsp.OcspStatus, datetime, datetime]:
    if not document.ocsp_responses:
        raise _malformed("the signature brings no OCSP response")
    with step(Step.INVALID_CERT_PATH):
        path = chains.verify_chain(
            certificate,
            [parse_certificate(der) for der in document.intermediates],
            configuration,
            instance,
            at,
            leaf_kind=chains.LeafKind.SIGNING,
            policy=chains.ChainPolicy(allow_weak=policy.allow_weak_chain),
        )
        statuses = [
            _ocsp_status(document.ocsp_responses, c, issuer, configuration, at, policy)
            for c, issuer in itertools.pairwise(path)
        ]
    ocsp_policy = _ocsp_policy(configuration, policy)
    since = max(
        *(ocsp.good_since(s, ocsp_policy) for s in statuses),
        *(c.not_valid_before_utc for c in path),
    )
    until = min(
        *(ocsp.good_until(s, configuration) for s in statuses),
        *(c.not_valid_after_utc for c in path),
    )
    return statuses[0], since, until


def _ocsp_policy(configuration: TrustedConfiguration, policy: VerifyingPolicy) -> ocsp.OcspPolicy:
    strict = ocsp.policy_of(configuration)
    if not policy.allow_old_ocsp:
        return strict
    return ocsp.OcspPolicy(
        strict.freshness_s, strict.verify_next_update, skew_s=None, check_responder_validity=False
    )


def _ocsp_status(
    responses: Sequence[bytes],
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    configuration: TrustedConfiguration,
    at: datetime,
    policy: VerifyingPolicy,
) -> ocsp.OcspStatus:
    ocsp_policy = _ocsp_policy(configuration, policy)
    last: Fault | None = None
    for der in responses:
        if not ocsp.is_about(der, certificate, issuer):
            continue
        try:
            return ocsp.check_response(der, certificate, issuer, configuration, at, ocsp_policy)
        except Fault as fault:
            last = fault
    raise last or NotProved(
        Kind.CERT_VALIDATION,
        f"no OCSP response came for the certificate {name_text(certificate.subject)!r}",
    )


def _malformed(detail: str) -> NotProved:
    return NotProved(Kind.MALFORMED_SIGNATURE, detail)
