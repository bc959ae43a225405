"""OCSP responses: those of this server's certificates, kept fresh and given out on 5577; and those of peers, asked for.

Own: fetched ahead for every certificate in use and every intermediate above it, kept in memory and on the disk, so that a
restart during an outage goes on until the freshness runs out. There is no soft failure: without a good response in hand a
key is not used. Peers': asked from the peer's own 5577, as X-Road does.

Spec: RFC 6960; X-Road 7.8's CertHashBasedOcspResponder (SHA-1 in ``cert``, SHA-256 in ``cert_hash``).
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import aiohttp
import msgspec
from aiohttp import web
from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from certs.certificates import der_of, name_text
from certs.edges.fetch import fetch_ocsp
from certs.edges.tokenfiles import write_whole
from certs.verify import ocsp
from schemas.faults import BadMessage, Fault, Kind, NotProved, UnexpectedStatus
from schemas.globalconf.cost import CostOrder, in_order_of_cost
from schemas.multipart import MultipartParser, PartData, PartStart, parse_content_type
from schemas.names import host_in_url, is_host
from serving.process.failing import FailureReason, reason_of
from serving.process.loops import Loop
from serving.process.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from certs.configuration import TrustedConfiguration

log = logging.getLogger("gateway.revocation")

_PEER_TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=20)
_LARGEST = 512 * 1024
Pair = tuple[x509.Certificate, x509.Certificate]


class ResponderState(msgspec.Struct, frozen=True):
    """A responder's last answer: when it was asked, and why it failed; ``failure`` None: its response proved something."""

    at: datetime
    failure: FailureReason | None


