"""Numbers of strangers: digits by the thousand, of other scripts, or more than 64 bits hold. Refused by one rule, never an error of the program's."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from central_server.edges.management import ManagementEdge, StoreKeeper
from central_server.management.requests import MANUAL
from central_server.publication.publish import add_directory_route
from central_server.store.loading import import_registry
from central_server.store.records import Actor, CentralStore
from gateway.clients.validation.restchecks import build_rest_checks
from schemas.jsontext import dump_json, load_json
from schemas.numbers import is_kept, whole_number
from serving.api.limits import RateLimit
from serving.api.problems import Problem
from serving.api.validation import checked, parse_body
from serving.storage.audit import AuditLog
from social_security.wire import soapwords
from tests.instance import Instance

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LARGEST = 2**63 - 1
TOO_LARGE = {
    "one more than 64 bits": str(LARGEST + 1),
    "twenty digits": "9" * 20,
    "400 digits": "9" * 400,
    "5000 digits": "9" * 5000,
}
NO_NUMBER = {
    "Arabic digits": "\u0663",
    "superscript": "\u00b2",
    "underscore": "1_0",
    "blank": " 7",
    "hex": "0x1",
}


@pytest.mark.parametrize("text", [*TOO_LARGE.values(), *NO_NUMBER.values(), "", "-1"])
def test_what_is_no_number_that_is_kept_is_none(text: str) -> None:
    assert whole_number(text) is None


@pytest.mark.parametrize("text", ["0", "7", "007", str(LARGEST)])
def test_a_number_that_is_kept_is_read(text: str) -> None:
    assert whole_number(text) == int(text)


@pytest.mark.parametrize("number", ["9" * 5000, *TOO_LARGE.values()])
async def test_the_doors_that_stand_open_answer_that_there_is_nothing(tmp_path: Path, number: str) -> None:
    store = CentralStore(tmp_path / "central.sqlite")
    with store.change(Actor("ana"), NOW) as records:
        import_registry(records, Instance(tmp_path, NOW).registry())
    edge = ManagementEdge(
        StoreKeeper(store, lambda: MANUAL),
        AuditLog(store.database),
        lambda: NOW,
        lambda: 0.0,
        RateLimit(1, 9),
    )

    @dataclass
    class Current:
        directories: dict[tuple[str, int], bytes]

    published: Any = type("Published", (), {"current": Current({})})()
    app = web.Application()
    add_directory_route(app, published)
    app.add_subapp("/door", edge.registration_app())
    async with TestServer(app) as server, aiohttp.ClientSession() as session:
        for path in (f"/door/managementservice/requests/{number}/x", f"/internalconf?version={number}"):
            async with session.get(server.make_url(path)) as answer:
                assert answer.status == 404
    store.close()


class Numbers(msgspec.Struct):
    """A body of an admin API with a number that has bounds, and one that has none."""

    limit: Annotated[int, msgspec.Meta(ge=0, le=10)] = 0
    free: int = 0


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("field", ["limit", "free"])
@pytest.mark.parametrize("number", TOO_LARGE.values(), ids=TOO_LARGE)
def test_a_number_of_a_form_or_a_body_that_no_column_holds_is_refused(
    field: str, number: str, sign: str
) -> None:
    written = sign + (number if sign == "" else str(int(number[:400]) + 1))
    with pytest.raises(Problem) as refused:
        parse_body(Numbers, f'{{"{field}": {written}}}'.encode())
    assert refused.value.status == 400
    with pytest.raises(Problem) as refused:
        checked(Numbers, {field: written}, strict=False)
    assert refused.value.status == 400


def test_the_largest_numbers_that_are_kept_are_taken() -> None:
    for number in (LARGEST, -LARGEST - 1):
        assert is_kept(number)
        assert parse_body(Numbers, f'{{"free": {number}}}'.encode()).free == number
        assert load_json(f"[{number}]") == [number]


@pytest.mark.parametrize("number", TOO_LARGE.values(), ids=TOO_LARGE)
def test_json_that_is_to_be_kept_holds_no_such_number_and_what_is_passed_on_may(number: str) -> None:
    with pytest.raises(ValueError, match="larger than any that is kept"):
        load_json(f'{{"secuencia": {number}}}')
    if len(number) < 4000:
        assert load_json(f"[{number}]", any_integer=True) == [int(number)]


@pytest.mark.parametrize("text", [*TOO_LARGE.values(), *NO_NUMBER.values()])
def test_a_number_of_a_soap_request_that_is_none_is_left_to_the_schema(text: str) -> None:
    assert soapwords._typed("secuencia", text) == text


@pytest.mark.parametrize("text", [*NO_NUMBER.values(), "nan", "inf", "1e999", "9" * 5000])
@pytest.mark.parametrize("kind", ["integer", "number"])
def test_a_parameter_that_a_described_service_would_not_read_as_a_number_is_none(
    kind: str, text: str
) -> None:
    parameter = {"name": "n", "in": "query", "schema": {"type": kind}}
    answers = {"200": {"description": "ok"}}
    document = {
        "openapi": "3.0.3",
        "info": {"title": "t", "version": "1"},
        "paths": {"/a": {"get": {"parameters": [parameter], "responses": answers}}},
    }
    checks = build_rest_checks(dump_json(document).encode())
    assert checks.check_request("GET", "/a?n=12", None, b"") == ()
    assert checks.check_request("GET", f"/a?n={text.replace(' ', '%20')}", None, b"") != ()
