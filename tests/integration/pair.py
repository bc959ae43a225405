"""What federations of real processes are made of: gateways' configurations as text, and processes started around them.

Most tests stand on two institutes on loopback: ISSEMYM asks, RNSS answers with an echo.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.federation import Federation, GatewaySpec
from schemas.management import ManagementServiceCode
from tests.integration.calling import AFIL

if TYPE_CHECKING:
    from collections.abc import Iterator

# The configuration is asked for again within a second of its change.
QUICK_CONFIGURATION = "[trust]\nconfiguration_conditional_poll_s = 1.0"


def client(name: str, connection: str = "HTTP") -> str:
    """A client of a gateway, by its member or subsystem."""
    return f'[[client]]\nid = "{name}"\nconnection = "{connection}"\n'


def service(code: str, url: str, *subjects: str, more: str = "") -> str:
    """A service of the client before it, and the subjects that may call all of it."""
    allowed = "".join(f'[[client.service.allow]]\nsubject = "{subject}"\n' for subject in subjects)
    return f'[[client.service]]\ncode = "{code}"\nurl = "{url}"\n{more}{allowed}'


def management_services(base: str, owner: str) -> str:
    """What the gateway of the instance's operator offers: the management services of the central server at ``base``."""
    url = f"https://{base}.1:4002/managementservice/manage/"
    offered = (code for code in ManagementServiceCode if code is not ManagementServiceCode.AUTH_CERT_REG)
    more = 'type = "WSDL"\nverify_tls = false\n'
    return client(owner) + "".join(
        service(code, url, "group:MX/security-server-owners", more=more) for code in offered
    )


def short_times(acceptable_timestamp_failure_s: int) -> str:
    """Settings with which what fails outside shows within seconds."""
    return f"""
[trust]
configuration_poll_s = 1
configuration_conditional_poll_s = 0.5
ocsp_fetch_s = 0.5
ocsp_retry_s = 0.5
ocsp_timeout_s = 1
[log]
timestamp_interval_s = 0.5
timestamp_retry_s = 0.5
timestamp_timeout_s = 1
acceptable_timestamp_failure_s = {acceptable_timestamp_failure_s}
"""


def consumer(base: str, settings: str = "") -> GatewaySpec:
    """The gateway of ISSEMYM, whose subsystem AFIL asks."""
    return GatewaySpec("15-ISSEMYM", "ISSEMYM", f"{base}.15", ["AFIL"], client(AFIL), settings=settings)


def provider(
    base: str,
    settings: str = "",
    *,
    number: int = 10,
    server_code: str = "SS1",
    allowed: tuple[str, ...] = (AFIL,),
    more: str = "",
) -> GatewaySpec:
    """A gateway of RNSS, whose subsystem INDICE offers ``echo``, to AFIL if nobody else is named; each sends to the same echo."""
    offered = client("MX/GOB/00-RNSS/INDICE") + service("echo", f"http://{base}.10:9000", *allowed) + more
    return GatewaySpec(
        "00-RNSS",
        "RNSS",
        f"{base}.{number}",
        ["INDICE"],
        offered,
        settings=settings,
        server_code=server_code,
    )


@contextmanager
def running(made: Federation) -> Iterator[Federation]:
    """The federation set up and started, with the echo that its providers call; stopped whatever happens."""
    made.set_up()
    try:
        start(made)
        yield made
    finally:
        made.stop()


def start(made: Federation) -> None:
    """Start everything of a federation that has been set up, and wait until it answers."""
    start_echo(made)
    made.start_all()
    made.wait_for(f"http://{made.base}.10:9000/")


def start_echo(made: Federation) -> None:
    """Start the system that every provider's gateway calls."""
    made.start("echo", "benchmarks.echo", "--host", f"{made.base}.10")
