"""Keys and certificates over days, on a clock that is turned by hand: what goes on, what stops, and what a diagnosis says."""

from __future__ import annotations

import hashlib
import itertools
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_der_public_key

from certs.certificates import der_of, name_text
from certs.dev.app import TrustServices
from certs.dev.authority import DevPki
from certs.edges.devices import DeviceKey, DeviceState, SoftwareDevice
from certs.edges.tokenfiles import TokenFolder
from certs.tokens.port import TokenStatus, TokenType
from certs.tokens.soft import SoftToken
from gateway.clients.store import ServerConfStore
from gateway.edges.acmeorders import Renewing, renew_due
from gateway.edges.revocation import OwnRevocation
from gateway.health.diagnosing import Sources, Timestamping, as_json, diagnose_now
from gateway.health.diagnosis import Diagnosis, Severity
from gateway.keys.context import KeyContext
from gateway.keys.identities import OwnIdentities
from gateway.keys.model import KeyCertificate, KeyUsage
from gateway.keys.operations import KeyOperations
from gateway.keys.store import KeyConfStore
from gateway.keys.tokens import Tokens
from gateway.refusals import GatewayCode
from gateway.settings.config import Acme
from schemas.faults import Fault, Kind, TokenFailed
from schemas.globalconf.shared import (
    AcmeServer,
    ApprovedCa,
    CaInfo,
    Member,
    OcspInfo,
    SecurityServer,
    SharedParameters,
    Source,
)
from schemas.identifiers import ClientId
from serving.errors import Refused
from serving.process.failing import FailureReason
from tests.worlds import NOW, trusted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from certs.algorithms import SignatureAlgorithm
    from certs.configuration import TrustedConfiguration
    from certs.tls import TlsPrivateKey
    from certs.tokens.port import KeyId

