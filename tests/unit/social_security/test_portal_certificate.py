"""The certificate of a career: downloaded by her who it is of, checked by anybody who has its code, and by nothing else."""

from __future__ import annotations

import re
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from social_security.portal.certificate import CODE_LENGTH, build_certificate, render_pdf
from tests.portals import PIDS, Browser, World, open_world
from tests.unit.social_security.test_portal_person import logged_in


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with open_world(tmp_path) as opened:
        yield opened


def drawn(pdf: bytes) -> str:
    """What the pages of a PDF write, one after the other."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    text = b""
    for stream in streams:
        try:
            text += zlib.decompress(stream)
        except zlib.error:
            continue
    return text.decode("latin-1")


async def test_a_certificate_is_taken_along_and_checked_by_its_code_without_a_name(world: World) -> None:
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as person:
        await logged_in(world, person, accounts, "ana")
        await person.get("/historia")
        assert "/historia/constancia.pdf" in person.page.links
        async with person._session.get(f"{address}/historia/constancia.pdf") as answer:
            assert (answer.status, answer.content_type) == (200, "application/pdf")
            content = await answer.read()
            named = answer.headers["Content-Disposition"]
    assert content.startswith(b"%PDF-")
    found = re.search(r"constancia-([0-9A-Z]+)\.pdf", named)
    assert found is not None
    code = found[1]
    assert len(code) == CODE_LENGTH
    assert code in drawn(content)
    async with Browser(address) as anybody:
        await anybody.get(f"/verificar?codigo={code.lower()}")
        assert anybody.status == 200
        issued = accounts.certificate(code)
        assert issued is not None
        assert f"{issued.days:,}" in anybody.page.text
        assert issued.sha256 in anybody.page.text
        assert PIDS["ana"] not in anybody.page.source
        for stranger in (code[:-1] + ("0" if code[-1] != "0" else "1"), "' OR 1=1 --", "%00"):
            await anybody.get("/verificar", params={"codigo": stranger})
            assert anybody.status == 404, stranger
        await anybody.get("/verificar")
        assert anybody.status == 200
        await anybody.get("/historia/constancia.pdf")
        assert "constancia" not in anybody.headers.get("Content-Disposition", "")


async def test_a_certificate_that_lacks_an_institute_says_so(world: World) -> None:
    world.silent.add("30-IPE")
    address, accounts = await world.portal("15-ISSEMYM")
    async with Browser(address) as person:
        await logged_in(world, person, accounts, "ana")
        async with person._session.get(f"{address}/historia/constancia.pdf") as answer:
            content = await answer.read()
            code = answer.headers["Content-Disposition"].partition("constancia-")[2][:CODE_LENGTH]
        assert "Incompleta" in drawn(content)
        await person.get(f"/verificar?codigo={code}")
        assert "incompleta" in person.page.text


def test_two_certificates_of_one_career_have_two_codes_and_long_careers_run_over_pages() -> None:

    periods = [
        {
            "desde": "1999-03-01",
            "hasta": "1999-03-31",
            "dias": 31,
            "computo": "1999-03-01 a 1999-03-31: ñ = 31",
        }
        for _ in range(120)
    ]
    whole = {
        "historias": [{"instituto": "MX/GOB/30-IPE", "periodos": periods}],
        "totales": {"diasUnion": 31, "diasTraslape": 3689, "semanas": 4},
        "constancia": {"completa": True, "respondieron": [{"instituto": "MX/GOB/30-IPE"}], "negaron": [], "silenciosos": []},
    }  # fmt: skip
    now = datetime(2026, 3, 2, 15, tzinfo=UTC)
    pid = PIDS["ana"]
    one, other = (build_certificate(whole, pid, now) for _ in range(2))  # type: ignore[arg-type]
    assert one.code != other.code
    assert one.sha256 == other.sha256
    pdf = render_pdf(one, whole, pid, "ISSEMYM", "https://portal.example/verificar?codigo=" + one.code)  # type: ignore[arg-type]
    assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page ") > 2
