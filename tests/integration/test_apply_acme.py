"""A wanted file orders a certificate by ACME; once it is there, applying the file again changes nothing."""

from __future__ import annotations

import dataclasses
import ssl
import urllib.request
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from cryptography import x509

from benchmarks.federation import free_base
from certs.certificates import der_of
from gateway.cli.main import main
from gateway.clients.store import ServerConfStore
from gateway.keys.store import KeyConfStore
from schemas.globalconf.shared import AcmeServer, ApprovedCa, CaInfo, OcspInfo
from schemas.globalconf.sharedwriting import render_shared
from tests import pebble
from tests.integration.hosting import prepare
from tests.worlds import CONSUMER, PIN, world

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes
ADDRESS = f"{free_base()}.9"
WANTED = f"""
[[certificate]]
usage = "auth"
kind = "ec-p256"
ca = "Pebble"
order = "acme"
subject = {{ CN = "{ADDRESS}", subjectAltName = "{ADDRESS}" }}
"""


def issuers(server: pebble.Pebble) -> list[bytes]:
    """Pebble's root and intermediate, which it makes anew at every start."""
    context = ssl.create_default_context(cafile=server.trusted_ca)
    found = []
    for role in ("roots", "intermediates"):
        with urllib.request.urlopen(
            f"https://{ADDRESS}:15000/{role}/0", context=context, timeout=60
        ) as answer:
            found.append(der_of(x509.load_pem_x509_certificate(answer.read())))
    return found


def approve(folder: Path, server: pebble.Pebble) -> None:
    """Make pebble the approved CA of the stored configuration."""
    root, intermediate = issuers(server)
    responder = OcspInfo("http://ocsp.invalid/", root)
    ca = ApprovedCa(
        "Pebble",
        CaInfo(root),
        "BasicACME",
        intermediates=(CaInfo(intermediate, (responder,)),),
        acme_server=AcmeServer(server.directory),
    )
    shared = dataclasses.replace(world().shared, approved_cas=(ca,))
    part = folder / "globalconf" / CONSUMER.instance / "shared-params.xml"
    part.write_bytes(render_shared(shared))


def test_a_wanted_certificate_is_ordered_once(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    prepare(data)
    (data / "pin").write_text(PIN)
    (data / "pin").chmod(0o600)
    (data / "secret").write_text("a long secret")
    (data / "secret").chmod(0o600)
    (data / "secret").chmod(0o600)
    (data / "gateway.toml").write_text(WANTED)
    with pebble.running(tmp_path / "pebble", ADDRESS) as server:
        approve(data, server)
        (data / "settings.toml").write_text(
            f'[acme]\nchallenge_host = "{ADDRESS}"\nchallenge_port = {server.http_port}\n'
            f'trusted_ca = "{server.trusted_ca}"\naccount_secret = {{ file = "{data / "secret"}" }}\n'
        )
        asked = ["apply", "--data", str(data), "--pin-file", str(data / "pin"), str(data / "gateway.toml")]
        for line in ("+ certificate auth from Pebble", "nothing to change"):
            done = CliRunner().invoke(main, asked, env={"SACBE_LANG": "en"})
            assert done.exit_code == 0, done.output
            assert line in done.output
    store = ServerConfStore(data / "serverconf.sqlite")
    (certificate,) = KeyConfStore(store.database).certificates()
    assert KeyConfStore(store.database).requests() == ()
    assert certificate.usage == "auth"
    store.close()


def test_an_order_that_fails_keeps_its_request_and_is_tried_again(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    prepare(data)
    (data / "pin").write_text(PIN)
    (data / "pin").chmod(0o600)
    (data / "gateway.toml").write_text(WANTED)
    with pebble.running(tmp_path / "pebble", ADDRESS) as server:
        approve(data, server)
    asked = ["apply", "--data", str(data), "--pin-file", str(data / "pin"), str(data / "gateway.toml")]
    for _ in range(2):
        done = CliRunner().invoke(main, asked)
        assert done.exit_code == 1
        assert "acme.account_secret" in done.output
        store = ServerConfStore(data / "serverconf.sqlite")
        keys = KeyConfStore(store.database)
        assert (len(keys.requests()), len(keys.list_keys())) == (1, 1)
        store.close()
