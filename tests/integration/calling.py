"""What the tests of real processes do again and again: call a service, wait for something, look into a log."""

from __future__ import annotations

import json
import sqlite3
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from benchmarks.federation import GatewaySpec

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.federation import Federation

T = TypeVar("T")
AFIL = "MX/GOB/15-ISSEMYM/AFIL"
ECHO = "00-RNSS/INDICE/echo"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a consumer system got."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def code(self) -> str:
        """The fault code; empty when there is none."""
        return self.headers.get("x-road-error", "")

    @property
    def message(self) -> str:
        """The fault's text."""
        return str(json.loads(self.body)["message"])


def call(
    address: str,
    path: str = f"{ECHO}/x",
    *,
    client: str = AFIL,
    body: bytes | None = None,
    method: str | None = None,
    headers: dict[str, str] | None = None,
    timeout_s: float = 90,
) -> Answer:
    """One REST request through the gateway at an address."""
    request = urllib.request.Request(
        f"http://{address}:8080/r1/MX/GOB/{path}",
        data=body,
        method=method,
        headers={"X-Road-Client": client, "Content-Type": "application/json", **(headers or {})},
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())
    except urllib.error.HTTPError as err:
        return Answer(err.code, {k.lower(): v for k, v in err.headers.items()}, err.read())


def until(act: Callable[[], T], good: Callable[[T], bool], within_s: float = 90) -> T:
    """What ``act`` gives once it is ``good``; connections that fail on the way are tried again."""
    deadline = time.monotonic() + within_s
    last: object = None
    while True:
        try:
            found = act()
            if good(found):
                return found
            last = found
        except OSError as err:
            last = err
        assert time.monotonic() < deadline, f"not within {within_s} s; last: {last!r:.600}"
        time.sleep(0.1)


def works(address: str, within_s: float = 90) -> Answer:
    """Wait until an exchange works again."""
    return until(lambda: call(address), lambda a: a.status == 200, within_s)


def post(url: str, body: bytes = b"") -> None:
    """A POST to one of the services around the gateways."""
    urllib.request.urlopen(urllib.request.Request(url, data=body, method="POST"), timeout=60).close()


def behave(federation: Federation, **services: str) -> None:
    """Let the trust services answer wrongly, or rightly again."""
    post(f"http://{federation.trust_address}:8888/behaviour", json.dumps(services).encode())


def logged(federation: Federation, spec: GatewaySpec, message_id: str) -> list[int]:
    """What a gateway has on its disk of a message id: 0 for a request, 1 for a response, in order."""
    with sqlite3.connect(federation.data(spec) / "log" / "messages.sqlite", timeout=60) as log:
        rows = log.execute(
            "SELECT is_response FROM record WHERE message_id = ? ORDER BY id", [message_id]
        ).fetchall()
    return [row[0] for row in rows]


def log_text(federation: Federation, spec: GatewaySpec) -> str:
    """The log lines of a gateway so far."""
    return (federation.folder / f"{spec.key}.log").read_text(errors="replace")
