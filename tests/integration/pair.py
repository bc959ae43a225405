"""Two institutes on loopback: ISSEMYM asks, RNSS answers with an echo. What most tests with real processes stand on."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from benchmarks.federation import Federation, GatewaySpec

if TYPE_CHECKING:
    from collections.abc import Iterator

CONSUMING = '[[client]]\nid = "MX/GOB/15-ISSEMYM/AFIL"\nconnection = "HTTP"\n'


def consumer(base: str, settings: str = "") -> GatewaySpec:
    """The gateway of ISSEMYM, whose subsystem AFIL asks."""
    return GatewaySpec("15-ISSEMYM", "ISSEMYM", f"{base}.15", ["AFIL"], CONSUMING, settings=settings)


def provider(base: str, settings: str = "", *, number: int = 10, server_code: str = "SS1") -> GatewaySpec:
    """A gateway of RNSS, whose subsystem INDICE offers ``echo`` to AFIL; each sends to the same echo."""
    wanted = f"""
[[client]]
id = "MX/GOB/00-RNSS/INDICE"
connection = "HTTP"
[[client.service]]
code = "echo"
url = "http://{base}.10:9000"
[[client.service.allow]]
subject = "MX/GOB/15-ISSEMYM/AFIL"
"""
    return GatewaySpec(
        "00-RNSS",
        "RNSS",
        f"{base}.{number}",
        ["INDICE"],
        wanted,
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
    made.start("echo", "benchmarks.echo", "--host", f"{made.base}.10")
    made.start_all()
    made.wait_for(f"http://{made.base}.10:9000/")
