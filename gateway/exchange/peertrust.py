"""Is the TLS peer a security server that may speak for, or serve, this client?

Pure: certificates, OCSP responses, configuration and time go in; the security server comes out, or `NotProved`.
The checks, in X-Road's order: (1) an authentication certificate, (2) a path to an approved CA of the client's
instance, (3) a good OCSP response for every certificate of the path below its anchor, (4) the configuration lists
the certificate on a server which has the client. A positive verdict is remembered for exactly these bytes under exactly
this configuration, until the first of the certificates and OCSP responses it rests on runs out.

Spec: PR-MESSTRANSP 3; X-Road's CertHelper.
"""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from certs.certificates import name_text, parse_certificate
from certs.verify import chain as chains
from certs.verify import ocsp
from schemas.faults import Fault, Kind, NotProved

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509

    from certs.configuration import TrustedConfiguration
    from schemas.globalconf.shared import SecurityServer
    from schemas.identifiers import ClientId

_REMEMBERED = 4096


class _Verdict(msgspec.Struct, frozen=True):
    server: SecurityServer
    since: datetime
    until: datetime


def check_consumer_side(
    configuration: TrustedConfiguration,
    certificates: Sequence[bytes],
    ocsp_responses: Sequence[bytes],
    client: ClientId,
    now: datetime,
) -> SecurityServer:
    """The security server behind ``certificates`` (DER, leaf first), proved to speak for ``client``.

    Raises `NotProved` of kind ``ssl_authentication_failed`` that says which check failed and why.
    """
    if not certificates:
        raise NotProved(Kind.SSL_AUTHENTICATION_FAILED, "the security server showed no TLS certificate")
    if not ocsp_responses:
        raise NotProved(
            Kind.SSL_AUTHENTICATION_FAILED,
            "no OCSP response came for the TLS certificate of the security server",
        )
    key = (certificates[0], tuple(ocsp_responses), client)
    remembered = configuration.memory.of(_Verdict, _REMEMBERED)
    verdict = remembered.get(key)
    if verdict is not None and verdict.since <= now < verdict.until:
        return verdict.server
    try:
        verdict = _prove(configuration, certificates, ocsp_responses, client, now)
    except Fault as fault:
        raise NotProved(
            Kind.SSL_AUTHENTICATION_FAILED,
            f"the security server's TLS certificate is not proved: {fault.detail}",
        ) from fault
    remembered.keep(key, verdict)
    return verdict.server


def path_of(
    configuration: TrustedConfiguration, certificates: Sequence[bytes], instance: str, now: datetime
) -> tuple[x509.Certificate, ...]:
    """The proved path of an authentication certificate (``certificates`` in DER, leaf first), from leaf to anchor. Raises `NotProved`."""
    leaf, *others = (parse_certificate(der) for der in certificates)
    return chains.verify_chain(
        leaf, others, configuration, instance, now, leaf_kind=chains.LeafKind.AUTHENTICATION
    )


def _prove(
    configuration: TrustedConfiguration,
    certificates: Sequence[bytes],
    ocsp_responses: Sequence[bytes],
    client: ClientId,
    now: datetime,
) -> _Verdict:
    path = path_of(configuration, certificates, client.instance, now)  # 1, 2
    until = min(c.not_valid_after_utc for c in path)
    for certificate, issuer in itertools.pairwise(path):  # 3
        until = min(until, _good_until(configuration, ocsp_responses, certificate, issuer, now))
    server = configuration.server_by_auth_certificate(certificates[0])  # 4
    if server is None:
        raise NotProved(
            Kind.SSL_AUTHENTICATION_FAILED,
            "the certificate is not registered for any security server in the global configuration",
        )
    if not configuration.auth_certificate_matches(certificates[0], client):
        raise NotProved(
            Kind.SSL_AUTHENTICATION_FAILED,
            f"the certificate belongs to security server {server.id.path()}, where {client.path()} is not registered",
        )
    return _Verdict(server, now, until)


def _good_until(
    configuration: TrustedConfiguration,
    responses: Sequence[bytes],
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    now: datetime,
) -> datetime:
    last: Fault = NotProved(
        Kind.CERT_VALIDATION,
        f"no OCSP response came for the certificate {name_text(certificate.subject)}",
    )
    for der in responses:
        try:
            status = ocsp.check_response(der, certificate, issuer, configuration, now)
        except Fault as fault:
            last = fault
            continue
        return ocsp.good_until(status, configuration)
    raise last
