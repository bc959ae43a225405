"""Pebble, Let's Encrypt's ACME server for tests, on a loopback address of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding

from serving.storage.selfsigned import self_signed
from tests.programs import need

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KID, MAC_KEY = "kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


@dataclass(frozen=True)
class Pebble:
    """A running server: its directory, the CA of its TLS, and the port at which it looks for HTTP-01 answers."""

    directory: str
    trusted_ca: str
    http_port: int


@contextlib.contextmanager
def running(folder: Path, address: str, *, bound: bool = False) -> Iterator[Pebble]:
    """A pebble at ``address``; ``bound`` wants external account binding."""
    program = need("pebble", package="pebble")
    folder.mkdir(parents=True, exist_ok=True)
    key, (certificate,) = self_signed(address)
    (folder / "tls.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "tls.key").write_bytes(
        key.private_bytes(Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    config = {
        "listenAddress": f"{address}:14000",
        "managementListenAddress": f"{address}:15000",
        "certificate": str(folder / "tls.pem"),
        "privateKey": str(folder / "tls.key"),
        "httpPort": 5002,
        "tlsPort": 5001,
        "externalAccountBindingRequired": bound,
        "externalAccountMACKeys": {KID: MAC_KEY} if bound else {},
    }
    (folder / "config.json").write_text(json.dumps({"pebble": config}))
    environment = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [program, "-config", str(folder / "config.json")], stdout=log, stderr=log, env=environment
        )
    try:
        _wait(f"http://{address}:14000/dir")
        yield Pebble(f"https://{address}:14000/dir", str(folder / "tls.pem"), 5002)
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait(url: str) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except urllib.error.HTTPError:
            return  # it speaks TLS and says so: it is there
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("pebble did not start")
