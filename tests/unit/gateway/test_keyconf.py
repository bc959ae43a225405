"""Keys and certificates: what operators do with them, what is refused, and what survives."""

from __future__ import annotations

import hashlib
import itertools
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.certificates import der_of
from certs.dev.authority import DevPki
from certs.edges.devices import SoftwareDevice
from certs.edges.tokenfiles import TokenFolder
from certs.profiledata import parse_profiles
from certs.profiles import STANDARD_PROFILES
from certs.tokens.port import TokenStatus
from certs.tokens.soft import SoftToken
from gateway.admin.keys import unregister
from gateway.clients.store import ServerConfStore
from gateway.keys import actions
from gateway.keys.actions import observe
from gateway.keys.context import KeyContext
from gateway.keys.model import MOVES, CertificateEvent, CertificateStatus, KeyUsage, PossibleAction
from gateway.keys.operations import KeyOperations
from gateway.keys.requesting import render_request
from gateway.keys.store import KeyConfStore
from gateway.keys.tokens import Tokens
from gateway.migrations.serverconf import STEPS
from schemas.faults import Fault, Kind, NotProved
from schemas.globalconf.shared import ApprovedCa, CaInfo, Member, SecurityServer, SharedParameters, Source
from schemas.identifiers import ClientId, ServerId
from schemas.management import ManagementRequest, ManagementServiceCode
from serving.api.problems import Problem
from serving.errors import Refused
from serving.storage.database import apply_steps, connect
from tests.doubles import MemoryTokens
from tests.worlds import trusted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from certs.configuration import TrustedConfiguration
    from tests.postgres import Cluster

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
OWNER = ClientId("MX", "GOB", "15-ISSEMYM")
SERVER = OWNER.server("SS1")
PIN = "Secret1234"
AUTH_VALUES = {"CN": "ss1.example", "C": "MX"}


class World:
    """One gateway's keys, its CA, and the configuration it sees."""

    def __init__(self, folder: Path, profile: str = "Basic", where: str | None = None) -> None:
        self.pki = DevPki.create(folder / "pki", now=NOW - timedelta(days=1))
        self.store = ServerConfStore(where or folder / "serverconf.sqlite")
        self.store.initialise(SERVER, b"anchor")
        self.keyconf = KeyConfStore(self.store.database)
        self.folder = TokenFolder(folder / "token")
        self.tokens = Tokens(self.keyconf, [SoftwareDevice("0", SoftToken(self.folder))])
        self.profile = profile
        self.configuration: TrustedConfiguration | None = configuration_of(
            self.pki, SERVER, (), profile=profile
        )
        ids = itertools.count(1)
        self.has_pin_policy = self.activates = False
        self.unproved: NotProved | None = None
        self.operations = KeyOperations(
            self.keyconf,
            self.tokens,
            KeyContext(
                now=lambda: NOW,
                new_id=lambda: f"id{next(ids)}",
                server_id=lambda: SERVER,
                configuration=lambda: self.configuration,
                is_local_member=lambda m: m == OWNER,
                verify=self._verify,
                key_kinds=dict.fromkeys((None, *KeyUsage), "ec-p256"),
                has_pin_policy=lambda: self.has_pin_policy,
                activates=lambda: self.activates,
            ),
        )

    async def _verify(self, _certificate: x509.Certificate) -> None:
        if self.unproved is not None:
            raise self.unproved

    async def made(self) -> World:
        await self.operations.initialise_token("0", PIN)
        return self

    async def issue(self, usage: KeyUsage, request_der: bytes) -> bytes:
        wanted = x509.load_der_x509_csr(request_der)
        if usage is KeyUsage.SIGNING:
            return self.pki.issue_sign(wanted, OWNER, now=NOW).public_bytes(Encoding.DER)
        return self.pki.issue_auth(wanted, SERVER, "ss1.example", now=NOW).public_bytes(Encoding.DER)


