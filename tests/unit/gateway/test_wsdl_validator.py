"""An operator's own validator of WSDLs: asked with the document, believed, bounded, and never in the way of others."""

from __future__ import annotations

import shlex
import sys
from functools import partial
from typing import TYPE_CHECKING

import pytest

from gateway.clients.descriptions.validating import run_validator, with_validator
from gateway.clients.model import ServiceType
from serving.errors import Refused
from tests.doubles import read_here
from tests.paths import VECTORS

if TYPE_CHECKING:
    from pathlib import Path

WSDL = (VECTORS / "metaservices/wsdl.wsdl").read_bytes()
URL = "http://provider/service?wsdl"


def command(folder: Path, code: str) -> str:
    """A program as an operator would name it."""
    script = folder / "a validator.py"
    script.write_text(code, encoding="utf-8")
    return shlex.join((sys.executable, str(script), "--strict"))


@pytest.mark.xroad("F076")
async def test_what_it_finds_is_a_warning_and_it_is_given_the_document_and_its_address(
    tmp_path: Path,
) -> None:
    finds = command(
        tmp_path,
        "import sys, os\n"
        "print(len(sys.stdin.buffer.read()), *sys.argv[1:])\n"
        "print('  rule R1102 is broken  ')\n"
        "print(sorted(n for n in os.environ if n.startswith('SACBE')), file=sys.stderr)\n"
        "sys.exit(1)\n",
    )
    read = with_validator(read_here, lambda: finds)
    found = await read(ServiceType.WSDL, WSDL, URL)
    ours = (await read_here(ServiceType.WSDL, WSDL, URL)).warnings
    said = (f"{len(WSDL)} --strict {URL}", "rule R1102 is broken", "[]")
    assert sorted(found.warnings) == sorted((*ours, *said))


@pytest.mark.xroad("F076")
async def test_one_that_is_content_or_not_set_or_not_concerned_says_nothing(tmp_path: Path) -> None:
    ours = await read_here(ServiceType.WSDL, WSDL, URL)
    for validator in (command(tmp_path, "print('well done')"), "", "  "):
        reader = with_validator(read_here, partial(str, validator))
        assert await reader(ServiceType.WSDL, WSDL, URL) == ours
    openapi = b'{"openapi": "3.0.0", "info": {"title": "t", "version": "1"}, "paths": {}}'
    refuses = command(tmp_path, "raise SystemExit(1)")
    found = await with_validator(read_here, lambda: refuses)(ServiceType.OPENAPI3, openapi, URL)
    assert found == await read_here(ServiceType.OPENAPI3, openapi, URL)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys; sys.exit(3)", "ended with status 3 and no word"),
        ("import sys; sys.stdin.close(); print('x' * 10_000_000); sys.exit(1)", "x" * 300),
        ("import sys; [print(n) for n in range(1000)]; sys.exit(1)", "0"),
    ],
)
async def test_what_it_says_is_bounded(tmp_path: Path, code: str, said: str) -> None:
    found = await run_validator(shlex.split(command(tmp_path, code)), WSDL * 100, URL)
    assert found[0].endswith(said)
    assert len(found) <= 20


async def test_one_that_cannot_be_run_or_does_not_end_is_told_with_its_setting(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"no-such-program cannot be run.*wsdl_validator_command"):
        await run_validator(["no-such-program"], WSDL, URL)
    loops = [sys.executable, "-c", "while True: pass"]
    with pytest.raises(Refused, match=r"has not ended after 0.5 s"):
        await run_validator(loops, WSDL, URL, seconds=0.5)
