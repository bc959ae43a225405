"""Certomancer, unmodified from the package registry, as OCSP responder and timestamping authority for our clients.

Its answers to the real questions must count when they are right and never otherwise: revoked, from another time, without an
end, by a responder that nobody authorised, about nothing it knows, and timestamps by a certificate that is not for them.
"""

from __future__ import annotations

import os
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import aiohttp
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certs.certificates import der_of
from certs.edges.fetch import fetch_ocsp, fetch_timestamp
from certs.verify import ocsp
from certs.verify import timestamp as timestamps
from schemas.faults import Kind, NotProved
from schemas.globalconf.shared import ApprovedCa, ApprovedTsa, CaInfo, OcspInfo, SharedParameters, Source
from schemas.message import digest_of
from tests.integration.test_toolkits import environment
from tests.ports import free_port
from tests.worlds import trusted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from certs.configuration import TrustedConfiguration

pytestmark = pytest.mark.processes

NAMES = ("root", "other", "good", "revoked", "unlisted", "ocsp", "expired", "tsa", "untimely")
PURPOSES = {"ocsp": "ocsp_signing", "expired": "ocsp_signing", "tsa": "time_stamping"}


def architecture(kind: str) -> dict[str, object]:
    """A foreign PKI: what it certifies, and services that are right or wrong."""
    ca = [
        {"id": "basic_constraints", "critical": True, "value": {"ca": True}},
        {
            "id": "key_usage",
            "critical": True,
            "smart-value": {"schema": "key-usage", "params": ["key_cert_sign", "crl_sign"]},
        },
    ]

    def leaf(name: str) -> dict[str, object]:
        purpose = PURPOSES.get(name)
        extensions = [
            {
                "id": "key_usage",
                "critical": True,
                "smart-value": {"schema": "key-usage", "params": ["digital_signature"]},
            },
            *([{"id": "extended_key_usage", "critical": True, "value": [purpose]}] if purpose else []),
        ]
        until = "2024-01-01T00:00:00+0000" if name == "expired" else "2099-01-01T00:00:00+0000"
        made: dict[str, object] = {
            "subject": name,
            "issuer": "other" if name == "unlisted" else "root",
            "validity": {"valid-from": "2020-01-01T00:00:00+0000", "valid-to": until},
            "extensions": extensions,
        }
        if name == "revoked":
            made["revocation"] = {"revoked-since": "2024-06-01T00:00:00+0000", "reason": "key_compromise"}
        return made

    def authority(name: str) -> dict[str, object]:
        validity = {"valid-from": "2020-01-01T00:00:00+0000", "valid-to": "2099-01-01T00:00:00+0000"}
        return {"subject": name, "issuer": name, "validity": validity, "extensions": ca}

    def responder(signer: str, **more: object) -> dict[str, object]:
        return {"for-issuer": "root", "responder-cert": signer, **more}

    return {
        "keyset": "keys",
        "entity-defaults": {"country-name": "MX", "organization-name": "Foreign"},
        "entities": {name: {"common-name": name} for name in NAMES},
        "certs": {n: authority(n) if n in ("root", "other") else leaf(n) for n in NAMES},
        "services": {
            "ocsp": {
                "right": responder("ocsp"),
                "ca": responder("root"),
                "impostor": responder("good"),
                "late": responder("expired"),
                "endless": responder("ocsp", **{"validity-period": None}),
            },
            "time-stamping": {
                "right": {"signing-cert": "tsa"},
                **({"pss": {"signing-cert": "tsa", "signature-algo": "rsassa_pss"}} if kind == "rsa" else {}),
                "sha512": {"signing-cert": "tsa", "digest-algo": "sha512"},
                "unfit": {"signing-cert": "untimely"},
            },
        },
    }


