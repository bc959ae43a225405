"""One federation of real processes for the whole run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.federation import Federation, GatewaySpec, free_base
from tests.integration.calling import AFIL
from tests.integration.pair import client, running, service

if TYPE_CHECKING:
    from collections.abc import Iterator

# Addresses of this run alone, so that several runs can share a machine.
BASE = free_base()

ECHO_URL = f"http://{BASE}.10:9000"
CONSUMER = GatewaySpec(
    "15-ISSEMYM",
    "ISSEMYM",
    f"{BASE}.15",
    ["AFIL", "OTRO", "SEGURO"],
    client(AFIL) + client("MX/GOB/15-ISSEMYM/OTRO") + client("MX/GOB/15-ISSEMYM/SEGURO", "HTTPS"),
)
WSDL = 'type = "WSDL"\n'
PROVIDER = GatewaySpec(
    "00-RNSS",
    "RNSS",
    f"{BASE}.10",
    ["INDICE"],
    '[[client]]\nid = "MX/GOB/00-RNSS"\n'
    + client("MX/GOB/00-RNSS/INDICE")
    + service("echo", ECHO_URL, AFIL, more="timeout_s = 2\n")
    + service("large", ECHO_URL, AFIL)
    + service("limited", ECHO_URL, AFIL)
    + 'method = "GET"\npath = "/public/**"\n'
    + service("down", f"http://{BASE}.10:9", AFIL)
    + service("soapEcho", f"{ECHO_URL}/soap", AFIL, more=WSDL)
    + service("soapSend", f"{ECHO_URL}/soap?n=3000000", AFIL, more=WSDL)
    + service("off", ECHO_URL, AFIL, more='disabled = "until Monday"\n'),
    kind="rsa-2048",
)


@pytest.fixture(scope="session")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """A running federation: a P-256 consumer and an RSA provider."""
    with running(Federation(tmp_path_factory.mktemp("federation"), [CONSUMER, PROVIDER], base=BASE)) as made:
        yield made