def configuration_of(
    pki: DevPki, server: ServerId, listed: tuple[bytes, ...], *, profile: str = "Basic"
) -> TrustedConfiguration:
    """A configuration that lists authentication certificates on a server."""
    ca = ApprovedCa(
        "CA", CaInfo(der_of(pki.root)), profile, intermediates=(CaInfo(der_of(pki.intermediate)),)
    )
    shared = SharedParameters(
        "MX",
        sources=(Source("cs.invalid", (b"internal",), (b"external",)),),
        approved_cas=(ca,),
        members=(Member(server.owner, "Gobierno", "ISSEMYM"),),
        security_servers=(
            SecurityServer(server, "", frozenset(hashlib.sha256(der).digest() for der in listed)),
        ),
    )
    return trusted(shared, NOW)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.processes)])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """One on each database: whatever operators do with keys is the same on both."""
    where: str | None = None
    if request.param == "postgres":
        cluster: Cluster = request.getfixturevalue("postgres")
        where = cluster.new_database()
    made = await World(tmp_path, where=where).made()
    yield made
    await made.tokens.close()
    made.store.close()


async def refusal(attempt: object) -> str:
    with pytest.raises(Refused) as caught:
        await attempt  # type: ignore[misc]
    return caught.value.code


class TestTokens:
    async def test_a_token_that_was_never_made_says_so(self, tmp_path: Path) -> None:
        token = await World(tmp_path).operations.token("0")
        assert (token.status, token.logged_in) == (TokenStatus.NOT_INITIALIZED, False)
        assert PossibleAction.LOGIN not in actions.token_actions(token)

    @pytest.mark.xroad("F023")
    async def test_wrong_pins_are_counted_until_the_token_is_locked(self, world: World) -> None:
        await world.operations.logout("0")
        seen = []
        for _ in range(10):
            assert await refusal(world.operations.login("0", "wrong")) == "pin_incorrect"
            seen.append((await world.operations.token("0")).status)
        assert seen[0] is TokenStatus.USER_PIN_COUNT_LOW
        assert seen[8:] == [TokenStatus.USER_PIN_FINAL_TRY, TokenStatus.USER_PIN_LOCKED]
        assert await refusal(world.operations.login("0", PIN)) == "action_not_possible"

    async def test_the_right_pin_resets_the_count(self, world: World) -> None:
        await world.operations.logout("0")
        await refusal(world.operations.login("0", "wrong"))
        assert (await world.operations.login("0", PIN)).status is TokenStatus.OK

    @pytest.mark.xroad("F022")
    async def test_a_changed_pin_opens_the_token_and_the_old_one_does_not(self, world: World) -> None:
        key = await world.operations.generate_key("0", "k")
        await world.operations.change_pin("0", PIN, "Another5678")
        await world.operations.logout("0")
        assert await refusal(world.operations.login("0", PIN)) == "pin_incorrect"
        token = await world.operations.login("0", "Another5678")
        assert [k.id for k in token.keys] == [key.id]

    async def test_a_wrong_old_pin_changes_nothing(self, world: World) -> None:
        assert await refusal(world.operations.change_pin("0", "wrong", "Another5678")) == "pin_incorrect"
        await world.operations.logout("0")
        assert (await world.operations.login("0", PIN)).logged_in

    async def test_a_logged_out_token_makes_no_key(self, world: World) -> None:
        await world.operations.logout("0")
        assert await refusal(world.operations.generate_key("0", "k")) == "action_not_possible"

    async def test_names_outlive_a_restart(self, world: World, tmp_path: Path) -> None:
        key = await world.operations.generate_key("0", "k")
        await world.operations.rename_token("0", "token de firma")
        await world.operations.rename_key(key.id, "llave 1")
        again = Tokens(world.keyconf, [SoftwareDevice("0", SoftToken(TokenFolder(tmp_path / "token")))])
        (token,) = await again.tokens()
        assert (token.name, token.logged_in) == ("token de firma", False)
        assert [(k.name, k.label, k.available) for k in token.keys] == [("llave 1", "k", False)]