OWNER = ClientId("MX", "GOB", "15-ISSEMYM")
SERVER = OWNER.server("SS1")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Breakable:
    """A token that can be pulled out."""

    type = TokenType.HARDWARE
    signs_pss = False

    def __init__(self, inner: SoftwareDevice) -> None:
        self.token_id = inner.token_id
        self._inner = inner
        self.gone = False

    def _there(self) -> None:
        if self.gone:
            raise TokenFailed(Kind.TOKEN_NOT_ACTIVE, "the module says DeviceRemoved")

    async def state(self) -> DeviceState:
        if self.gone:
            return DeviceState(
                TokenStatus.OK, available=False, logged_in=False, failure="the module says DeviceRemoved"
            )
        return await self._inner.state()

    async def make(self, pin: str) -> None:
        await self._inner.make(pin)

    async def login(self, pin: str) -> None:
        self._there()
        await self._inner.login(pin)

    async def logout(self) -> None:
        await self._inner.logout()

    async def change_pin(self, old: str, new: str) -> None:
        await self._inner.change_pin(old, new)

    async def device_keys(self) -> tuple[DeviceKey, ...]:
        self._there()
        return await self._inner.device_keys()

    async def device_certificates(self) -> tuple[bytes, ...]:
        return await self._inner.device_certificates()

    async def generate_key(self, kind: str, label: str, usage: str) -> DeviceKey:
        self._there()
        return await self._inner.generate_key(kind, label, usage)

    async def remove_key(self, key_id: KeyId) -> None:
        await self._inner.remove_key(key_id)

    async def sign(self, key_id: KeyId, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
        self._there()
        return await self._inner.sign(key_id, digest, algorithm)

    async def derive_secret(self, purpose: str) -> bytes:
        self._there()
        return await self._inner.derive_secret(purpose)

    def tls_private_key(self, key_id: KeyId, public_key: bytes) -> TlsPrivateKey:
        return self._inner.tls_private_key(key_id, public_key)

    async def close(self) -> None:
        await self._inner.close()


class Server:
    """One security server's keys with everything around them but the messages."""

    def __init__(self, folder: Path, session: aiohttp.ClientSession) -> None:
        self.now = NOW
        self.pki = DevPki.create(folder / "pki", now=NOW - 30 * DAY)
        self.services = TrustServices(self.pki, lambda: self.now)
        self.listed: set[bytes] = set()
        self.url = ""
        self.configuration: TrustedConfiguration | None = None
        self.store = ServerConfStore(folder / "serverconf.sqlite")
        self.store.initialise(SERVER, b"anchor")
        self.keyconf = KeyConfStore(self.store.database)
        self.device = Breakable(SoftwareDevice("hsm", SoftToken(TokenFolder(folder / "token"))))
        self.tokens = Tokens(self.keyconf, [self.device])
        self.revocation = OwnRevocation(
            folder / "ocsp", session, lambda: self.configuration, lambda: self.now
        )
        self.identities = OwnIdentities(self.tokens, self.revocation, lambda: SERVER, settle_s=300)
        ids = itertools.count()
        self.operations = KeyOperations(
            self.keyconf,
            self.tokens,
            KeyContext(
                now=lambda: self.now,
                new_id=lambda: f"id{next(ids)}",
                server_id=lambda: SERVER,
                configuration=lambda: self.configuration,
                is_local_member=lambda m: m == OWNER,
                key_kinds=dict.fromkeys((None, *KeyUsage), "ec-p256"),
            ),
        )

    def publish(self) -> None:
        """A new global configuration, good for ten days, as the central server would give it."""
        ca = ApprovedCa(
            "CA",
            CaInfo(der_of(self.pki.root), (OcspInfo(self.url),)),
            "Basic",
            intermediates=(CaInfo(der_of(self.pki.intermediate), (OcspInfo(self.url),)),),
            acme_server=AcmeServer("https://acme.invalid/dir"),
        )
        listed = frozenset(hashlib.sha256(der).digest() for der in self.listed)
        shared = SharedParameters(
            "MX",
            sources=(Source("cs.invalid", (b"internal",), (b"external",)),),
            approved_cas=(ca,),
            members=(Member(OWNER, "Gobierno", "ISSEMYM"),),
            security_servers=(SecurityServer(SERVER, "127.0.0.1", listed),),
        )
        self.configuration = trusted(shared, self.now + 9 * DAY)
        self.operations.observe(self.configuration)
        self.rebuild()

    def rebuild(self) -> None:
        assert self.configuration is not None
        self.identities.rebuild(self.keyconf.certificates(), self.configuration, self.now)

    async def certify(self, usage: KeyUsage, *, lasts: timedelta) -> str:
        """A new key, its request, its certificate, imported; the certificate's hash."""
        key = await self.operations.generate_key("hsm", usage.name, usage)
        loaded = load_der_public_key(key.public_key)
        assert isinstance(loaded, ec.EllipticCurvePublicKey)
        if usage is KeyUsage.SIGNING:
            issued = self.pki.issue_sign(loaded, OWNER, days=lasts.days, now=self.now)
        else:
            issued = self.pki.issue_auth(loaded, SERVER, "127.0.0.1", days=lasts.days, now=self.now)
        imported = await self.operations.import_certificate(
            issued.public_bytes(Encoding.DER), activate_auth=True
        )
        if usage is KeyUsage.AUTHENTICATION:
            self.listed.add(imported.der)
        self.publish()
        return imported.hash

    async def works(self) -> bool:
        """Whether this server could show its certificate and sign, for real, now."""
        try:
            self.identities.choose_authentication(self.now)
            self.identities.authentication_ocsp(self.now)
            identity, _ = self.identities.signing(OWNER, self.now)
            digest = identity.algorithm.digest.digest(b"x")
            await self.tokens.sign(identity.key_id, digest, identity.algorithm)
        except Fault:
            return False
        return True

    def signs_with(self) -> str:
        identity, _ = self.identities.signing(OWNER, self.now)
        return hashlib.sha256(der_of(identity.certificate)).hexdigest().upper()

    def shows(self) -> str:
        self.identities.choose_authentication(self.now)
        shown = self.identities.tls_key()
        assert shown is not None
        return hashlib.sha256(shown[1]).hexdigest().upper()

    async def diagnosis(self, timestamping: Timestamping | None = None) -> Diagnosis:
        sources = Sources(
            self.keyconf,
            self.tokens,
            lambda: [OWNER],
            lambda: self.configuration,
            lambda: None,
            self.revocation.in_hand,
            lambda: timestamping or Timestamping(),
        )
        return await diagnose_now(sources, self.now)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with aiohttp.ClientSession() as session:
        made = Server(tmp_path, session)
        listening = TestServer(made.services.app())
        await listening.start_server()
        made.url = str(listening.make_url("/ocsp"))
        made.publish()
        await made.operations.initialise_token("hsm", "Secret1234")
        await made.certify(KeyUsage.AUTHENTICATION, lasts=90 * DAY)
        await made.certify(KeyUsage.SIGNING, lasts=90 * DAY)
        await made.revocation.fetch_all()
        yield made
        await made.tokens.close()
        made.store.close()
        await listening.close()


def codes(diagnosis: Diagnosis) -> list[tuple[str, Severity]]:
    return [(f.code, f.severity) for f in diagnosis.findings]


async def test_a_healthy_server_has_nothing_to_say(server: Server) -> None:
    diagnosis = await server.diagnosis()
    assert (await server.works(), diagnosis.findings, diagnosis.stops_at) == (True, (), None)


@pytest.mark.xroad("F046")
async def test_a_certificate_is_renewed_without_a_moment_s_pause(server: Server) -> None:
    old_sign, old_auth = server.signs_with(), server.shows()
    server.now += 70 * DAY
    server.publish()
    await server.revocation.fetch_all()
    warned = await server.diagnosis()
    assert set(codes(warned)) == {("certificate-expires", Severity.WILL_STOP)}
    assert warned.stops_at == NOW + 90 * DAY - timedelta(minutes=5)

    new_sign = await server.certify(KeyUsage.SIGNING, lasts=90 * DAY)
    new_auth = await server.certify(KeyUsage.AUTHENTICATION, lasts=90 * DAY)
    # No OCSP response for the new ones yet: the old ones go on.
    assert (await server.works(), server.signs_with(), server.shows()) == (True, old_sign, old_auth)
    await server.revocation.fetch_all()
    # Signing moves at once; TLS waits until peers can know the new certificate.
    assert (await server.works(), server.signs_with(), server.shows()) == (True, new_sign, old_auth)
    server.now += timedelta(seconds=301)
    assert (await server.works(), server.shows()) == (True, new_auth)
    noticed = await server.diagnosis()
    assert {f.severity for f in noticed.findings} == {Severity.NOTICE}
    assert noticed.stops_at is None

    server.now = NOW + 91 * DAY
    server.publish()
    await server.revocation.fetch_all()
    assert await server.works()
    await server.operations.disable(old_sign)
    await server.operations.disable(old_auth)
    server.rebuild()
    assert (await server.diagnosis()).findings == ()


async def test_an_unrenewed_certificate_stops_traffic_at_its_very_second(server: Server) -> None:
    end = NOW + 90 * DAY - timedelta(minutes=5)
    server.now = end
    server.publish()
    await server.revocation.fetch_all()
    assert await server.works()
    server.now = end + timedelta(seconds=1)
    assert not await server.works()
    diagnosis = await server.diagnosis()
    assert codes(diagnosis)[0] == ("certificate-expired", Severity.STOPPED)
    assert f"{end:%Y-%m-%d %H:%M:%S} UTC" in diagnosis.findings[0].texts_in("es")[0]


@pytest.mark.xroad("F049")
async def test_an_ocsp_outage_of_a_day_stops_traffic_when_said_and_ends_by_itself(server: Server) -> None:
    server.services.behaviour["ocsp"] = "down"
    server.now += timedelta(minutes=20)
    await server.revocation.fetch_all()
    warned = await server.diagnosis()
    assert set(codes(warned)) == {("ocsp-not-renewed", Severity.WILL_STOP)}
    assert await server.works()
    assert warned.stops_at == NOW + HOUR
    said = warned.findings[0].texts_in("en")[0]
    assert all(
        part in said
        for part in (server.url, f"{NOW:%Y-%m-%d %H:%M:%S} UTC", f"{NOW + HOUR:%Y-%m-%d %H:%M:%S} UTC", "503")
    )
    server.now = warned.stops_at
    assert await server.works()
    server.now += timedelta(seconds=1)
    assert not await server.works()
    for _ in range(23):
        server.now += HOUR
        await server.revocation.fetch_all()
        diagnosis = await server.diagnosis()
        assert set(codes(diagnosis)) == {("ocsp-stale", Severity.STOPPED)}
        assert not await server.works()
    server.services.behaviour["ocsp"] = "ok"
    await server.revocation.fetch_all()
    assert (await server.works(), (await server.diagnosis()).findings) == (True, ())


@pytest.mark.parametrize("behaviour", ["garbage", "wrong-responder", "stale", "future"])
async def test_wrong_ocsp_answers_never_replace_a_good_one(server: Server, behaviour: str) -> None:
    server.services.behaviour["ocsp"] = behaviour
    server.now += timedelta(minutes=30)
    await server.revocation.fetch_all()
    assert await server.works()
    assert set(codes(await server.diagnosis())) == {("ocsp-not-renewed", Severity.WILL_STOP)}


@pytest.mark.xroad("F038")
async def test_a_revoked_certificate_stops_at_once_and_is_named(server: Server) -> None:
    digest = server.signs_with()
    certificate = x509.load_der_x509_certificate(server.operations.certificate(digest).der)
    server.pki.revoke(certificate)
    await server.revocation.fetch_all()
    assert not await server.works()
    finding = (await server.diagnosis()).findings[0]
    assert (finding.code, finding.severity) == ("ocsp-refused", Severity.STOPPED)
    assert finding.subject == name_text(certificate.subject)
    assert "revoked" in finding.texts_in("es")[0]


async def test_a_lost_token_is_named_and_a_returned_one_works_again(server: Server) -> None:
    server.device.gone = True
    assert not await server.works()
    diagnosis = await server.diagnosis()
    assert codes(diagnosis) == [("token", Severity.STOPPED)]
    assert "DeviceRemoved" in diagnosis.findings[0].texts_in("es")[0]
    assert "hsm" in diagnosis.findings[0].texts_in("es")[1]
    server.device.gone = False
    assert (await server.works(), (await server.diagnosis()).findings) == (True, ())


async def test_a_token_that_is_logged_out_is_named(server: Server) -> None:
    await server.operations.logout("hsm")
    assert codes(await server.diagnosis()) == [("token", Severity.STOPPED)]
    assert not await server.works()


@pytest.mark.parametrize("jump", [2 * HOUR, -2 * HOUR, DAY, -DAY])
async def test_a_clock_that_jumps_is_found_and_forgiven_when_it_returns(
    server: Server, jump: timedelta
) -> None:
    server.now += jump
    assert not await server.works()
    offset = Timestamping(clock_offset_s=jump.total_seconds(), clock_source="CN=TSA")
    diagnosis = await server.diagnosis(offset)
    assert ("clock", Severity.STOPPED) in codes(diagnosis)
    assert {f.code for f in diagnosis.findings} - {"clock"} <= {
        "ocsp-stale",
        "ocsp-refused",
        "certificate-not-yet-valid",
    }
    said = next(f for f in diagnosis.findings if f.code == "clock").texts_in("es")[0]
    assert ("adelantado" if jump > timedelta(0) else "atrasado") in said
    server.now -= jump
    assert (await server.works(), (await server.diagnosis()).findings) == (True, ())


async def test_timestamps_that_fail_say_until_when_traffic_goes_on(server: Server) -> None:
    failing = Timestamping(server.now - HOUR, FailureReason("no route to host"), 4 * HOUR)
    diagnosis = await server.diagnosis(failing)
    assert codes(diagnosis) == [("timestamps-failing", Severity.WILL_STOP)]
    assert diagnosis.stops_at == server.now + 3 * HOUR
    assert "no route to host" in diagnosis.findings[0].texts_in("en")[0]


async def test_a_diagnosis_goes_to_programs_with_both_languages(server: Server) -> None:
    server.device.gone = True
    (finding,) = as_json(await server.diagnosis())["findings"]
    assert set(finding) == {"code", "severity", "subject", "stops_at", "values", "es", "en"}
    assert set(finding["es"]) == set(finding["en"]) == {"what", "do"}
    assert datetime.fromisoformat(finding["stops_at"]) == server.now


class Orders:
    """A CA that issues what is ordered, or does not."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.refuses = False
        self.suggests: datetime | None = None

    async def order(
        self, ca: ApprovedCa, usage: KeyUsage, member: ClientId | None, request_der: bytes
    ) -> bytes:
        del ca, member
        if self.refuses:
            raise Refused(GatewayCode.ACME_ORDER_CREATION_FAILURE, "the CA is closed for the holidays")
        wanted = x509.load_der_x509_csr(request_der)
        return self._server.pki.certify(wanted, usage.value, days=90, now=self._server.now).public_bytes(
            Encoding.PEM
        )

    async def renewal_time(self, ca: ApprovedCa, member: ClientId | None, der: bytes) -> datetime | None:
        del ca, member, der
        return self.suggests


def renewing(server: Server, orders: Orders, told: list[str]) -> Renewing:
    async def register(certificate: KeyCertificate) -> None:
        told.append("registered")
        server.listed.add(certificate.der)

    return Renewing(
        server.operations,
        server.keyconf,
        orders,
        lambda: server.configuration,
        register,
        lambda: server.now,
        lambda kind, _subject, _detail, _member: told.append(kind),
    )


@pytest.mark.xroad("F043", "F044")
async def test_certificates_renew_themselves_before_a_third_of_their_life_is_left(server: Server) -> None:
    orders, told = Orders(server), list[str]()
    server.now += 50 * DAY
    assert await renew_due(Acme(), renewing(server, orders, told)) == []
    server.now += 11 * DAY
    server.publish()
    made = await renew_due(Acme(), renewing(server, orders, told))
    assert {m.usage for m in made} == set(KeyUsage)
    server.publish()
    await server.revocation.fetch_all()
    await renew_due(Acme(), renewing(server, orders, told))
    assert sorted(told) == [
        "certificate-activated",
        "certificate-renewed",
        "certificate-renewed",
        "registered",
    ]
    server.rebuild()
    await server.revocation.fetch_all()
    server.now += timedelta(seconds=301)
    assert await server.works()
    assert {server.signs_with(), server.shows()} == {m.hash for m in made}
    assert await renew_due(Acme(), renewing(server, orders, told)) == []


@pytest.mark.xroad("F043")
async def test_the_moment_a_ca_suggests_counts(server: Server) -> None:
    orders = Orders(server)
    orders.suggests = NOW + DAY
    assert await renew_due(Acme(), renewing(server, orders, [])) == []
    server.now += DAY
    assert len(await renew_due(Acme(), renewing(server, orders, []))) == 2


@pytest.mark.xroad("F043", "F046")
async def test_a_renewal_that_fails_is_told_leaves_no_key_and_is_tried_again(server: Server) -> None:
    orders, told = Orders(server), list[str]()
    orders.refuses = True
    server.now += 61 * DAY
    server.publish()
    await server.revocation.fetch_all()
    keys = len((await server.operations.token("hsm")).keys)
    await renew_due(Acme(), renewing(server, orders, told))
    assert told == ["renewal-failed", "renewal-failed"]
    assert len((await server.operations.token("hsm")).keys) == keys
    findings = [f for f in (await server.diagnosis()).findings if f.code == "renewal-failed"]
    assert "closed for the holidays" in findings[0].texts_in("es")[0]
    orders.refuses = False
    assert len(await renew_due(Acme(), renewing(server, orders, told))) == 2
    assert [c.renewal_error for c in server.keyconf.certificates()] == [None] * 4
