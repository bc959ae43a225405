"""The examples of files in the docs are files that the servers take."""

from __future__ import annotations

import re

import pytest

from central_server.registry.model import parse_registry
from central_server.registry.registryfile import render_registry
from gateway.desired.file import parse_desired
from schemas.identifiers import ServerId
from tests.paths import PROJECT
from tests.unit.central_server.test_applying import certificates

NAMES = ("root.pem", "intermediate.pem", "ocsp.pem", "tsa.pem", "issemym-auth.pem")


@pytest.mark.parametrize("page", ["files.md", "archivos.md"])
def test_both_examples_of_the_page_are_taken(page: str) -> None:
    registry, wanted = re.findall(
        r"```toml\n(.*?)```", (PROJECT / "docs" / page).read_text("utf-8"), re.DOTALL
    )
    ders = dict(zip(NAMES, (*certificates(), certificates()[0]), strict=True))
    read = parse_registry(registry, ders.__getitem__)
    assert read.members[1].subsystems[1].name == "Historia laboral"
    text, files = render_registry(read)
    assert parse_registry(text, files.__getitem__) == read
    found = parse_desired(wanted, ServerId("MX", "GOB", "15-ISSEMYM", "SS1"), lambda _: b"der", lambda _: b"")
    assert len(found.conf.rights) == 1
    # What stands in a comment is understood too.
    parse_registry(
        re.sub(r"(?m)^# (\w+ = )", r"\1", registry).replace('name = "..."', 'name = "X"'), ders.__getitem__
    )