@dataclass(frozen=True)
class Foreign:
    """The running foreign services and what they certify."""

    url: str
    certificates: dict[str, x509.Certificate]

    def __getitem__(self, name: str) -> x509.Certificate:
        return self.certificates[name]

    def configuration(self) -> TrustedConfiguration:
        """A global configuration in which the foreign CA and its authorities are approved."""
        info = OcspInfo(f"{self.url}/ocsp/right")
        shared = SharedParameters(
            "MX",
            sources=(Source("cs.invalid", (b"internal",), (b"external",)),),
            approved_cas=(ApprovedCa("Foreign", CaInfo(der_of(self["root"]), (info,)), "Basic"),),
            approved_tsas=(ApprovedTsa("Foreign", f"{self.url}/tsa/right", der_of(self["tsa"])),),
        )
        return trusted(shared, datetime.now(UTC))

    async def status(
        self, name: str, responder: str = "right", at: datetime | None = None
    ) -> ocsp.OcspStatus:
        """What our client makes of a responder's answer; ``at`` is what the responder takes the time to be."""
        certificate, issuer = self[name], self["root"]
        async with session(at) as asking:
            question = ocsp.build_request(certificate, issuer)
            answer = await fetch_ocsp(asking, [f"{self.url}/ocsp/{responder}"], question)
        return ocsp.check_response(answer, certificate, issuer, self.configuration(), datetime.now(UTC))

    async def stamp(self, service: str, *approved: str) -> timestamps.Timestamp:
        """What our client makes of an authority's reply."""
        digest = digest_of(b"evidence")
        async with session() as asking:
            reply = await fetch_timestamp(
                asking, f"{self.url}/tsa/{service}", timestamps.build_request(digest)
            )
        token, stamp = timestamps.check_reply(reply, digest, [self[name] for name in approved])
        # What is kept proves itself later, with the authority's certificate in it.
        return timestamps.check_token(token, digest, [stamp.authority])


def session(at: datetime | None = None) -> aiohttp.ClientSession:
    """Left alone it answers with fractions of a second, which RFC 5280 4.1.2.5.2 forbids; so it is told the time."""
    told = (at or datetime.now(UTC)).replace(microsecond=0)
    return aiohttp.ClientSession(headers={"X-Certomancer-Fake-Time": told.isoformat()})


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment("certomancer").parent / "certomancer"


@pytest.fixture(scope="module", params=["rsa", "ec"])
def foreign(
    request: pytest.FixtureRequest, program: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Foreign]:
    folder = tmp_path_factory.mktemp("certomancer")
    port = free_port()
    write_architecture(folder, str(request.param), port)
    with (folder / "log").open("wb") as out:
        process = subprocess.Popen(
            [str(program), "--config", str(folder / "certomancer.yml"), "animate", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        )
    url = f"http://127.0.0.1:{port}"
    try:
        shown = {n: downloaded(f"{url}/_certomancer/any-cert/mx/{n}.crt", process) for n in NAMES}
        yield Foreign(f"{url}/mx", shown)
    finally:
        process.terminate()
        process.wait(60)


def write_architecture(folder: Path, kind: str, port: int) -> None:
    keys = {}
    for name in NAMES:
        key = (
            rsa.generate_private_key(65537, 2048)
            if kind == "rsa"
            else ec.generate_private_key(ec.SECP256R1())
        )
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / f"{name}.pem").write_bytes(pem)
        keys[name] = {"path": f"{name}.pem"}
    config = {
        "external-url-prefix": f"http://127.0.0.1:{port}",
        "keysets": {"keys": {"keys": keys}},
        "pki-architectures": {"mx": architecture(kind)},
    }
    (folder / "certomancer.yml").write_text(yaml.safe_dump(config))


def downloaded(url: str, process: subprocess.Popen[bytes]) -> x509.Certificate:
    """What it serves under a URL, once it serves anything."""
    deadline = time.monotonic() + 90
    while True:
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                return x509.load_der_x509_certificate(answer.read())
        except urllib.error.HTTPError:
            raise
        except OSError:
            assert process.poll() is None, "certomancer ended"
            assert time.monotonic() < deadline, "certomancer did not come up"
            time.sleep(0.1)


@pytest.mark.parametrize("responder", ["right", "ca"])
async def test_a_good_answer_counts(foreign: Foreign, responder: str) -> None:
    status = await foreign.status("good", responder)
    assert status.responder == foreign["ocsp" if responder == "right" else "root"]
    assert status.next_update is not None
    assert status.next_update - status.this_update == timedelta(minutes=10)


