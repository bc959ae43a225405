"""What changes after the set-up, from the gateways' admin APIs through the central server to traffic: names, disabling,
maintenance, addresses, refusals, owners; and what the gateway then says of itself.

Runs on the stage of ``serve-for-hurl`` after `tests.interop.ownsetup`.
"""

from __future__ import annotations

import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from tests.interop import ownsetup
from tests.interop.hurlstage import HOSTS, prepare_network, running, show_logs
from tests.interop.ownsetup import SETTLE_S, Admin, Failed, Stage, approve, send_message

CONSUMER, PROVIDER = "DEV/COM/4321/TestClient", "DEV/COM/1234/TestService"
MEMBER, OWNER = "DEV:COM:1234", "DEV:COM:4321"
FORWARD = f"/r1/{PROVIDER}/mock1"
BACKWARD = f"/r1/{CONSUMER}/mock2"


def exchanged(host: str, path: str, client: str, status: int, said: str = "") -> None:
    """A message is answered so, as soon as both sides have the configuration that makes it so."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        found, content = send_message(host, path, client)
        if found == status and said in content.decode():
            ownsetup.calls += 1
            return
        if time.monotonic() > deadline:
            raise Failed(f"{path} as {client}: {found}, not {status} with {said!r}: {content[:300]!r}")
        time.sleep(0.5)


def client_is(server: Admin, client: str, status: str) -> None:
    server.until(f"/clients/{client}", lambda c: c["status"] == status, f"{client} {status}")


def names(stage: Stage) -> None:
    """A subsystem's new name is submitted until the configuration has it."""
    ss, client = stage.ss1, stage.consumer
    name = {"client_name": "Afiliación"}
    ss.api("PUT", f"/clients/{client}/rename", 204, name)
    ss.until(
        f"/clients/{client}",
        lambda c: c["subsystem_name"] == "Afiliación" and "rename_status" not in c,
        "the new name",
    )
    ss.api("PUT", f"/clients/{client}/rename", 409, name)


def disabling(stage: Stage) -> None:
    """Of the consumer: its gateway refuses it. Of the provider: it is found nowhere. And back, twice, for states must not stick."""
    for server, client, said in (
        (stage.ss1, stage.consumer, "TestClient"),
        (stage.ss0, stage.provider, "TestService"),
    ):
        for _ in range(2):
            server.api("PUT", f"/clients/{client}/disable", 204)
            client_is(server, client, "DISABLED")
            exchanged("ss1", FORWARD, CONSUMER, 500, said)
            server.api("PUT", f"/clients/{client}/disable", 409)
            server.api("PUT", f"/clients/{client}/enable", 204)
            client_is(server, client, "REGISTERED")
            exchanged("ss1", FORWARD, CONSUMER, 200)
            server.api("PUT", f"/clients/{client}/enable", 409)
    stage.ss0.api("PUT", f"/clients/{MEMBER}:MANAGEMENT/disable", 409)


def maintenance(stage: Stage) -> None:
    """Consumers of a server in maintenance get its message; the management server must stay."""
    ss, path = stage.ss1, "/system/maintenance-mode"
    stage.ss0.api("PUT", f"{path}/enable", 409, {"message": "no"})
    ss.api("PUT", f"{path}/disable", 409)
    for message in ("Hasta las 10", "Until noon"):
        ss.api("PUT", f"{path}/enable", 204, {"message": message})
        ss.until(path, lambda m: m["status"] == "ENABLED_MAINTENANCE_MODE", "maintenance")
        found = ss.api("GET", path, 200)
        assert found["message"] == message, found
        exchanged("ss0", BACKWARD, PROVIDER, 500, message)
        ss.api("PUT", f"{path}/enable", 409, {"message": message})
        ss.api("PUT", f"{path}/disable", 204)
        ss.until(path, lambda m: m["status"] == "DISABLED_MAINTENANCE_MODE", "the end of maintenance")
        exchanged("ss0", BACKWARD, PROVIDER, 200)


def addresses(stage: Stage) -> None:
    """Peers follow the address, to nowhere and back."""
    ss, path = stage.ss1, "/system/server-address"
    for address, status in (("nowhere.invalid", 500), (HOSTS["ss1"], 200), ("ss1", 200)):
        ss.api("PUT", path, 202, {"address": address})
        ss.until(path, lambda a, to=address: a["current_address"]["address"] == to, f"address {address}")
        assert "requested_change" not in ss.api("GET", path, 200)
        exchanged("ss0", BACKWARD, PROVIDER, status)
        ss.api("PUT", path, 409, {"address": address})


def refusals(stage: Stage) -> None:
    """A registration that the central operator declines can be asked for again; one that is approved then holds, and ends."""
    ss, client = stage.ss1, ownsetup.add_client(stage.ss1, "4321", "Declined")
    for _ in range(2):
        ss.api("PUT", f"/clients/{client}/register", 204)
        client_is(ss, client, "REGISTRATION_IN_PROGRESS")
        stage.cs.api("DELETE", f"/management-requests/{newest(stage.cs)}", 200)
        client_is(ss, client, "SAVED")
    ownsetup.register_client(stage.cs, ss, client)
    ss.api("PUT", f"/clients/{client}/unregister", 204)
    client_is(ss, client, "SAVED")
    ss.api("DELETE", f"/clients/{client}", 204)


