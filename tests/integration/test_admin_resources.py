"""Resources of the gateway's admin API that need no other server: mail, languages, backups, alerts, a provider's TLS."""

from __future__ import annotations

import contextlib
import io
import socket
import ssl
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import requests

from certs.certificates import der_of
from certs.tls import TlsCredentials, system_server_context
from gateway.settings.config import BackupSettings, KeySettings, NoticeSettings
from schemas.globalconf.shared import MemberClass
from schemas.globalconf.sharedwriting import render_shared
from serving.storage.selfsigned import self_signed
from tests.integration.hosting import api_key, hosted, prepare, settings
from tests.worlds import CONSUMER, world

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.processes
RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"


class Smtp(threading.Thread):
    """A mail server: takes what comes, this gateway's own notices too."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.mails = ""

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listening.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as stream:
                self._take(stream)

    def _take(self, stream: io.BufferedRWPair) -> None:
        def say(line: bytes) -> None:
            stream.write(line + b"\r\n")
            stream.flush()

        say(b"220 here")
        while line := stream.readline().strip().upper():
            if line == b"DATA":
                say(b"354 go on")
                while (text := stream.readline().strip()) != b".":
                    self.mails += text.decode() + "\n"
            say(b"221 bye" if line == b"QUIT" else b"250 ok")

    def close(self) -> None:
        """Take no more."""
        with contextlib.suppress(OSError):
            self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        self.join(90)


class Api:
    """The API of a hosted gateway."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.url, self.headers = f"{url}/api/v1", headers

    def __call__(self, method: str, path: str, status: int, body: Any = None) -> requests.Response:
        answer = requests.request(method, self.url + path, json=body, headers=self.headers, timeout=90)
        assert answer.status_code == status, answer.text
        return answer


@pytest.fixture
def mail() -> Iterator[Smtp]:
    made = Smtp()
    made.start()
    yield made
    made.close()


@pytest.fixture
def api(tmp_path: Path, mail: Smtp) -> Iterator[Api]:
    prepare(tmp_path)
    notices = NoticeSettings(recipients=("ana@example.org",), smtp_host="127.0.0.1", smtp_port=mail.port)
    chosen = msgspec.structs.replace(
        settings(KeySettings()), notices=notices, backup=BackupSettings(recipients=(RECIPIENT,))
    )
    with hosted(tmp_path, chosen=chosen) as (url, host):
        yield Api(url, api_key(host))


@pytest.mark.xroad("F045")
def test_mail_status_and_test_mail(api: Api, mail: Smtp) -> None:
    status = api("GET", "/mail/mail-notification-status", 200).json()
    assert status["configuration_present"] is True
    assert status["recipients_emails"] == ["ana@example.org"]
    assert "AUTH_CERT_REGISTERED" in status["enabled_notifications"]
    api("PUT", "/mail/send-test-mail", 400, {"mail_address": "no address"})
    api("PUT", "/mail/send-test-mail", 400, {"mail_address": "a@b, c@d"})
    sent = api("PUT", "/mail/send-test-mail", 200, {"mail_address": "leo@example.org"})
    assert sent.json() == {"status": "success", "text": "Success!"}
    assert "To: leo@example.org" in mail.mails
    mail.close()
    failed = api("PUT", "/mail/send-test-mail", 200, {"mail_address": "leo@example.org"}).json()
    assert failed["status"] == "error"
    assert failed["text"].startswith("Error: ")


def test_language_is_kept_in_a_cookie(api: Api) -> None:
    answer = api("PUT", "/language/es", 200)
    assert answer.json() == {"id": "es"}
    assert answer.headers["Set-Cookie"] == "language=es; Path=/; Secure; SameSite=Strict"
    api("PUT", "/language/xx", 404)


def test_backup_says_whether_settings_are_in_it_and_alerts_can_be_reset(api: Api, tmp_path: Path) -> None:
    assert api("POST", "/backups/ext", 201).json()["local_conf_present"] is False
    (tmp_path / "settings.toml").write_text('log_level = "info"\n')
    made = api("POST", "/backups/ext", 201).json()
    assert made["local_conf_present"] is True
    assert made["filename"] in [b["filename"] for b in api("GET", "/backups", 200).json()]
    assert "backup_restore_running_since" not in api("GET", "/notifications/alerts", 200).json()
    api("PUT", "/notifications/alerts/reset", 204)