async def test_an_answer_without_an_end_is_good_by_its_freshness_alone(foreign: Foreign) -> None:
    assert (await foreign.status("good", "endless")).next_update is None
    with pytest.raises(NotProved, match="older than"):
        await foreign.status("good", "endless", datetime.now(UTC) - timedelta(days=1))


async def test_a_revoked_certificate_is_said_to_be(foreign: Foreign) -> None:
    with pytest.raises(NotProved, match="is revoked, says its OCSP responder"):
        await foreign.status("revoked")


@pytest.mark.parametrize(
    ("responder", "reason"),
    [("impostor", "CN=good,O=Foreign,C=MX. may not answer for"), ("late", "CN=expired")],
)
async def test_an_answer_of_the_wrong_responder_never_counts(
    foreign: Foreign, responder: str, reason: str
) -> None:
    with pytest.raises(NotProved, match=reason):
        await foreign.status("good", responder)


@pytest.mark.parametrize(
    "away", [timedelta(hours=-2), timedelta(days=-1), timedelta(hours=2), timedelta(days=1)]
)
async def test_an_answer_from_another_time_never_counts(foreign: Foreign, away: timedelta) -> None:
    with pytest.raises(NotProved, match=r"older than|to be renewed by|lies ahead"):
        await foreign.status("good", at=datetime.now(UTC) + away)


async def test_times_with_fractions_of_a_second_are_refused(foreign: Foreign) -> None:
    """RFC 6960 4.2.2.1 wants the times of RFC 5280, which have none."""
    certificate, issuer = foreign["good"], foreign["root"]
    async with aiohttp.ClientSession() as asking:
        answer = await fetch_ocsp(
            asking, [f"{foreign.url}/ocsp/right"], ocsp.build_request(certificate, issuer)
        )
    with pytest.raises(NotProved, match="cannot be read"):
        ocsp.check_response(answer, certificate, issuer, foreign.configuration(), datetime.now(UTC))


async def test_an_error_answer_says_which(foreign: Foreign) -> None:
    """It is asked about a certificate of another CA, for which it is not authorised."""
    certificate, issuer = foreign["unlisted"], foreign["other"]
    async with session() as asking:
        question = ocsp.build_request(certificate, issuer)
        answer = await fetch_ocsp(asking, [f"{foreign.url}/ocsp/right"], question)
    with pytest.raises(NotProved, match="answered unauthorized"):
        ocsp.check_response(answer, certificate, issuer, foreign.configuration(), datetime.now(UTC))


async def test_the_next_responder_is_asked_when_one_has_nothing_to_say(foreign: Foreign) -> None:
    question = ocsp.build_request(foreign["good"], foreign["root"])
    urls = [f"{foreign.url}/ocsp/{name}" for name in ("nobody", "right")]
    async with session() as asking:
        answer = await fetch_ocsp(asking, urls, question)
        with pytest.raises(NotProved, match="HTTP 404") as caught:
            await fetch_ocsp(asking, urls[:1], question)
    assert caught.value.kind is Kind.CERT_VALIDATION
    now = datetime.now(UTC)
    ocsp.check_response(answer, foreign["good"], foreign["root"], foreign.configuration(), now)


@pytest.mark.parametrize("service", ["right", "sha512", "pss"])
async def test_a_timestamp_is_proved_and_proves_itself_later(foreign: Foreign, service: str) -> None:
    if service == "pss" and isinstance(foreign["tsa"].public_key(), ec.EllipticCurvePublicKey):
        with pytest.raises(NotProved, match="HTTP 404"):  # there is no such thing with an EC key
            await foreign.stamp(service, "tsa")
        return
    stamp = await foreign.stamp(service, "tsa")
    assert stamp.authority == foreign["tsa"]
    assert stamp.imprint == digest_of(b"evidence")
    assert abs(stamp.at - datetime.now(UTC)) < timedelta(minutes=1)


async def test_a_timestamp_of_an_authority_that_is_not_approved_never_counts(foreign: Foreign) -> None:
    with pytest.raises(NotProved):
        await foreign.stamp("right", "untimely")


async def test_a_timestamp_by_a_certificate_that_is_not_for_timestamping_never_counts(
    foreign: Foreign,
) -> None:
    with pytest.raises(NotProved, match="timestamping"):
        await foreign.stamp("unfit", "untimely")