class TestRequests:
    @pytest.mark.xroad("F034")
    async def test_a_request_has_the_profile_s_subject_and_can_be_built_again(self, world: World) -> None:
        key, request = await world.operations.generate_key_with_request(
            "0", "auth", KeyUsage.AUTHENTICATION, "CA", None, AUTH_VALUES
        )
        der = await world.operations.request_der(key.id, request.id)
        parsed = x509.load_der_x509_csr(der)
        assert parsed.is_signature_valid
        assert parsed.subject.rfc4514_string() == "O=ISSEMYM,C=MX,2.5.4.5=15-ISSEMYM,CN=ss1.example"
        pem = render_request(await world.operations.request_der(key.id, request.id), "PEM")
        assert x509.load_pem_x509_csr(pem).subject == parsed.subject

    async def test_the_alternative_name_of_the_finnish_profile_is_an_extension(self, tmp_path: Path) -> None:
        world = await World(
            tmp_path, "ee.ria.xroad.common.certificateprofile.impl.FiVRKCertificateProfileInfoProvider"
        ).made()
        values = {"CN": "ss1", "C": "FI", "O": "Test", "subjectAltName": "ss1", "serialNumber": "ignored"}
        key, request = await world.operations.generate_key_with_request(
            "0", "auth", KeyUsage.AUTHENTICATION, "CA", None, values
        )
        parsed = x509.load_der_x509_csr(await world.operations.request_der(key.id, request.id))
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert names.get_values_for_type(x509.DNSName) == ["ss1"]
        assert parsed.subject.rfc4514_string() == "CN=ss1,2.5.4.5=MX/SS1/GOB,O=Test,C=FI"

    @pytest.mark.parametrize(
        ("values", "names"),
        [({"C": "MX"}, "CN"), ({"CN": "a", "C": "MX", "L": "x"}, "L")],
        ids=["missing", "unknown"],
    )
    async def test_fields_that_do_not_fit_the_profile_leave_no_key(
        self, world: World, values: dict[str, str], names: str
    ) -> None:
        with pytest.raises(Refused, match=names) as caught:
            await world.operations.generate_key_with_request(
                "0", "auth", KeyUsage.AUTHENTICATION, "CA", None, values
            )
        assert caught.value.code == "invalid_dn_parameter"
        assert (await world.operations.token("0")).keys == ()

    async def test_refusals_have_the_codes_of_the_admin_api(self, world: World) -> None:
        make = world.operations.generate_key_with_request
        signing, auth = KeyUsage.SIGNING, KeyUsage.AUTHENTICATION
        other = ClientId("MX", "GOB", "99")
        assert (
            await refusal(make("0", "k", auth, "Nobody", None, AUTH_VALUES))
            == "certificate_authority_not_found"
        )
        assert await refusal(make("0", "k", signing, "CA", None, {})) == "memberId_required_for_sign_csr"
        assert await refusal(make("0", "k", signing, "CA", other, {})) == "client_not_found"
        key, _ = await make("0", "k", auth, "CA", None, AUTH_VALUES)
        create = world.operations.create_request
        assert await refusal(create(key.id, signing, "CA", OWNER, {"C": "MX"})) == "wrong_key_usage"
        assert await refusal(world.operations.request_der(key.id, "none")) == "csr_not_found"
        assert await refusal(world.operations.request_der("none", "none")) == "key_not_found"

    async def test_the_fields_are_described(self, world: World) -> None:
        fields = world.operations.subject_fields("CA", KeyUsage.SIGNING, OWNER)
        assert [(f.id, f.default_value, f.read_only) for f in fields] == [
            ("CN", "ISSEMYM", True),
            ("O", "ISSEMYM", True),
            ("businessCategory", "GOB", True),
            ("C", "", False),
            ("serialNumber", "15-ISSEMYM", True),
        ]


