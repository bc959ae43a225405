"""The gateway's OpenAPI document against what is served: whatever is sent, the answer is one that the document names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import requests
import schemathesis
from schemathesis.core.result import Err

from tests.integration.conformance import check
from tests.integration.hosting import api_key, hosted, prepare
from tests.worlds import CONSUMER, PIN

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes
# Failures of others that an operation documents; anything else with 5xx is a fault of ours.
OUTSIDE = frozenset({
    "management_request_sending_failed", "conf_download_failed", "anchor_file_not_found", "closed_for_changes",
    "certificate_profile_instantiation_failure", "cert_wrong_usage", "service_code_reserved", "backup_generation_failed",
})  # fmt: skip
# Ends what the next operation needs.
LAST = ("/tokens/{id}/logout", "/tokens/{id}/pin")


@pytest.mark.parametrize("initialised", [True, False])
@pytest.mark.xroad("F133")
def test_every_answer_is_one_the_document_names(tmp_path: Path, initialised: bool) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    if initialised:
        prepare(folder)
    with hosted(folder, pin="1234" if initialised else None) as (url, host):
        headers = api_key(host)
        schema = schemathesis.openapi.from_dict(host.api.document)
        operations = [found.ok() for found in schema.get_all_operations() if not isinstance(found, Err)]
        operations.sort(key=lambda o: o.path in LAST)
        wrong: list[str] = []
        sent = 0
        for operation in operations:
            try:
                sent += check(operation, url, headers, OUTSIDE)
            except (AssertionError, BaseExceptionGroup) as err:
                wrong.append(f"{operation.label}: {str(err)[:1500]}")
        assert wrong == [], "\n\n".join(wrong)
        assert sent > len(operations)
        assert host.api.audit.verify()[0] > 50


def test_nothing_is_answered_without_a_login(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with hosted(folder, pin=None) as (url, host):
        for operation in host.api.operations:
            path = operation.path.replace("{", "").replace("}", "")
            answer = requests.request(operation.method, f"{url}/api/v1{path}", timeout=60)
            assert answer.status_code == (200 if operation.public else 401), operation.id


@pytest.mark.xroad("F130")
def test_roles_open_exactly_what_their_permissions_say(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    prepare(folder)
    with hosted(folder) as (url, host):
        _, key = host.logins.make_api_key(["XROAD_SECURITYSERVER_OBSERVER"], "test")
        headers = {"Authorization": f"X-Road-ApiKey token={key}"}
        own = set(requests.get(f"{url}/api/v1/user/permissions", headers=headers, timeout=60).json())
        for operation in host.api.operations:
            if operation.path.startswith("/api-keys"):
                continue
            path = operation.path.replace("{", "").replace("}", "")
            answer = requests.request(operation.method, f"{url}/api/v1{path}", headers=headers, timeout=60)
            allowed = not operation.permissions or bool(own & set(operation.permissions))
            assert (answer.status_code != 403) == allowed, (operation.id, answer.text)


@pytest.mark.xroad("F018", "F023")
def test_token_waits_for_its_pin_after_a_start_without_one(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    prepare(folder)
    with hosted(folder, pin=None) as (url, host):
        headers = api_key(host)
        token = requests.get(f"{url}/api/v1/tokens/0", headers=headers, timeout=60).json()
        assert (token["logged_in"], token["status"]) == (False, "OK")
        login = f"{url}/api/v1/tokens/0/login"
        wrong = requests.put(login, json={"password": "9999"}, headers=headers, timeout=60)
        assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "pin_incorrect")
        right = requests.put(login, json={"password": PIN}, headers=headers, timeout=60)
        assert (right.status_code, right.json()["logged_in"]) == (200, True)
        again = {"software_token_pin": PIN}
        refused = requests.post(f"{url}/api/v1/initialization", json=again, headers=headers, timeout=60)
        assert (refused.status_code, refused.json()["error"]["code"]) == (
            409,
            "server_already_fully_initialized",
        )
        texts = [text for _, text, _ in host.api.audit.records()]
        assert sum('"LOGIN_TOKEN"' in text for text in texts) == 2
        assert not any(f'"{PIN}"' in text or "9999" in text for text in texts)


@pytest.mark.xroad("F136")
def test_audit_log_says_what_a_change_changed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    prepare(folder)
    with hosted(folder) as (url, host):
        headers, client = api_key(host), CONSUMER.encoded()
        base = f"{url}/api/v1"
        rest = {"url": "http://127.0.0.1:9", "type": "REST", "rest_service_code": "s1"}
        made = requests.post(
            f"{base}/clients/{client}/service-descriptions", json=rest, headers=headers, timeout=60
        )
        service = made.json()["services"][0]["id"]
        endpoint = {"service_code": "s1", "method": "GET", "path": "/v1/**"}
        made = requests.post(
            f"{base}/services/{service}/endpoints", json=endpoint, headers=headers, timeout=60
        )
        assert made.status_code == 201, made.text
        path = f"{base}/endpoints/{made.json()['id']}/service-clients"
        granted = {"items": [{"id": client}]}
        assert requests.post(path, json=granted, headers=headers, timeout=60).status_code == 201
        assert requests.post(f"{path}/delete", json=granted, headers=headers, timeout=60).status_code == 204
        texts = [text for _, text, _ in host.api.audit.records()]
        grant = next(text for text in texts if "ADD_ENDPOINT_ACCESS_RIGHTS" in text)
        assert "+ right" in grant
        assert "GET /v1/**" in grant
        assert host.api.audit.verify()[0] == len(texts)
