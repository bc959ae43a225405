"""Files for ``gateway apply`` that want too much: each is refused in a line, and a description in one cannot compute without end."""

from __future__ import annotations

import time

import pytest

from gateway.clients.descriptions.reading import SMALL_BYTES, read_for_command
from gateway.clients.model import ServiceType
from gateway.desired.file import parse_desired
from schemas.identifiers import ServerId
from serving.errors import OperatorError, Refused
from serving.process.childprocess import ChildLimits
from tests.hostile.test_descriptions import operations

SERVER = ServerId("MX", "GOB", "15-ISSEMYM", "SS1")
TOML = {
    "deep arrays": "a = " + "[" * 100_000,
    "deep tables": "a = " + "{b=" * 100_000,
    "a number without end": "a = " + "9" * 10_000,
    "a NUL": 'client = "\0"',
    "a name twice": "client = []\nclient = []",
    "another type": "client = 7",
    "an unknown table": "[__class__]\nx = 1",
    "a date that is none": "a = 2026-02-30",
    "half a file": "[[client]",
    "nothing but a mark": "\ufeff",
}
YAML = {
    "deep": "a: " + "[" * 10_000,
    "laughs": "a: &a [x, x]\n"
    + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 8)}]\n" for n in range(10)),
    "a tag that runs": "client: !!python/object/apply:os.system ['id']",
    "a number without end": "a: " + "9" * 10_000,
    "itself": "client: &a [*a]",
    "control characters": "client: '\x01'",
}


@pytest.mark.parametrize(
    ("text", "yaml"), [(t, False) for t in TOML.values()] + [(y, True) for y in YAML.values()]
)
def test_a_file_that_wants_too_much_is_refused_in_a_line(text: str, *, yaml: bool) -> None:
    began = time.process_time()
    with pytest.raises(OperatorError) as refused:
        parse_desired(text, SERVER, lambda _: b"", lambda _: b"", yaml=yaml)
    assert str(refused.value).startswith("the file is not understood")
    assert time.process_time() - began < 10


def test_a_large_description_of_a_file_is_read_within_a_deadline() -> None:
    content = operations(4_000)
    assert len(content) > SMALL_BYTES
    with pytest.raises(Refused, match="took longer"):
        read_for_command(ServiceType.WSDL, content, "", ChildLimits(seconds=0.2))


def test_a_description_of_usual_size_needs_no_other_process() -> None:
    content = operations(20)
    assert len(content) <= SMALL_BYTES
    assert len(read_for_command(ServiceType.WSDL, content, "", ChildLimits(seconds=0)).services) == 20