class OwnRevocation:
    """The OCSP responses of this server's certificates."""

    def __init__(
        self,
        folder: Path,
        session: aiohttp.ClientSession,
        configuration: Callable[[], TrustedConfiguration | None],
        now: Callable[[], datetime],
        *,
        fetch_s: float = 0.0,
        retry_s: float = 60.0,
        timeout_s: float = 20.0,
        order: CostOrder = CostOrder.NONE,
    ) -> None:
        self._folder = folder
        self._order = order
        self._session = session
        self._configuration = configuration
        self._now = now
        self._fetch_s = fetch_s
        self._retry_s = retry_s
        self._timeout_s = timeout_s
        self._pairs: tuple[Pair, ...] = ()
        self._responses: dict[bytes, bytes] = {}
        self._changes = 0  # of the responses in hand
        self._checked: dict[tuple[bytes, int], datetime] = {}
        self._pace = Pace()
        self._next_s = 0.0
        self.loop = Loop("revocation", self.fetch_all, lambda: self._next_s, pace=self._pace, needed=True)
        self._failures: dict[bytes, FailureReason] = {}
        self._fetched: list[Callable[[], None]] = []
        self._responders: dict[str, ResponderState] = {}
        self.last_failure: FailureReason | None = None
        # When the next round of asking begins, unless something new brings it forward.
        self.next_round_at: datetime | None = None
        self._round = asyncio.Lock()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def subscribe(self, fetched: Callable[[], None]) -> None:
        """Be told after every round of fetching."""
        self._fetched.append(fetched)

    async def verify(self, certificate: x509.Certificate, issuer: x509.Certificate) -> None:
        """Prove a certificate good now, by the response in hand or a fresh one. Raises `NotProved`."""
        configuration = self._configuration()
        with contextlib.suppress(NotProved):
            self.response(certificate, issuer, self._now())
            return
        if configuration is not None:
            await self._fetch(certificate, issuer, configuration)
        self.response(certificate, issuer, self._now())

    def watch(self, pairs: Sequence[Pair]) -> None:
        """Keep fresh responses for these certificates (each with its issuer) from now on."""
        fresh = tuple(dict.fromkeys(pairs))
        if fresh == self._pairs:
            return
        self._pairs = fresh
        for certificate, _ in fresh:
            key = sha1_of(certificate)
            path = self._folder / f"{key.hex()}.ocsp"
            if key not in self._responses and path.exists():
                self._responses[key] = path.read_bytes()
                self._changes += 1
        self._fetch_soon()

    def response(self, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime) -> bytes:
        """A response (DER) that is good at ``now``. Raises `NotProved` when there is none in hand."""
        return self.good_response(certificate, issuer, now)[0]

    @property
    def generation(self) -> tuple[int, int]:
        """Changes with the responses in hand and with the configuration they are judged by."""
        configuration = self._configuration()
        return self._changes, -1 if configuration is None else configuration.generation

    def good_response(
        self, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime
    ) -> tuple[bytes, datetime]:
        """A response (DER) that is good at ``now``, and until when it is. Raises `NotProved` when there is none in hand."""
        key = sha1_of(certificate)
        configuration = self._configuration()
        if configuration is None:
            raise NotProved(
                Kind.CERT_VALIDATION, "there is no global configuration to judge OCSP responses by"
            )
        der = self._responses.get(key)
        if der is None:
            raise NotProved(
                Kind.CERT_VALIDATION,
                f"no OCSP response for {name_text(certificate.subject)!r} is in hand yet"
                + (f"; last failure: {self.last_failure}" if self.last_failure else ""),
            )
        until = self._checked.get((der, configuration.generation))
        if until is None or now >= until:
            status = ocsp.check_response(der, certificate, issuer, configuration, now)
            if len(self._checked) > 256:
                self._checked.clear()
            until = self._checked[der, configuration.generation] = ocsp.good_until(status, configuration)
        return der, until

    def in_hand(self, certificate: x509.Certificate) -> tuple[bytes | None, FailureReason | None]:
        """The response in hand, good or not, and why asking for a new one failed the last time, if it did."""
        key = sha1_of(certificate)
        return self._responses.get(key), self._failures.get(key)

    def responder(self, url: str) -> ResponderState | None:
        """The last answer of the responder at an address; None when it was not asked since the start."""
        return self._responders.get(url)

    def by_digest(self, digest: bytes) -> bytes | None:
        """The response for a certificate given by its SHA-1 or SHA-256 digest."""
        for certificate, _ in self._pairs:
            if digest in (sha1_of(certificate), hashlib.sha256(der_of(certificate)).digest()):
                return self._responses.get(sha1_of(certificate))
        return None

    def reconfigure(self, fetch_s: float, retry_s: float, timeout_s: float, order: CostOrder) -> None:
        """Go on with other intervals; the next round begins at once."""
        if (fetch_s, retry_s, timeout_s, order) == (
            self._fetch_s,
            self._retry_s,
            self._timeout_s,
            self._order,
        ):
            return
        self._fetch_s, self._retry_s, self._timeout_s, self._order = fetch_s, retry_s, timeout_s, order
        self._fetch_soon()

    def _fetch_soon(self) -> None:
        """The next round begins now: an interval changed, or a certificate is new."""
        self._next_s = 0.0
        self._pace.changed()

    async def fetch_all(self) -> float:
        """Ask for every watched certificate; the seconds to wait before the next time. One round at a time."""
        async with self._round:
            self._next_s = self._retry_s
            pairs = self._pairs
            delay = await self._fetch_round()
            if self._pairs == pairs:  # else some are new, and the next round begins at once
                self._next_s = delay
            self.next_round_at = self._now() + timedelta(seconds=self._next_s)
            return delay

    async def _fetch_round(self) -> float:
        configuration = self._configuration()
        if configuration is None:
            return min(1.0, self._retry_s)
        # All at once: a responder that hangs holds up nobody else's certificates.
        outcomes = await asyncio.gather(*(self._try_fetch(c, i, configuration) for c, i in self._pairs))
        for fetched in self._fetched:
            fetched()
        failures = [reason for reason in outcomes if reason is not None]
        self.last_failure = failures[-1] if failures else None
        if failures:
            return self._retry_s
        return self._fetch_s or float(configuration.ocsp_fetch_interval_s)

    async def _try_fetch(
        self, certificate: x509.Certificate, issuer: x509.Certificate, configuration: TrustedConfiguration
    ) -> FailureReason | None:
        """Fetch and keep one certificate's OCSP response: None, or the reason why that failed, which is logged and not raised."""
        try:
            await self._fetch(certificate, issuer, configuration)
        except Exception as err:  # one certificate's responder must not keep the others from being asked for
            reason = self._failures[sha1_of(certificate)] = reason_of(err)
            trouble = None if isinstance(err, Fault) else err
            level = logging.WARNING if trouble is None else logging.ERROR
            fields = {"event": "ocsp_failed", "reason": reason.detail}
            log.log(level, "OCSP response not fetched", extra=fields, exc_info=trouble)
            return reason
        return None

    async def _fetch(
        self, certificate: x509.Certificate, issuer: x509.Certificate, configuration: TrustedConfiguration
    ) -> None:
        responders = in_order_of_cost(configuration.ocsp_infos(issuer), self._order)
        urls = [info.url for info in responders] + authority_urls(certificate)
        der = await self._first_answer(urls, certificate, issuer, configuration)
        key = sha1_of(certificate)
        self._responses[key] = der
        self._changes += 1
        self._failures.pop(key, None)
        await asyncio.to_thread(write_whole, self._folder / f"{key.hex()}.ocsp", der)

    async def _first_answer(
        self,
        urls: Sequence[str],
        certificate: x509.Certificate,
        issuer: x509.Certificate,
        configuration: TrustedConfiguration,
    ) -> bytes:
        """The first answer that proves something, of several responders. Raises `NotProved` naming every failure."""
        request = ocsp.build_request(certificate, issuer)
        failures: list[str] = []
        faults: list[Exception] = []
        for url in urls or ("",):
            try:
                der = await fetch_ocsp(
                    self._session, [url] if url else [], request, timeout_s=self._timeout_s
                )
            except NotProved as fault:
                self._note(url, reason_of(fault))
                failures.append(fault.detail)
                faults.append(fault)
                continue
            try:
                ocsp.check_response(der, certificate, issuer, configuration, self._now())
            except NotProved as fault:
                # A revoked certificate's response is kept: it is the truth, and using the key will fail with it.
                if fault.kind is not Kind.CERT_VALIDATION or not ocsp.is_about(der, certificate, issuer):
                    self._note(url, reason_of(fault))
                    failures.append(f"{url}: {fault.detail}")
                    faults.append(fault)
                    continue
                log.warning("certificate not good", extra={"event": "cert_not_good", "reason": fault.detail})
            self._note(url, None)
            return der
        raise NotProved(Kind.CERT_VALIDATION, "; ".join(failures)) from ExceptionGroup(
            "none proved it", faults
        )

    def _note(self, url: str, failure: FailureReason | None) -> None:
        self._responders[url] = ResponderState(self._now(), failure)


