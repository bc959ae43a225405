"""Health and diagnostics are true within seconds: each thing that fails shows in both, and is over in both when it is over.

All times are short here: OCSP responses count for six seconds, the configuration for sixteen, missing timestamps for four.
"""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.federation import Federation, GatewaySpec, free_base
from gateway.admin.roles import gateway_roles
from serving.login.users import Logins
from tests.integration.calling import AFIL, behave, until
from tests.integration.pair import client, running, service, short_times

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.processes
BASE = free_base()
ONE = GatewaySpec(
    "15-ISSEMYM",
    "ISSEMYM",
    f"{BASE}.15",
    ["AFIL"],
    client(AFIL) + service("echo", f"http://{BASE}.10:9000", AFIL),
    settings=short_times(acceptable_timestamp_failure_s=4),
)
WITHIN_S = 90.0
PATH = "15-ISSEMYM/AFIL/echo/x"


class Gateway:
    """One gateway of the federation, as an operator sees it."""

    def __init__(self, federation: Federation) -> None:
        self.federation = federation
        logins = Logins(federation.data(ONE) / "admin.sqlite")
        _, key = logins.make_api_key(gateway_roles().of_people(), "test")
        logins.close()
        self._headers = {"Authorization": f"X-Road-ApiKey token={key}", "Content-Type": "application/json"}
        self._tls = ssl.create_default_context()
        self._tls.check_hostname = False
        self._tls.verify_mode = ssl.CERT_NONE

    def api(self, path: str, method: str = "GET", body: object = None) -> Any:
        raw = None if body is None else json.dumps(body).encode()
        url = f"https://{ONE.address}:4000/api/v1{path}"
        request = urllib.request.Request(url, raw, self._headers, method=method)
        with urllib.request.urlopen(request, context=self._tls, timeout=90) as answer:
            return json.loads(answer.read() or b"null")

    def health(self) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{ONE.address}:5588/", timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as err:
            return err.code, err.read().decode()

    def is_down(self, why: str) -> None:
        until(self.health, lambda h: h[0] == 503 and why in h[1], WITHIN_S)

    def is_up(self) -> None:
        until(self.health, lambda h: h[0] == 200, WITHIN_S)

    def shows(self, path: str, good: Callable[[Any], bool]) -> Any:
        return until(lambda: self.api(path), good, WITHIN_S)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    made = Federation(
        tmp_path_factory.mktemp("health"), [ONE], base=BASE, expire_interval_s=16, ocsp_freshness_s=6
    )
    with running(made):
        yield Gateway(made)


@pytest.fixture(autouse=True)
def undisturbed(gateway: Gateway) -> Iterator[None]:
    """What one test disturbs ends with it, also when it fails."""
    yield
    behave(gateway.federation, ocsp="ok", tsa="ok")
    if "central" not in gateway.federation.processes:
        gateway.federation.start_central()


def class_of(found: list[dict[str, Any]]) -> set[str]:
    return {entry["status_class"] for entry in found}


def responders(found: list[dict[str, Any]]) -> set[str]:
    """Of the CA that issued what is in use here, whose responders are asked."""
    return {r["status_class"] for ca in found for r in ca["ocsp_responders"]} - {"WAITING"}


def is_well(report: dict[str, Any]) -> bool:
    """Whether everything that is reported of is well at the moment."""
    return (
        report["configuration"]["status_class"] == "OK"
        and class_of(report["timestamping_services"]) == {"OK"}
        and responders(report["ocsp_responders"]) == {"OK"}
    )


def exchange() -> None:
    """A message, so that there is something to timestamp."""
    request = urllib.request.Request(
        f"http://{ONE.address}:8080/r1/MX/GOB/{PATH}", headers={"X-Road-Client": "MX/GOB/15-ISSEMYM/AFIL"}
    )
    try:
        urllib.request.urlopen(request, timeout=30).close()
    except urllib.error.HTTPError as err:
        err.close()


@pytest.mark.xroad("F125", "F126")
def test_everything_is_well(gateway: Gateway) -> None:
    gateway.is_up()
    exchange()
    gateway.shows("/diagnostics/timestamping-services", lambda t: class_of(t) == {"OK"})
    gateway.shows("/diagnostics/ocsp-responders", lambda o: responders(o) == {"OK"})
    found = gateway.shows("/diagnostics/globalconf", lambda g: g["status_class"] == "OK")
    assert found["last_successful_url"].startswith(f"http://{gateway.federation.central_address}")
    gateway.shows(
        "/notifications/alerts",
        lambda a: (a["global_conf_valid"], a["soft_token_pin_entered"]) == (True, True),
    )
    report = gateway.shows("/diagnostics/info/download", is_well)
    assert report["configuration"]["version"]
    assert {"software", "python", "tls", "system", "memory", "message_log", "diagnosis"} <= set(report)
    memory = gateway.api("/diagnostics/proxy-memory-usage-status")
    assert 0 < memory["used_memory"] <= memory["total_memory"] < memory["max_memory"]


@pytest.mark.xroad("F023", "F027", "F126")
def test_token_that_is_logged_out_shows_until_it_is_logged_in(gateway: Gateway) -> None:
    gateway.is_up()
    gateway.api("/tokens/0/logout", "PUT")
    try:
        gateway.is_down("the token 0 is not logged in")
        assert gateway.api("/notifications/alerts")["soft_token_pin_entered"] is False
    finally:
        pin = (gateway.federation.folder / "pin").read_text()
        gateway.api("/tokens/0/login", "PUT", {"password": pin})
    gateway.is_up()
    assert gateway.api("/notifications/alerts")["soft_token_pin_entered"] is True


def test_timestamping_that_fails_shows_until_it_works(gateway: Gateway) -> None:
    gateway.is_up()
    behave(gateway.federation, tsa="down")
    exchange()
    found = gateway.shows("/diagnostics/timestamping-services", lambda t: class_of(t) == {"FAIL"})
    assert found[0]["error"]["metadata"]
    gateway.is_down("no timestamp could be had")
    behave(gateway.federation, tsa="ok")
    gateway.is_up()
    gateway.shows("/diagnostics/timestamping-services", lambda t: class_of(t) == {"OK"})


def test_responder_that_fails_shows_until_it_works(gateway: Gateway) -> None:
    gateway.is_up()
    behave(gateway.federation, ocsp="down")
    gateway.shows("/diagnostics/ocsp-responders", lambda o: responders(o) == {"FAIL"})
    gateway.is_down("OCSP response")
    behave(gateway.federation, ocsp="ok")
    gateway.is_up()
    gateway.shows("/diagnostics/ocsp-responders", lambda o: responders(o) == {"OK"})


@pytest.mark.xroad("F126")
def test_configuration_that_expired_shows_until_there_is_another(gateway: Gateway) -> None:
    gateway.is_up()
    gateway.federation.kill("central")
    gateway.shows(
        "/diagnostics/globalconf",
        lambda g: g["status_class"] == "FAIL" and "could not be had" in g["error"]["metadata"][0],
    )
    gateway.is_down("expired")
    gateway.shows(
        "/diagnostics/globalconf",
        lambda g: g["status_class"] == "FAIL" and "expired at" in g["error"]["metadata"][0],
    )
    assert gateway.api("/notifications/alerts")["global_conf_valid"] is False
    gateway.federation.start_central()
    gateway.is_up()
    gateway.shows("/diagnostics/globalconf", lambda g: g["status_class"] == "OK")
    gateway.shows("/notifications/alerts", lambda a: a["global_conf_valid"] is True)