class TestCertificates:
    async def imported(self, world: World, usage: KeyUsage, label: str = "k") -> str:
        values = AUTH_VALUES if usage is KeyUsage.AUTHENTICATION else {"C": "MX"}
        key, request = await world.operations.generate_key_with_request(
            "0", label, usage, "CA", OWNER if usage is KeyUsage.SIGNING else None, values
        )
        der = await world.operations.request_der(key.id, request.id)
        return (await world.operations.import_certificate(await world.issue(usage, der))).hash

    async def test_a_signing_certificate_is_registered_and_active_at_once(self, world: World) -> None:
        certificate = world.operations.certificate(await self.imported(world, KeyUsage.SIGNING))
        assert (certificate.status, certificate.active) == (CertificateStatus.REGISTERED, True)
        assert certificate.member == OWNER

    @pytest.mark.xroad("F036")
    async def test_an_import_answers_its_request(self, world: World) -> None:
        await self.imported(world, KeyUsage.SIGNING)
        (key,) = (await world.operations.token("0")).keys
        assert (key.requests, key.usage, len(key.certificates)) == ((), KeyUsage.SIGNING, 1)

    @pytest.mark.xroad("F037")
    async def test_an_authentication_certificate_goes_through_its_states(self, world: World) -> None:
        digest = await self.imported(world, KeyUsage.AUTHENTICATION)
        states = [world.operations.certificate(digest).status]
        states.append(world.operations.mark_registration_sent(digest).status)
        der = world.operations.certificate(digest).der
        listed = configuration_of(world.pki, SERVER, (der,))
        observe(world.keyconf, listed, SERVER, NOW)
        states.append(world.operations.certificate(digest).status)
        observe(world.keyconf, configuration_of(world.pki, SERVER, ()), SERVER, NOW)
        states.append(world.operations.certificate(digest).status)
        observe(world.keyconf, listed, SERVER, NOW)
        states.append(world.operations.mark_deletion_sent(digest).status)
        assert states == [
            CertificateStatus.SAVED,
            CertificateStatus.REGISTRATION_IN_PROGRESS,
            CertificateStatus.REGISTERED,
            CertificateStatus.GLOBAL_ERROR,
            CertificateStatus.DELETION_IN_PROGRESS,
        ]
        await world.operations.delete_certificate(digest)
        assert await refusal(_async(world.operations.certificate, digest)) == "certificate_not_found"

    @pytest.mark.xroad("F041")
    async def test_what_may_still_be_listed_is_not_deleted(self, world: World) -> None:
        digest = await self.imported(world, KeyUsage.AUTHENTICATION)
        world.operations.mark_registration_sent(digest)
        assert await refusal(world.operations.delete_certificate(digest)) == "action_not_possible"
        (key,) = (await world.operations.token("0")).keys
        assert await refusal(world.operations.delete_key(key.id)) == "action_not_possible"

    @pytest.mark.xroad("F041")
    async def test_one_marked_for_deletion_goes_once_the_configuration_lists_it_no_longer(
        self, world: World
    ) -> None:
        digest = await self.imported(world, KeyUsage.AUTHENTICATION)
        der = world.operations.certificate(digest).der
        world.operations.mark_registration_sent(digest)
        world.operations.observe(configuration_of(world.pki, SERVER, (der,)))
        assert await refusal(world.operations.delete_certificate(digest)) == "action_not_possible"
        # After the request went out, or instead of it where the centre cannot be reached.
        world.operations.mark_deletion_sent(digest)
        assert await refusal(_async(world.operations.mark_deletion_sent, digest)) == "action_not_possible"
        world.operations.observe(configuration_of(world.pki, SERVER, ()))
        await world.operations.delete_certificate(digest)
        assert await refusal(_async(world.operations.certificate, digest)) == "certificate_not_found"

    @pytest.mark.xroad("F041")
    async def test_a_deletion_is_asked_of_the_centre_and_its_refusal_changes_nothing(
        self, world: World
    ) -> None:
        digest = await self.imported(world, KeyUsage.AUTHENTICATION)
        certificate = world.operations.mark_registration_sent(digest)
        sent: list[ManagementRequest] = []

        async def send(request: ManagementRequest, _key: object) -> None:
            if not sent:
                sent.append(request)
                raise Fault(Kind.NETWORK_ERROR, "the centre is closed")
            sent.append(request)

        context = cast("Any", SimpleNamespace(server_id=lambda: SERVER, send=send, keys=world.operations))
        with pytest.raises(Problem) as caught:
            await unregister(context, certificate)
        assert (caught.value.code, caught.value.metadata) == (
            "management_request_sending_failed",
            ("the centre is closed",),
        )
        assert world.operations.certificate(digest).status is certificate.status
        await unregister(context, certificate)
        assert sent[1].service is ManagementServiceCode.AUTH_CERT_DELETION
        assert sent[1].auth_certificate == certificate.der
        assert world.operations.certificate(digest).status is not certificate.status

    async def test_a_state_is_not_skipped(self, world: World) -> None:
        digest = await self.imported(world, KeyUsage.AUTHENTICATION)
        assert await refusal(_async(world.operations.mark_deletion_sent, digest)) == "action_not_possible"

    @pytest.mark.xroad("F039")
    async def test_several_keys_and_certificates_stand_side_by_side(self, world: World) -> None:
        hashes = {await self.imported(world, KeyUsage.SIGNING, f"k{n}") for n in range(3)}
        await world.operations.disable(sorted(hashes)[0])
        assert {c.hash for c in world.keyconf.certificates() if c.active} == hashes - {sorted(hashes)[0]}

    async def test_refused_imports_have_the_codes_of_the_admin_api(self, world: World) -> None:
        take = world.operations.import_certificate
        foreign = SoftToken.create(MemoryTokens(), "1234")
        key = foreign.generate_key("ec-p256", "k", "sign")
        strange = world.pki.issue_sign(foreign.public_key(key), OWNER, now=NOW).public_bytes(Encoding.DER)
        assert await refusal(take(b"nonsense")) == "invalid_certificate"
        assert await refusal(take(strange)) == "key_not_found"
        digest = await self.imported(world, KeyUsage.SIGNING)
        assert await refusal(take(world.operations.certificate(digest).der)) == "certificate_already_exists"

    async def test_a_key_is_not_for_both_purposes(self, world: World) -> None:
        key, request = await world.operations.generate_key_with_request(
            "0", "k", KeyUsage.AUTHENTICATION, "CA", None, AUTH_VALUES
        )
        der = await world.operations.request_der(key.id, request.id)
        signing = await world.issue(KeyUsage.SIGNING, der)
        assert await refusal(world.operations.import_certificate(signing)) == "cert_wrong_usage"

    async def test_deleting_a_key_takes_everything_of_it(self, world: World) -> None:
        digest = await self.imported(world, KeyUsage.SIGNING)
        (key,) = (await world.operations.token("0")).keys
        await world.operations.delete_key(key.id)
        assert (world.folder.read_keys(), world.keyconf.certificates()) == ({}, ())
        assert await refusal(_async(world.operations.certificate, digest)) == "certificate_not_found"


