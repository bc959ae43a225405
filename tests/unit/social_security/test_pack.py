"""The domain pack is whole: every code has both languages, every operation a description, every example is valid."""

from __future__ import annotations

import io

import pytest
from lxml import etree
from openapi_spec_validator import validate

from social_security.domain import pack
from social_security.domain.curp import find_curp
from social_security.registry.tables import STEPS as REGISTRY_STEPS


def test_every_error_has_status_and_both_languages() -> None:
    for row in pack.errors().values():
        assert 400 <= row.status <= 599
        assert 10 < len(row.es) <= 120
        assert 10 < len(row.en) <= 120
        assert row.es != row.en
    assert len(pack.errors()) == 40


def test_openapi_description_is_valid() -> None:
    validate(pack.openapi())


def test_every_operation_is_described_where_its_rules_say() -> None:
    described = {
        (o["operationId"], method.upper(), path)
        for path, methods in pack.openapi()["paths"].items()
        for method, o in methods.items()
    }
    for operation in pack.operations().values():
        assert (operation.name, operation.method, operation.path) in described


def test_every_operation_names_known_purposes_roles_and_category() -> None:
    for operation in pack.operations().values():
        assert operation.purposes <= set(pack.purposes())
        assert operation.roles <= set(pack.codes()["roles"])
        assert operation.category in pack.codes()["data_categories"]


def test_example_message_follows_the_xml_schema() -> None:
    schema = etree.XMLSchema(etree.fromstring(pack.read_text("services.xsd").encode()))
    envelope = etree.parse(io.BytesIO(pack.read_text("examples/consultarHistoriaResponse.xml").encode()))
    body = envelope.find("{http://schemas.xmlsoap.org/soap/envelope/}Body")
    assert body is not None
    schema.assertValid(body[0])
    context = envelope.find(".//{https://oniess.example/ns/ss/v1}contexto")
    assert context is not None
    schema.assertValid(context)


def test_registry_keeps_no_more_of_a_person_than_the_reference_lists() -> None:
    person = REGISTRY_STEPS[0].split("CREATE TABLE person (")[1].split(");")[0]
    columns = {line.split()[0] for line in person.strip().splitlines()}
    assert columns == {"rid", "curp_cipher", "level", "vital_state", "no_curp_reason", "no_curp_expires"}


@pytest.mark.parametrize("name", ["services.openapi.yaml", "services.xsd", "errors.json", "fixture.json"])
def test_no_curp_stands_in_descriptions(name: str) -> None:
    assert not find_curp(pack.read_text(name))
