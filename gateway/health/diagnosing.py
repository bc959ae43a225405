"""Gathering what a diagnosis rests on, from a running gateway's parts or from its folder."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from cryptography import x509 as _x509
from cryptography.x509 import ocsp as _ocsp

from certs.certificates import name_text, parse_certificate
from certs.verify import chain as chains
from certs.verify import ocsp
from gateway.edges.revocation import authority_urls
from gateway.health.diagnosis import CertificateFacts, Diagnosis, DiagnosisFacts, OcspFacts, diagnose
from gateway.keys.model import KeyUsage
from schemas.faults import Fault
from serving.language import languages
from serving.process.failing import NO_REASON, FailureReason, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from certs.configuration import TrustedConfiguration
    from gateway.keys.model import Key, KeyCertificate
    from gateway.keys.store import KeyConfStore
    from schemas.identifiers import ClientId
    from serving.process.loops import LoopFailure

    # The response in hand for a certificate, and how asking for a new one failed last.
    Responses = Callable[[_x509.Certificate], tuple[bytes | None, FailureReason | None]]

TLS = "TLS"


def certificate_facts(
    certificates: Sequence[KeyCertificate],
    keys: Sequence[Key],
    configuration: TrustedConfiguration | None,
    responses: Responses,
    now: datetime,
) -> tuple[CertificateFacts, ...]:
    """The facts about every active certificate: its token, issuer, OCSP response and terms."""
    tokens = {key.id: key.token_id for key in keys}
    return tuple(
        _facts(own, tokens.get(own.key_id, ""), configuration, responses, now)
        for own in certificates
        if own.active
    )


def _facts(
    own: KeyCertificate,
    token_id: str,
    configuration: TrustedConfiguration | None,
    responses: Responses,
    now: datetime,
) -> CertificateFacts:
    certificate = parse_certificate(own.der)
    purpose, unusable = TLS, None
    found: list[OcspFacts] = []
    if configuration is not None:
        try:
            if own.usage is KeyUsage.SIGNING:
                member = own.member or configuration.member_of_signing_certificate(
                    certificate, configuration.instance
                )
                purpose = member.path()
            at = min(max(now, certificate.not_valid_before_utc), certificate.not_valid_after_utc)
            path = chains.verify_chain(certificate, (), configuration, configuration.instance, at)
            found = [_response(c, i, configuration, responses, now) for c, i in itertools.pairwise(path)]
        except Fault as fault:
            unusable = reason_of(fault)
    return CertificateFacts(
        purpose,
        name_text(certificate.subject),
        name_text(certificate.issuer),
        str(certificate.serial_number),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        token_id,
        unusable,
        tuple(found),
        FailureReason(own.renewal_error, own.renewal_causes) if own.renewal_error else None,
    )


def _response(
    certificate: _x509.Certificate,
    issuer: _x509.Certificate,
    configuration: TrustedConfiguration,
    responses: Responses,
    now: datetime,
) -> OcspFacts:
    der, failure = responses(certificate)
    urls = tuple(i.url for i in configuration.ocsp_infos(issuer)) + tuple(authority_urls(certificate))
    subject = name_text(certificate.subject)
    if der is None:
        return OcspFacts(subject, urls=urls, fetch_failure=failure)
    try:
        response = _ocsp.load_der_ocsp_response(der)
        single = next(iter(response.responses))
        this_update, next_update = single.this_update_utc, single.next_update_utc
    except (ValueError, StopIteration) as err:
        return OcspFacts(subject, urls=urls, refusal=reason_of(err, "the stored response cannot be read"))
    name = response.responder_name
    responder = name_text(name) if name else (response.responder_key_hash or b"").hex()
    try:
        # Judged when it was fresh: whether it is fresh now shows in how long it is good.
        status = ocsp.check_response(der, certificate, issuer, configuration, this_update)
    except Fault as fault:
        return OcspFacts(subject, responder, urls, this_update, next_update, None, reason_of(fault), failure)
    until = ocsp.good_until(status, configuration)
    responder = name_text(status.responder.subject)
    ahead = (this_update - now).total_seconds()
    refusal = None
    if ahead > 60:
        text = f"its thisUpdate lies {ahead:.0f} s ahead of this server's clock"
        refusal = FailureReason(text, ("clocks_apart",))
    return OcspFacts(subject, responder, urls, this_update, next_update, until, refusal, failure)


class Timestamping(msgspec.Struct, frozen=True):
    """The state of timestamping: since when it fails and why, seconds between this clock and the authority's, whether there is none to ask."""

    failing_since: datetime | None = None
    failure: FailureReason = NO_REASON
    acceptable: timedelta = timedelta(0)
    clock_offset_s: float | None = None
    clock_source: str = ""
    has_none: bool = False


