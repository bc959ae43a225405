"""The central server's OpenAPI document against what is served: whatever is sent, the answer is one the document names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pyrage
import pytest
import requests
import schemathesis
from schemathesis.core.result import Err

from central_server.config import CentralBackupSettings
from tests.integration.centralhosting import api_key, hosted, settings
from tests.integration.conformance import check

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.processes
# Failures of others that an operation documents; anything else with 5xx is a fault of ours.
OUTSIDE = frozenset({"no_configuration_signing_keys_configured", "instance_identifier_not_set"})
# Ends what the next operation needs.
LAST = ("/tokens/{token_id}/logout",)


@pytest.mark.parametrize("initialised", [True, False])
@pytest.mark.xroad("F133", "F169")
def test_every_answer_is_one_the_document_names(tmp_path: Path, initialised: bool) -> None:
    chosen = settings()
    if initialised:
        recipients = (str(pyrage.x25519.Identity.generate().to_public()),)
        chosen = msgspec.structs.replace(chosen, backup=CentralBackupSettings(recipients=recipients))
    with hosted(tmp_path, chosen, initialised=initialised) as (url, server):
        headers = api_key(server)
        schema = schemathesis.openapi.from_dict(server.admin.document)
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
        assert server.admin.audit.verify()[0] > 50


def test_nothing_is_answered_without_a_login(tmp_path: Path) -> None:
    with hosted(tmp_path, settings(), initialised=False) as (url, server):
        for operation in server.admin.operations:
            path = operation.path.replace("{", "").replace("}", "")
            answer = requests.request(operation.method, f"{url}/api/v1{path}", timeout=60)
            assert answer.status_code == (200 if operation.public else 401), operation.id


def test_a_method_that_a_path_has_not_is_405(tmp_path: Path) -> None:
    with hosted(tmp_path, settings(), initialised=True) as (url, server):
        headers = api_key(server)
        by_path: dict[str, set[str]] = {}
        for operation in server.admin.operations:
            by_path.setdefault(operation.path, set()).add(operation.method)
        # API keys are managed with a session or a password, never with a key.
        for path, methods in ((p, m) for p, m in by_path.items() if not p.startswith("/api-keys")):
            named = path.replace("{", "").replace("}", "")
            answer = requests.request("OPTIONS", f"{url}/api/v1{named}", headers=headers, timeout=60)
            assert answer.status_code == 405, (path, answer.text)
            assert set(answer.headers["Allow"].split(", ")) >= methods
