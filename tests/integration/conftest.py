"""One federation of real processes for the whole run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.federation import Federation, GatewaySpec, free_base

if TYPE_CHECKING:
    from collections.abc import Iterator

# Addresses of this run alone, so that several runs can share a machine.
BASE = free_base()

CONSUMER = GatewaySpec(
    "15-ISSEMYM",
    "ISSEMYM",
    f"{BASE}.15",
    ["AFIL", "OTRO", "SEGURO"],
    """
[[client]]
id = "MX/GOB/15-ISSEMYM/AFIL"
connection = "HTTP"
[[client]]
id = "MX/GOB/15-ISSEMYM/OTRO"
connection = "HTTP"
[[client]]
id = "MX/GOB/15-ISSEMYM/SEGURO"
connection = "HTTPS"
""",
)
PROVIDER = GatewaySpec(
    "00-RNSS",
    "RNSS",
    f"{BASE}.10",
    ["INDICE"],
    f"""
[[client]]
id = "MX/GOB/00-RNSS"
[[client]]
id = "MX/GOB/00-RNSS/INDICE"
connection = "HTTP"
[[client.service]]
code = "echo"
url = "http://{BASE}.10:9000"
timeout_s = 2
[[client.service.allow]]
subject = "MX/GOB/15-ISSEMYM/AFIL"
[[client.service]]
code = "large"
url = "http://{BASE}.10:9000"
[[client.service.allow]]
subject = "MX/GOB/15-ISSEMYM/AFIL"
[[client.service]]
code = "limited"
url = "http://{BASE}.10:9000"
[[client.service.allow]]
subject = "MX/GOB/15-ISSEMYM/AFIL"
method = "GET"
path = "/public/**"
[[client.service]]
code = "down"
url = "http://{BASE}.10:9"
[[client.service.allow]]
subject = "MX/GOB/15-ISSEMYM/AFIL"
[[client.service]]
code = "soapEcho"
type = "WSDL"
url = "http://{BASE}.10:9000/soap"
[[client.service.allow]]
subject = "MX/GOB/15-ISSEMYM/AFIL"
[[client.service]]
code = "soapSend"
type = "WSDL"
url = "http://{BASE}.10:9000/soap?n=3000000"
[[client.service.allow]]
subject = "MX/GOB/15-ISSEMYM/AFIL"
[[client.service]]
code = "off"
url = "http://{BASE}.10:9000"
disabled = "until Monday"
[[client.service.allow]]
subject = "MX/GOB/15-ISSEMYM/AFIL"
""",
    kind="rsa-2048",
)


@pytest.fixture(scope="session")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """A running federation: a P-256 consumer and an RSA provider."""
    made = Federation(tmp_path_factory.mktemp("federation"), [CONSUMER, PROVIDER], base=BASE)
    made.set_up()
    try:
        made.start("echo", "benchmarks.echo", "--host", PROVIDER.address)
        made.start_all()
        made.wait_for(f"http://{PROVIDER.address}:9000/")
        yield made
    finally:
        made.stop()
