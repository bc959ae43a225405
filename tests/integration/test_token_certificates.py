"""Keys and certificates that others put on a PKCS#11 token: shown as not saved, and imported when that is asked for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from certs.certificates import der_of
from gateway.settings.config import KeySettings
from serving.config.tokensettings import TokenSettings
from tests.integration.hosting import api_key, hosted, prepare
from tests.integration.test_signers import hardware, pin_file
from tests.softhsm import SoftHsm
from tests.worlds import CONSUMER, CONSUMER_SERVER, PIN, STRANGER, world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cryptography import x509

    from gateway.server.process import GatewayProcess

pytestmark = pytest.mark.processes

# What a vendor's tool does, in a process of its own: a key pair, or a certificate beside one.
VENDOR = """
import sys, pkcs11
from pkcs11 import Attribute, CertificateType, KeyType, ObjectClass
from pkcs11.util.ec import encode_ec_public_key, encode_named_curve_parameters
module, label, pin, what, value = sys.argv[1:]
with pkcs11.lib(module).get_token(token_label=label).open(rw=True, user_pin=pin) as session:
    if what == "key":
        curve = {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
        domain = session.create_domain_parameters(KeyType.EC, curve, local=True)
        public, _ = domain.generate_keypair(store=True, id=value.encode(), label=value)
        print(encode_ec_public_key(public).hex())
    else:
        session.create_object({
            Attribute.CLASS: ObjectClass.CERTIFICATE, Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
            Attribute.TOKEN: True, Attribute.ID: b"elsewhere", Attribute.SUBJECT: b"0\\0",
            Attribute.VALUE: bytes.fromhex(value),
        })
"""


class Vendor:
    """The vendor's tool, at one token."""

    def __init__(self, hsm: SoftHsm, token: TokenSettings) -> None:
        self._hsm, self._token = hsm, token

    def _run(self, what: str, value: str) -> str:
        arguments = [self._token.module, self._hsm.label, self._hsm.pin, what, value]
        done = subprocess.run(
            [sys.executable, "-c", VENDOR, *arguments],
            env={**os.environ, **self._hsm.environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def make_key(self, name: str) -> ec.EllipticCurvePublicKey:
        key = load_der_public_key(bytes.fromhex(self._run("key", name)))
        assert isinstance(key, ec.EllipticCurvePublicKey)
        return key

    def store(self, der: bytes) -> None:
        self._run("certificate", der.hex())


class Api:
    """The admin API with every permission."""

    def __init__(self, url: str, host: GatewayProcess) -> None:
        self._url, self._headers = f"{url}/api/v1", api_key(host)

    def call(self, method: str, path: str, expected: int = 200) -> Any:
        request = urllib.request.Request(self._url + path, method=method, headers=self._headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as err:
            status, body = err.code, err.read()
        assert status == expected, body
        return json.loads(body) if body else None

    def keys(self) -> dict[str, Any]:
        return {key["label"]: key for key in self.call("GET", "/tokens/hsm")["keys"]}


@pytest.fixture
def vendor(tmp_path: Path) -> Vendor:
    hsm = SoftHsm(tmp_path / "h").make()
    return Vendor(hsm, hardware(hsm, pin_file(tmp_path)))


@pytest.fixture
def api(tmp_path: Path, vendor: Vendor) -> Iterator[Api]:
    folder, token = tmp_path / "data", vendor._token
    prepare(folder)
    settings = folder / "settings.toml"
    environment = ", ".join(f'{name} = "{value}"' for name, value in token.environment.items())
    settings.write_text(
        f'[[keys.tokens]]\nid = "hsm"\nmodule = "{token.module}"\nlabel = "{token.label}"\n'
        f'pin = {{ file = "{token.pin.file}" }}\nenvironment = {{ {environment} }}\n'
    )
    arguments = ["--settings", str(settings)]
    with hosted(folder, PIN, KeySettings(tokens=(token,)), arguments) as (url, host):
        yield Api(url, host)


def hash_of(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(hashes.SHA256()).hex().upper()


@pytest.mark.xroad("F031", "F036")
def test_a_signing_certificate_on_the_token_is_offered_and_imported(vendor: Vendor, api: Api) -> None:
    pki, now = world().pki, datetime.now(UTC)
    key = vendor.make_key("ours")
    (shown,) = api.keys().values()
    assert (shown["label"], shown["saved_to_configuration"], shown["certificates"]) == ("ours", False, [])
    signing = pki.issue_sign(key, CONSUMER.member, now=now)
    for der in (der_of(signing), der_of(pki.root), b"rubbish"):  # only the first is for a key on the token
        vendor.store(der)
    key_view = api.keys()["ours"]
    (certificate,) = key_view["certificates"]
    digest = hash_of(signing)
    assert certificate["certificate_details"]["hash"].upper() == digest
    assert {
        k: certificate[k] for k in ("saved_to_configuration", "active", "status", "possible_actions")
    } == {
        "saved_to_configuration": False,
        "active": False,
        "status": "SAVED",
        "possible_actions": ["IMPORT_FROM_TOKEN"],
    }
    assert key_view["saved_to_configuration"] is False
    assert api.call("GET", f"/token-certificates/{digest}")["saved_to_configuration"] is False
    assert api.call("GET", f"/token-certificates/{digest}/possible-actions") == ["IMPORT_FROM_TOKEN"]

    imported = api.call("POST", f"/token-certificates/{digest}/import", 201)
    assert (imported["saved_to_configuration"], imported["active"]) == (True, True)
    assert (imported["status"], imported["owner_id"]) == ("REGISTERED", "MX:GOB:15-ISSEMYM")
    key_view = api.keys()["ours"]
    assert (key_view["saved_to_configuration"], key_view["usage"]) == (True, "SIGNING")
    assert [c["saved_to_configuration"] for c in key_view["certificates"]] == [True]
    again = api.call("POST", f"/token-certificates/{digest}/import", 409)
    assert again["error"]["code"] == "action_not_possible"


def test_what_may_not_be_imported_says_why(vendor: Vendor, api: Api) -> None:
    pki, now = world().pki, datetime.now(UTC)
    auth = pki.issue_auth(vendor.make_key("auth"), CONSUMER_SERVER, "127.0.0.1", now=now)
    foreign = pki.issue_sign(vendor.make_key("foreign"), STRANGER.member, now=now)
    for certificate in (auth, foreign):
        vendor.store(der_of(certificate))
    keys = api.keys()
    assert keys["auth"]["certificates"][0]["possible_actions"] == []
    refused = api.call("POST", f"/token-certificates/{hash_of(auth)}/import", 409)
    assert refused["error"]["code"] == "action_not_possible"
    refused = api.call("POST", f"/token-certificates/{hash_of(foreign)}/import", 400)
    assert refused["error"]["code"] == "client_not_found"
    refused = api.call("POST", f"/token-certificates/{'A' * 64}/import", 404)
    assert refused["error"]["code"] == "certificate_not_found"
    api.call(
        "DELETE", f"/keys/{keys['foreign']['id']}", 204
    )  # a certificate that is not saved keeps no key alive
    assert set(api.keys()) == {"auth"}
