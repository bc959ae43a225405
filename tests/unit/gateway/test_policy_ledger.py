"""Quotas and refusals outlive the gateway, and refusals are told to the member whose services they were at."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import pytest

from gateway.clients.store import ServerConfStore
from gateway.exchange.ports import ServiceCall
from gateway.metaservices.policy_statistics import SERVICE_CODE, PolicyTelling
from gateway.policies.decision import PolicyInput, told_of
from gateway.policies.gate import PolicyRefusalRecord
from gateway.policies.ledger import PolicyLedger
from schemas.faults import BadMessage, Fault
from schemas.identifiers import ClientId, ServiceId
from schemas.message import Message, MessageProtocol
from tests.unit.gateway.test_policy import ASKED, CURP, policy

if TYPE_CHECKING:
    from pathlib import Path

DAY = date(2026, 3, 2)
OWNER = ClientId("MX", "GOB", "15-ISSEMYM", "HIST")
REFUSAL = PolicyRefusalRecord(
    datetime(2026, 3, 2, 15, tzinfo=UTC),
    "policy_refused",
    "purpose",
    "oss:perm-consultarHistoria",
    "1.0.0",
    ClientId("MX", "GOB", "30-IPE", "PORT"),
    ServiceId(OWNER, "oss-v1"),
    "m-1",
    "X-OSS-Proposito",
    {"pid": "V"},
)


def call(client: ClientId, target: str = "") -> ServiceCall:
    message = Message(
        MessageProtocol.REST,
        is_response=False,
        raw=b"",
        digest=b"",
        client=client,
        service=ServiceId(OWNER, SERVICE_CODE),
        message_id="m-2",
        request_id="r-2",
    )
    return ServiceCall(message, "GET", target, ())


async def test_quota_count_goes_on_after_a_restart(tmp_path: Path) -> None:
    store = ServerConfStore(tmp_path / "serverconf.sqlite")
    assert [await PolicyLedger(store.database).take("a", DAY) for _ in range(2)] == [1, 2]
    store.close()
    again = ServerConfStore(tmp_path / "serverconf.sqlite")
    assert await PolicyLedger(again.database).take("a", DAY) == 3
    assert await PolicyLedger(again.database).take("b", DAY) == 1
    assert await PolicyLedger(again.database).take("a", date(2026, 3, 3)) == 1
    assert again.database.query("SELECT day FROM policy_count") == [("2026-03-03",)]
    again.close()


async def test_refusals_are_told_to_systems_of_the_member_itself_only(tmp_path: Path) -> None:
    store = ServerConfStore(tmp_path / "serverconf.sqlite")
    ledger = PolicyLedger(store.database)
    await ledger.note(REFUSAL)
    await ledger.note(replace(REFUSAL, service=ServiceId(ClientId("MX", "GOB", "30-IPE", "HIST"), "oss-v1")))
    await ledger.note(replace(REFUSAL, message_id="m-3"))
    own = ClientId("MX", "GOB", "15-ISSEMYM", "BITACORA")
    told = json.loads((await PolicyTelling(ledger).answer(call(own))).body)["refusals"]
    assert [(r["number"], r["messageId"], r["told"]) for r in told] == [
        (1, "m-1", {"pid": "V"}),
        (3, "m-3", {"pid": "V"}),
    ]
    later = json.loads((await PolicyTelling(ledger).answer(call(own, "?after=1"))).body)["refusals"]
    assert [r["number"] for r in later] == [3]
    with pytest.raises(Fault, match="MX/GOB/15-ISSEMYM itself"):
        await PolicyTelling(ledger).answer(call(REFUSAL.client))
    with pytest.raises(BadMessage, match="after is a number"):
        await PolicyTelling(ledger).answer(call(own, "?after=x"))
    store.close()


def test_what_is_told_of_a_request_holds_nothing_forbidden() -> None:
    told = told_of(policy(), ASKED)
    assert (told["pid"], told["X-OSS-Proposito"]) == ("x", "PUR-PORT")
    leaking = replace(
        ASKED, body=json.dumps({"pid": CURP}).encode(), headers={**ASKED.headers, "x-oss-motivo": CURP}
    )
    assert "pid" not in told_of(policy(), leaking)
    assert "X-OSS-Motivo" not in told_of(policy(), leaking)
    assert told_of(policy(), PolicyInput("c", "HIST", "oss-v1", "POST", "/", {}, b"[")) == {}