def newest(cs: Admin) -> int:
    waiting = cs.api("GET", "/management-requests?sort=id&desc=true&status=WAITING", 200)
    return int(waiting["items"][0]["id"])


def owners(stage: Stage) -> None:
    """Another member becomes the server's owner, and hands it back; traffic goes on under the new identifier."""
    ss = stage.ss1
    client = {"member_class": "COM", "member_code": "1234", "connection_type": "HTTP"}
    ss.api("POST", "/clients", 201, {"ignore_warnings": True, "client": client})
    ownsetup.register_client(stage.cs, ss, MEMBER)
    for owner, former in ((MEMBER, OWNER), (OWNER, MEMBER)):
        ss.api("PUT", f"/clients/{owner}/make-owner", 204)
        approve(stage.cs)
        ss.until(
            "/security-servers?current_server=true",
            lambda s, to=owner: s[0]["id"] == f"{to}:SS1" and s[0].get("server_address") == "ss1",
            f"{owner} the owner",
        )
        assert ss.api("GET", f"/clients/{owner}", 200)["owner"] is True
        assert ss.api("GET", f"/clients/{former}", 200)["owner"] is False
        ss.api("PUT", f"/clients/{owner}/make-owner", 400)
        exchanged("ss1", FORWARD, CONSUMER, 200)
        exchanged("ss0", BACKWARD, PROVIDER, 200)


def offer_backwards(stage: Stage) -> None:
    """A service behind ss1 for the provider's subsystem at ss0."""
    rest = {"url": "http://isrest:8080/integration/mock_1", "type": "REST", "rest_service_code": "mock2"}
    made = stage.ss1.api("POST", f"/clients/{stage.consumer}/service-descriptions", 201, rest)
    rights = f"/clients/{stage.consumer}/service-clients/{stage.provider}/access-rights"
    stage.ss1.api("POST", rights, 201, {"items": [{"service_code": "mock2"}]}, settle=True)
    stage.ss1.api("PUT", f"/service-descriptions/{made['id']}/enable", 200)
    stage.ss0.api("PATCH", f"/clients/{stage.provider}", 200, {"connection_type": "HTTP"})
    exchanged("ss0", BACKWARD, PROVIDER, 200)


def diagnostics(stage: Stage) -> None:
    """What the gateway says of its surroundings is so."""
    ss, base = stage.ss1, "/diagnostics"
    found = ss.api("GET", f"{base}/globalconf", 200)
    assert found["status_class"] == "OK", found
    assert found["prev_update_at"] <= found["next_update_at"], found
    assert found["last_successful_url"].startswith("http"), found
    responders = [r for ca in ss.api("GET", f"{base}/ocsp-responders", 200) for r in ca["ocsp_responders"]]
    assert {r["status_class"] for r in responders} == {"OK"}, responders
    assert all(r["prev_update_at"] and r["next_update_at"] for r in responders), responders
    ss.until(
        f"{base}/timestamping-services", lambda t: [a["status_class"] for a in t] == ["OK"], "a timestamp"
    )
    assert ss.api("GET", f"{base}/auth-cert-req-status", 200)["status_class"] == "OK"
    for protocol in ("REST", "SOAP"):
        assert other(ss, protocol, stage.provider, f"{MEMBER}:SS0")["status_class"] == "OK"
        failed = other(ss, protocol, f"{MEMBER}:Nobody", f"{MEMBER}:SS0")
        assert failed["status_class"] == "FAIL", failed
        assert failed["error"]["code"].endswith("unknown_member"), failed
    now = datetime.now(UTC)
    query = urlencode(
        {
            "records_from": f"{now - timedelta(minutes=30):%Y-%m-%dT%H:%M:%SZ}",
            "records_to": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "interval": 60,
            "security_server_type": "Client",
            "service_id": f"{stage.provider}:mock1",
        }
    )
    ss.until(
        f"{base}/operational-monitoring?{query}",
        lambda spans: (
            sum(s["success_count"] for s in spans) >= 5 and sum(s["failure_count"] for s in spans) >= 4
        ),
        "the exchanges of this run",
    )


def other(ss: Admin, protocol: str, target: str, server: str) -> Any:
    query = {
        "protocol_type": protocol,
        "client_id": CONSUMER.replace("/", ":"),
        "target_client_id": target,
        "security_server_id": server,
    }
    return ss.api(
        "GET", f"/diagnostics/other-security-server-status?{urlencode(query, quote_via=quote)}", 200
    )


def run(folder: Path) -> None:
    """Everything."""
    stage = ownsetup.run(folder)
    offer_backwards(stage)
    names(stage)
    disabling(stage)
    maintenance(stage)
    addresses(stage)
    refusals(stage)
    owners(stage)
    diagnostics(stage)


def main() -> int:
    """Bring the stage up and run; 0 when every call answered as it must."""
    with tempfile.TemporaryDirectory(prefix="sacbe-changes-") as made:
        folder = Path(made)
        prepare_network(folder)
        with running(folder):
            try:
                run(folder)
            except AssertionError as err:
                print(f"after {ownsetup.calls} calls: {err}", file=sys.stderr)
                show_logs(folder)
                return 1
    print(f"{ownsetup.calls} calls answered as they must", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