def test_traffic_is_asked_within_bounds(api: Api) -> None:
    base = "/diagnostics/operational-monitoring?records_from={}&records_to={}&interval={}"
    spans = api("GET", base.format("2026-01-01T00:07:00Z", "2026-01-01T01:00:00Z", 15), 200).json()
    assert [s["interval_start_time"] for s in spans] == [
        f"2026-01-01T{t}:00Z" for t in ("00:00", "00:15", "00:30", "00:45", "01:00", "01:15")
    ]
    api("GET", base.format("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", 15), 400)
    api("GET", base.format("1990-01-01T00:00:00Z", "2026-01-01T00:00:00Z", 1), 400)
    api("GET", base.format("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", 0), 400)
    api("GET", base.format("yesterday", "2026-01-01T01:00:00Z", 1), 400)


def test_unproved_tls_of_a_provider_is_a_warning(api: Api) -> None:
    client = f"/clients/{CONSUMER.encoded()}"
    server = socket.create_server(("127.0.0.1", 0))
    address = f"https://127.0.0.1:{server.getsockname()[1]}/"
    credentials = TlsCredentials(*self_signed("system"))
    stop = threading.Event()
    thread = threading.Thread(target=_shake_hands, args=(server, system_server_context(credentials), stop))
    thread.start()
    try:
        rest = {"url": address, "type": "REST", "rest_service_code": "s1"}
        made = api("POST", f"{client}/service-descriptions", 201, rest).json()
        service = f"/services/{made['services'][0]['id']}"
        change = {"url": address, "timeout": 60, "ssl_auth": True}
        found = api("PATCH", service, 400, change).json()
        assert found["error"]["code"] == "warnings_detected"
        assert found["warnings"] == [
            {"code": "internal_server_ssl_handshake_error", "metadata": [address]},
        ]
        api("PATCH", service, 200, change | {"ignore_warnings": True})
        registered = requests.post(
            f"{api.url}{client}/tls-certificates", data=der_of(credentials.chain[0]),
            headers=api.headers | {"Content-Type": "application/octet-stream"}, timeout=90,
        )  # fmt: skip
        assert registered.status_code == 201, registered.text
        api("PATCH", service, 200, change)
        nowhere = change | {"url": "https://127.0.0.1:1/"}
        found = api("PATCH", service, 400, nowhere).json()
        assert found["warnings"][0]["code"] == "internal_server_ssl_error"
        plain = api("PATCH", service, 400, change | {"url": "http://127.0.0.1:1/"}).json()
        assert plain["error"]["code"] == "invalid_https_url"
        api("PATCH", service, 200, nowhere | {"ssl_auth": False})
    finally:
        stop.set()
        server.close()
        thread.join(90)


def _shake_hands(server: socket.socket, context: ssl.SSLContext, stop: threading.Event) -> None:
    server.settimeout(0.2)
    while not stop.is_set():
        try:
            connection, _ = server.accept()
            connection.settimeout(60)
            context.wrap_socket(connection, server_side=True).close()
        except OSError:
            continue


@pytest.mark.xroad("F058")
def test_one_gateway_serves_any_number_of_members(tmp_path: Path) -> None:
    prepare(tmp_path)
    classes = (MemberClass(CONSUMER.member_class, "Instituciones"),)
    shared = tmp_path / "globalconf" / CONSUMER.instance / "shared-params.xml"
    shared.write_bytes(render_shared(replace(world().shared, member_classes=classes)))
    with hosted(tmp_path) as (url, host):
        _add_members(Api(url, api_key(host)))


def _add_members(api: Api) -> None:
    for number in range(3):
        client = {
            "member_class": CONSUMER.member_class,
            "member_code": f"9{number}-MUNICIPIO",
            "connection_type": "HTTPS",
        }
        api("POST", "/clients", 201, {"ignore_warnings": True, "client": client})
        api(
            "POST",
            "/clients",
            201,
            {"ignore_warnings": True, "client": {**client, "subsystem_code": "CATASTRO"}},
        )
        api("POST", "/clients", 409, {"ignore_warnings": True, "client": client})
    listed = {c["id"] for c in api("GET", "/clients?internal_search=true", 200).json()}
    assert {f"{CONSUMER.instance}:{CONSUMER.member_class}:9{n}-MUNICIPIO" for n in range(3)} <= listed
