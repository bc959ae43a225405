"""The trusted configuration, rule by rule: the directory's signature and expiry, what is loaded of a folder, whose certificate it is."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from certs.algorithms import SignatureAlgorithm
from certs.certificates import der_of
from certs.configuration import (
    InstanceConfiguration,
    TrustedConfiguration,
    sign_directory,
    verify_directory,
)
from certs.edges.configurationfiles import (
    load_configuration_folder,
    read_configuration_files,
    render_verificationconf,
)
from certs.policies import sign_policy, verify_policy
from certs.tokens.port import KeyId
from schemas.faults import Fault, Kind, NotProved
from schemas.globalconf.directory import SHA512_URI, Directory, DirectoryPart
from schemas.globalconf.parts import DEFAULT_FETCH_INTERVAL_S, render_fetch_interval
from schemas.globalconf.private import ManagementService, PrivateParameters, render_private
from schemas.globalconf.sharedwriting import render_shared
from schemas.policy import Signature, SignedDocument
from serving.storage.selfsigned import self_signed
from tests import worlds
from tests.worlds import CONSUMER, CONSUMER_SERVER, NOW, run_now

if TYPE_CHECKING:
    from pathlib import Path


AT = datetime(2026, 12, 1, tzinfo=UTC)
DIRECTORY = Directory(
    4, AT, (DirectoryPart("SHARED-PARAMETERS", "MX", "/1.xml", SHA512_URI, hashlib.sha512(b"").digest()),)
)


class Holder:
    """A signer that holds one key."""

    def __init__(self, name: str) -> None:
        self.key, (certificate,) = self_signed(name)
        self.certificate = certificate.public_bytes(Encoding.DER)
        self.algorithm = SignatureAlgorithm.for_key(certificate.public_key())

    async def sign(self, key_id: KeyId, digest: bytes, algorithm: SignatureAlgorithm) -> bytes:
        del key_id
        return self.key.sign(digest, ec.ECDSA(algorithm.prehashed))


ONE, TWO, THREE = (Holder(name) for name in ("uno", "dos", "tres"))


def directory(signer: Holder, certificate: bytes, algorithm: SignatureAlgorithm | None = None) -> bytes:
    made = sign_directory(
        DIRECTORY,
        signer,
        KeyId("k"),
        algorithm or signer.algorithm,
        certificate,
        ("outer", "inner"),
    )
    return run_now(made)


def test_a_directory_holds_until_the_second_in_which_it_expires() -> None:
    raw = directory(ONE, ONE.certificate)
    assert verify_directory(raw, [TWO.certificate, ONE.certificate], AT - timedelta(seconds=1)) == DIRECTORY
    with pytest.raises(Fault, match="the directory expired at 2026-12-01 00:00:00 UTC") as caught:
        verify_directory(raw, [ONE.certificate], AT)
    assert caught.value.kind is Kind.GLOBAL_CONF_OUTDATED


def test_a_directory_is_signed_by_the_key_of_the_certificate_it_names() -> None:
    algorithm_of_others = SignatureAlgorithm.RSA_SHA512
    raw = directory(ONE, ONE.certificate)
    for wrong in (
        directory(TWO, ONE.certificate),
        raw.replace(b"Version: 4", b"Version: 5"),
        raw.replace(ONE.algorithm.uri.encode(), algorithm_of_others.uri.encode()),
        raw.replace(ONE.algorithm.uri.encode(), b"urn:unknown"),
    ):
        with pytest.raises(Fault, match="signature does not hold") as caught:
            verify_directory(wrong, [ONE.certificate], AT - timedelta(days=1))
        assert caught.value.kind is Kind.GLOBAL_CONF_SIGNATURE_FAILURE


# What is loaded


def files(**changes: bytes | None) -> dict[str, bytes]:
    shared = render_shared(worlds.world().shared)
    found: dict[str, bytes | None] = {
        "instance-identifier": b"MX\n",
        "MX/shared-params.xml": shared,
        "MX/shared-params.xml.metadata": b'{"configurationVersion": "6"}',
    }
    return {name: content for name, content in (found | changes).items() if content is not None}


def test_a_folder_says_whose_configuration_it_is_and_has_it() -> None:
    assert TrustedConfiguration.load(files()).instance == "MX"
    for changes, words in (
        ({"instance-identifier": None}, "has no file instance-identifier"),
        ({"instance-identifier": b"EE"}, "no shared parameters of instance 'EE'"),
        ({"MX/shared-params.xml": None}, "no shared parameters of instance 'MX'"),
    ):
        with pytest.raises(Fault, match=words) as caught:
            TrustedConfiguration.load(files(**changes))
        assert caught.value.kind is Kind.MALFORMED_GLOBAL_CONF


@pytest.mark.parametrize(
    "metadata",
    [
        *(b"", b"[]", b'{"expirationDate": "ayer"}', b'{"expirationDate": 7}', b"\xff"),
        *(
            b'{"configurationVersion": "x"}',
            b'{"configurationVersion": 1e999}',
            b'{"configurationVersion": []}',
        ),
    ],
)
def test_metadata_that_cannot_be_read_is_no_metadata_of_this_version(metadata: bytes) -> None:
    broken = files(**{"MX/shared-params.xml.metadata": metadata})
    if metadata == b'{"configurationVersion": []}':  # an empty version is one that nobody wrote: the oldest
        with pytest.raises(Fault):
            TrustedConfiguration.load(broken)
        return
    with pytest.raises(Fault, match="metadata of a configuration part cannot be read"):
        TrustedConfiguration.load(broken)


def test_a_broken_instance_is_left_out_where_that_is_wanted_but_never_the_own_one() -> None:
    foreign = files(**{"EE/shared-params.xml": b"<broken"})
    with pytest.raises(Fault):
        TrustedConfiguration.load(foreign)
    assert list(TrustedConfiguration.load(foreign, strict=False).instances) == ["MX"]
    with pytest.raises(Fault, match="no shared parameters of instance 'MX'"):
        TrustedConfiguration.load(files(**{"MX/shared-params.xml": b"<broken"}), strict=False)


def test_an_expired_foreign_instance_is_left_out_and_the_own_one_says_so_itself() -> None:
    shared = render_shared(worlds.world().shared)
    over = b'{"configurationVersion": "6", "expirationDate": "2026-01-01T00:00:00+00:00"}'
    own = files(**{"MX/shared-params.xml.metadata": over})
    found = TrustedConfiguration.load(own, now=NOW)
    with pytest.raises(Fault, match="the global configuration expired"):
        found.check_fresh(NOW)
    found.check_fresh(found.expires_at - timedelta(seconds=1))
    foreign = files(
        **{
            "EE/shared-params.xml": shared.replace(b">MX<", b">EE<"),
            "EE/shared-params.xml.metadata": over,
        }
    )
    assert list(TrustedConfiguration.load(foreign, now=NOW).instances) == ["MX"]
    assert sorted(TrustedConfiguration.load(foreign).instances) == ["EE", "MX"]


def test_the_private_parameters_count_and_so_does_their_expiry() -> None:
    private = PrivateParameters("MX", ManagementService("https://cs.invalid", CONSUMER), 7)
    day = f'{{"expirationDate": "{AT.isoformat()}"}}'.encode()
    later = f'{{"configurationVersion": "6", "expirationDate": "{(AT + timedelta(days=1)).isoformat()}"}}'.encode()
    given = {"MX/private-params.xml": render_private(private), "MX/shared-params.xml.metadata": later}
    assert TrustedConfiguration.load(files()).timestamping_interval_s == 60
    found = TrustedConfiguration.load(files(**given))
    assert (found.timestamping_interval_s, found.expires_at) == (7, AT + timedelta(days=1))
    found = TrustedConfiguration.load(files(**given, **{"MX/private-params.xml.metadata": day}))
    assert found.expires_at == AT


def test_the_optional_parts_say_how_often_ocsp_is_asked_and_where_nothing_is_said_it_is_x_roads_default() -> (
    None
):
    shared = worlds.world().shared
    assert worlds.trusted(shared, NOW).ocsp_fetch_interval_s == DEFAULT_FETCH_INTERVAL_S
    assert worlds.trusted(shared, NOW, fetchinterval=render_fetch_interval(90)).ocsp_fetch_interval_s == 90


def test_an_auth_certificate_is_found_in_whatever_instance_lists_it() -> None:
    world = worlds.world()
    empty = replace(world.shared, instance="EE", security_servers=(), members=())
    listed = der_of(world.auth[CONSUMER_SERVER])
    both = [InstanceConfiguration(empty), InstanceConfiguration(world.shared)]
    found = TrustedConfiguration("EE", dict(zip(("EE", "MX"), both, strict=True)))
    server = found.server_by_auth_certificate(listed)
    assert server is not None
    assert server.id == CONSUMER_SERVER
    assert found.server_by_auth_certificate(listed[:-1]) is None


def test_a_certificate_of_no_approved_authority_names_no_member() -> None:
    configuration = worlds.world().configuration
    certificate = worlds.world().identities[CONSUMER.member].certificate
    assert configuration.member_of_signing_certificate(certificate, "MX") == CONSUMER.member
    for wrong, instance in ((self_signed("otro")[1][0], "MX"), (certificate, "EE")):
        with pytest.raises(NotProved, match=f"no approved CA of instance {instance} has the name") as caught:
            configuration.member_of_signing_certificate(wrong, instance)
        assert caught.value.kind is Kind.CANNOT_CREATE_CERT_PATH


def test_what_is_no_folder_has_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for missing in (tmp_path / "file", tmp_path / "nothing"):
        with pytest.raises(Fault, match="is not a configuration folder"):
            read_configuration_files(missing)


def test_the_zip_that_verifiers_are_given_is_read_as_it_is_and_unpacked(tmp_path: Path) -> None:
    configuration = worlds.world().configuration
    given = tmp_path / "verificationconf.zip"
    given.write_bytes(render_verificationconf(configuration))
    for place in (tmp_path / "unpacked", tmp_path / "unpacked" / "verificationconf"):
        with zipfile.ZipFile(given) as packed:
            packed.extractall(tmp_path / "unpacked")
        assert read_configuration_files(place) == read_configuration_files(given)
    loaded = load_configuration_folder(given, strict=False)
    assert loaded.instances["MX"].shared.raw == configuration.instances["MX"].shared.raw
    given.write_bytes(given.read_bytes()[:-1])
    with pytest.raises(Fault, match="nor a zip of one as GET /verificationconf gives it"):
        read_configuration_files(given)


# Policies


def signed(raw: bytes, *signers: Holder) -> SignedDocument:
    made = [run_now(sign_policy(raw, s, "k", s.algorithm, s.certificate)) for s in signers]  # type: ignore[arg-type]
    return SignedDocument(raw, tuple(made))


AUTHORITIES = (ONE.certificate, TWO.certificate)


@pytest.mark.parametrize(
    ("signers", "needed", "found"),
    [([ONE], 1, 1), ([ONE, TWO], 2, 2), ([ONE, ONE], 2, 1), ([ONE, THREE], 2, 1), ([], 1, 0)],
)
def test_a_policy_is_signed_by_as_many_different_authorities_as_are_needed(
    signers: list[Holder], needed: int, found: int
) -> None:
    document = signed(b"{}", *signers)
    if found >= needed:
        assert verify_policy(document, AUTHORITIES, needed) == b"{}"
        return
    with pytest.raises(Fault, match=f"{found} of the {needed} authorities needed") as caught:
        verify_policy(document, AUTHORITIES, needed)
    assert caught.value.kind is Kind.INVALID_SIGNATURE_VALUE


@pytest.mark.parametrize("needed", [0, -1, 3])
def test_more_signatures_than_authorities_or_none_cannot_be_needed(needed: int) -> None:
    with pytest.raises(Fault, match=f"{needed} signatures are needed of 2 authorities"):
        verify_policy(signed(b"{}", ONE, TWO), (*AUTHORITIES, ONE.certificate), needed)


def test_one_signature_of_an_authority_that_does_not_hold_refuses_the_whole() -> None:
    good = signed(b"{}", ONE)
    for bad in (
        Signature(TWO.certificate, TWO.algorithm.uri, good.signatures[0].value),
        Signature(TWO.certificate, "urn:unknown", good.signatures[0].value),
    ):
        with pytest.raises(Fault, match="does not hold"):
            verify_policy(SignedDocument(b"{}", (*good.signatures, bad)), AUTHORITIES, 1)