class TokenFailures(Protocol):
    """Knows what keeps tokens from being used."""

    async def failure(self, token_id: str) -> FailureReason | None:
        """The reason why a token cannot be used; None when it can."""
        ...


class Sources(msgspec.Struct, frozen=True):
    """The parts of a running gateway, or of a stopped one's folder, that a diagnosis asks."""

    keyconf: KeyConfStore
    tokens: TokenFailures
    members: Callable[[], Sequence[ClientId]]
    configuration: Callable[[], TrustedConfiguration | None]
    configuration_failure: Callable[[], FailureReason | None]
    responses: Responses
    timestamping: Callable[[], Timestamping] = Timestamping
    loops: Callable[[], Sequence[LoopFailure]] = tuple


async def diagnose_now(sources: Sources, now: datetime) -> Diagnosis:
    """Everything that is wrong at this moment."""
    return diagnose(await gather_facts(sources, now), now)


async def gather_facts(sources: Sources, now: datetime) -> DiagnosisFacts:
    """Gather the facts of this moment from the sources."""
    configuration = sources.configuration()
    stamping = sources.timestamping()
    failures = {t.id: await sources.tokens.failure(t.id) for t in sources.keyconf.tokens()}
    return DiagnosisFacts(
        purposes=(TLS, *(m.path() for m in sources.members())),
        certificates=certificate_facts(
            sources.keyconf.certificates(), sources.keyconf.list_keys(), configuration, sources.responses, now
        ),
        token_failures={token_id: failure for token_id, failure in failures.items() if failure},
        configuration_expires_at=None if configuration is None else configuration.expires_at,
        configuration_failure=sources.configuration_failure(),
        timestamps_failing_since=stamping.failing_since,
        timestamps_failure=stamping.failure,
        timestamps_acceptable=stamping.acceptable,
        has_no_authority=stamping.has_none,
        clock_offset_s=stamping.clock_offset_s,
        clock_source=stamping.clock_source,
        loops=tuple((f.name, FailureReason(str(f), f.causes), f.needed) for f in sources.loops()),
    )


def as_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """A diagnosis for programs, texts in every language included."""
    return {
        "at": diagnosis.at.isoformat(),
        "stops_at": diagnosis.stops_at.isoformat() if diagnosis.stops_at else None,
        "findings": [
            {
                "code": f.code,
                "severity": f.severity.value,
                "subject": f.subject,
                "stops_at": f.stops_at.isoformat() if f.stops_at else None,
                "values": dict(f.values),
                **{lang: dict(zip(("what", "do"), f.texts_in(lang), strict=True)) for lang in languages()},
            }
            for f in diagnosis.findings
        ],
        "ends": [
            {
                "kind": e.kind,
                "subject": e.subject,
                "until": e.until.isoformat(),
                "is_renewed": e.is_renewed,
                **{
                    lang: {"what": what.into(lang), "do": action.into(lang)}
                    for what, action in [e.texts]
                    for lang in languages()
                },
            }
            for e in diagnosis.ends
        ],
    }