class PeerRevocation:
    """OCSP responses of peers' certificates, from the peer's own responder."""

    def __init__(self, session: aiohttp.ClientSession, *, port: int = 5577) -> None:
        self._session = session
        self._port = port
        self._responses: dict[bytes, bytes] = {}

    def known(self, digests: Sequence[bytes]) -> tuple[bytes, ...]:
        """The responses at hand for certificates named by their SHA-1."""
        return tuple([r for digest in digests if (r := self._responses.get(digest)) is not None])

    async def ask(self, address: str, pairs: Sequence[Pair]) -> tuple[bytes, ...]:
        """Ask a peer for the responses of its path, leaf first. Raises `NotProved`."""
        if not is_host(address):
            raise NotProved(
                Kind.CERT_VALIDATION, f"the peer's registered address {address[:80]!r} is no host"
            )
        query = "&".join(
            [
                *(f"cert={sha1_of(c).hex()}" for c, _ in pairs),
                *(f"cert_hash={hashlib.sha256(der_of(c)).hexdigest()}" for c, _ in pairs),
            ]
        )
        url = f"http://{host_in_url(address)}:{self._port}/?{query}"
        try:
            async with self._session.get(
                url, headers={"Accept": "multipart/related"}, timeout=_PEER_TIMEOUT, allow_redirects=False
            ) as answer:
                body = bytearray()
                async for chunk in answer.content.iter_any():
                    body += chunk
                    if len(body) > _LARGEST:
                        raise ValueError(f"more than {_LARGEST} bytes came")
                if not 200 <= answer.status < 300:
                    raise UnexpectedStatus(answer.status, "2xx was expected")
                responses = read_responses(answer.headers.get("Content-Type", ""), bytes(body))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, BadMessage) as err:
            raise NotProved(
                Kind.CERT_VALIDATION,
                f"the peer at {address} gave no OCSP response for its TLS certificate: {err or type(err).__name__}",
            ) from err
        if len(responses) != len(pairs):
            raise NotProved(
                Kind.CERT_VALIDATION,
                f"the peer gave {len(responses)} OCSP responses for {len(pairs)} certificates",
            )
        if len(self._responses) > 4096:
            self._responses.clear()
        self._responses.update({sha1_of(c): r for (c, _), r in zip(pairs, responses, strict=True)})
        return responses


