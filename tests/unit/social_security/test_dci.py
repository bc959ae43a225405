"""A DCI speaker finds a person by identifier, under the registry's own checks, and nobody fishes."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from social_security.domain import pack
from social_security.domain.edition import package_edition
from social_security.domain.notices import notice_of
from tests.social import SmallCountry, small_country

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PERSONS = {p["name"]: p for p in pack.persons()["persons"]}
ANA = PERSONS["ana"]["curp"]
TIME = "2026-03-02T09:00:00-06:00"


@pytest.fixture
async def country(tmp_path: Path) -> AsyncIterator[SmallCountry]:
    async with small_country(tmp_path) as made:
        yield made


def envelope(**criteria: Any) -> dict[str, Any]:
    uri, digest = notice_of(package_edition(), "15-ISSEMYM")
    return {
        "signature": "",
        "header": {"version": "1.0.0", "message_id": "1", "message_ts": TIME, "action": "search",
                   "sender_id": "x", "total_count": 1},
        "message": {"transaction_id": "t", "search_request": [{
            "reference_id": "r-1", "timestamp": TIME,
            "search_criteria": {
                "query_type": "idtype-value", "query": {"type": "CURP", "value": ANA},
                "consent": {"ts": TIME, "purpose": {"code": "PUR-IDENT", "text": "Alta",
                                                    "ref_uri": f"{uri};sha256={digest}"}},
                "authorize": {"ts": TIME, "purpose": {"code": "CONS-15-2026-00000001", "text": "ANALISTA_AFILIACION",
                                                      "ref_uri": "mx:LGPDPPSO-16-I"}},
                **criteria,
            },
        }]},
    }  # fmt: skip


async def search(country: SmallCountry, body: Any) -> dict[str, Any]:
    headers = {
        "X-Road-Client": "MX/GOB/15-ISSEMYM/AFIL",
        "X-Road-Id": "m-1",
        "X-Road-UserId": "MX-15-ISSEMYM:emp-1",
    }
    async with country.clients["00-RNSS"].post(
        "/registry/sync/search", data=json.dumps(body), headers=headers
    ) as answer:
        found: dict[str, Any] = await answer.json()
        return found


async def test_a_look_up_by_dci_is_in_the_person_s_access_log(country: SmallCountry) -> None:
    found = await search(country, envelope())
    pid = found["message"]["search_response"][0]["data"]["reg_records"][0]["pid"]
    _, seen = await country.ask(
        "15-ISSEMYM/BITACORA", "00-RNSS", "findUsage", {"pid": pid},
        purpose="PUR-BITACORA", case="CONS-15-2026-00000009", role="TITULAR",
    )  # fmt: skip
    assert [(u["receiverCode"], u["outcome"]) for u in seen["usages"]] == [("MX/GOB/15-ISSEMYM", "ENTREGADO")]


async def test_person_is_found_by_curp_and_by_pid(country: SmallCountry) -> None:
    pid = PERSONS["ana"]["pids"]["15-ISSEMYM"]
    found = await search(country, envelope())
    (result,) = found["message"]["search_response"]
    assert (found["header"]["status"], found["message"]["correlation_id"]) == ("succ", "1")
    assert result["data"]["reg_records"] == [{"pid": pid, "nivel": "LOA2", "estadoVital": "VIVA"}]
    again = await search(country, envelope(query={"type": "MX-PID", "value": pid}))
    assert again["message"]["search_response"][0]["data"]["reg_records"][0]["pid"] == pid
    assert ANA not in json.dumps(found)


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "an expression": ({"query_type": "expression"}, "rjct.search_criteria.invalid", "idtype-value"),
    "a predicate": ({"query_type": "predicate"}, "rjct.search_criteria.invalid", "idtype-value"),
    "another identifier": ({"query": {"type": "RFC", "value": "x"}}, "rjct.search_criteria.invalid", "MX-PID"),
    "a wrong check digit": ({"query": {"type": "CURP", "value": ANA[:-1] + "4"}}, "rjct.search_criteria.invalid", "SS-102"),
    "no consent": ({"consent": {}}, "rjct.search_criteria.invalid", "SS-200"),
    "no case": ({"authorize": {}}, "rjct.search_criteria.invalid", "SS-200"),
    "sorting": ({"sort": []}, "rjct.sort.invalid", "nothing to sort"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
async def test_search_that_is_not_allowed_is_rejected_with_its_reason(
    country: SmallCountry, what: str
) -> None:
    criteria, code, said = REFUSED[what]
    (result,) = (await search(country, envelope(**criteria)))["message"]["search_response"]
    assert (result["status"], result["status_reason_code"]) == ("rjct", code)
    assert said in result["status_reason_message"]
    assert "data" not in result


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("version", "2.0.0", "rjct.version.invalid"),
        ("action", "subscribe", "rjct.action.not_supported"),
        ("message_ts", "yesterday", "rjct.message_ts.invalid"),
        ("total_count", 7, "rjct.total_count.invalid"),
        ("message_id", "", "rjct.message_id.invalid"),
    ],
)
async def test_envelope_that_is_not_understood_is_rejected(
    country: SmallCountry, name: str, value: object, code: str
) -> None:
    body = copy.deepcopy(envelope())
    body["header"][name] = value
    assert (await search(country, body))["header"]["status_reason_code"] == code
