"""The chapter of what an installation may be refused with has each refusal of the modules that make and start servers."""

from __future__ import annotations

import pytest

from deploy.installerrors import CHAPTERS, ELSEWHERE, Chapter, messages, render_install_errors
from deploy.pages import renew
from tests.paths import PROJECT


@pytest.mark.xroad("F015")
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.module)
def test_each_refusal_has_its_row_and_each_row_its_refusal(chapter: Chapter) -> None:
    said = messages(chapter.module)
    known = (*chapter.remedies, *ELSEWHERE.get(chapter.module, ()))
    assert [message for message in said if not message.startswith(known)] == []
    assert [begins for begins in known if not any(message.startswith(begins) for message in said)] == []


@pytest.mark.xroad("F015")
@pytest.mark.parametrize(("page", "language"), [("install.md", "en"), ("instalar.md", "es")])
def test_the_chapter_stands_in_the_page_and_is_in_step(page: str, language: str) -> None:
    text = (PROJECT / "docs" / page).read_text(encoding="utf-8")
    assert f"<!-- made: refusals {language} -->" in text
    assert render_install_errors(language) in text
    assert renew(text) == text