def read_responses(content_type: str, body: bytes) -> tuple[bytes, ...]:
    """The OCSP responses (DER) in a multipart answer of port 5577, in order. Raises ValueError."""
    media, parameters = parse_content_type(content_type)
    if media != "multipart/related" or not parameters.get("boundary"):
        raise ValueError(f"Content-Type {content_type[:100]!r} where multipart/related was expected")
    parser = MultipartParser(parameters["boundary"])
    parts: list[bytearray] = []
    for event in parser.feed(body):
        if isinstance(event, PartStart):
            parts.append(bytearray())
        elif isinstance(event, PartData):
            parts[-1] += event.data
    parser.close()
    return tuple(bytes(part) for part in parts)


def responder_app(revocation: OwnRevocation, routes: Sequence[web.RouteDef] = ()) -> web.Application:
    """The application for port 5577: this server's own OCSP responses by certificate hash, after the ``routes`` of others."""

    async def give(request: web.Request) -> web.Response:
        if request.method == "HEAD":
            return web.Response()
        query = parse_qsl(request.query_string)
        digests = [v for n, v in query if n == "cert"] or [v for n, v in query if n == "cert_hash"]
        try:
            found = [revocation.by_digest(bytes.fromhex(value)) for value in digests]
        except ValueError:
            return web.Response(status=500, text="cert must be the SHA-1 of a certificate in hexadecimal")
        if request.method != "GET" or not found or None in found:
            return web.Response(
                status=500, text="ask with GET /?cert=<SHA-1 of one of this server's certificates>"
            )
        boundary = "sacbe-ocsp"
        body = b"".join(
            f"--{boundary}\r\nContent-Type: application/ocsp-response\r\n\r\n".encode()
            + (der or b"")
            + b"\r\n"
            for der in found
        )
        content_type = (
            f'multipart/related; type="application/ocsp-response"; charset=UTF-8; boundary={boundary}'
        )
        return web.Response(
            body=body + f"--{boundary}--\r\n".encode(), headers={"Content-Type": content_type}
        )

    app = web.Application()
    app.router.add_routes(routes)
    app.router.add_route("*", "/{tail:.*}", give)
    return app


def authority_urls(certificate: x509.Certificate) -> list[str]:
    """The OCSP responders a certificate itself names."""
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return []
    return [
        d.access_location.value
        for d in access
        if d.access_method == AuthorityInformationAccessOID.OCSP
        and isinstance(d.access_location, x509.UniformResourceIdentifier)
    ]


def sha1_of(certificate: x509.Certificate) -> bytes:
    """The digest by which responses are kept and asked for."""
    return hashlib.sha1(der_of(certificate), usedforsecurity=False).digest()