def test_every_state_and_event_of_the_table_is_known() -> None:
    assert {s for s, _ in MOVES} | set(MOVES.values()) == set(CertificateStatus)
    assert {e for _, e in MOVES} == set(CertificateEvent)


def test_certificates_of_an_older_database_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "old.sqlite"
    connection = connect(path)
    apply_steps(connection, STEPS[:1])
    connection.execute("INSERT INTO certificate VALUES (?, 'k1', 'sign', 1)", (b"one",))
    connection.execute("INSERT INTO certificate VALUES (?, 'k2', 'auth', 0)", (b"two",))
    connection.close()
    store = ServerConfStore(path)
    found = {c.der: (c.usage, c.active, c.status) for c in KeyConfStore(store.database).certificates()}
    store.close()
    assert found == {
        b"one": (KeyUsage.SIGNING, True, CertificateStatus.REGISTERED),
        b"two": (KeyUsage.AUTHENTICATION, False, CertificateStatus.SAVED),
    }


EFIRMA = """
[[profile]]
name = "EfirmaPrueba"
sign = [
    { field = "C", value = "MX" },
    { field = "O", value = "{name}", label = "ORGANIZATION_NAME" },
    { field = "x500UniqueIdentifier", value = "{code}" },
    { field = "CN", value = "{name}", fixed = false },
]
auth = [{ field = "C", value = "MX" }, { field = "CN", value = "{address}", fixed = false }]
class = { value = "GOB" }
code = { field = "x500UniqueIdentifier", pattern = "([A-Z0-9-]+)( / .*)?" }
"""


@pytest.mark.xroad("F035")
def test_a_profile_from_a_file_reads_the_member_of_a_subject() -> None:
    profiles = STANDARD_PROFILES.extended(parse_profiles(EFIRMA))
    subject = {x509.NameOID.X500_UNIQUE_IDENTIFIER: "IMS421231I45 / PEPJ8001019Q8"}
    assert profiles.member_of_fields("EfirmaPrueba", subject, "MX") == ClientId("MX", "GOB", "IMS421231I45")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("x500UniqueIdentifier", "x500Unique"), "none of"),
        (("{code}", "{kode}"), "kode"),
        (('value = "GOB"', 'pattern = "x"'), "either a value or a field"),
        (("name =", "nombre ="), "nombre"),
    ],
)
def test_a_profile_file_that_cannot_work_is_refused(change: tuple[str, str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_profiles(EFIRMA.replace(*change))


async def _async(call: object, *arguments: object) -> object:
    return call(*arguments)  # type: ignore[operator]
