"""docs/rooms.md is true: each place it names exists, and each folder of the packages is named."""

from __future__ import annotations

import re

import pytest

from tests.paths import PROJECT

ROOMS = (PROJECT / "docs" / "rooms.md").read_text(encoding="utf-8")
FOLDERS = {
    path.name for path in (PROJECT / "gateway").iterdir() if path.is_dir() and (path / "__init__.py").exists()
}


def rows_of_folders() -> set[str]:
    return set(re.findall(r"^\| `(\w+)/` \|", ROOMS, flags=re.MULTILINE))


def test_every_folder_of_the_gateway_has_a_row() -> None:
    assert rows_of_folders() == FOLDERS


@pytest.mark.parametrize("package", ["schemas", "certs", "serving", "central_server", "social_security"])
def test_every_folder_of_the_other_packages_is_named(package: str) -> None:
    folders = {
        f"{package}/{path.name}/"
        for path in (PROJECT / package).iterdir()
        if path.is_dir() and (path / "__init__.py").exists()
    }
    assert folders - set(re.findall(r"`([\w/]+)`", ROOMS)) == set()


@pytest.mark.parametrize("place", sorted(set(re.findall(r"`([\w./]+/[\w./]*)`", ROOMS))))
def test_a_place_that_the_page_names_exists(place: str) -> None:
    roots = [PROJECT, PROJECT / "gateway"]
    assert any((root / place).exists() for root in roots), place


@pytest.mark.parametrize("folder", sorted(FOLDERS))
def test_a_folder_says_in_a_sentence_what_lives_there(folder: str) -> None:
    text = (PROJECT / "gateway" / folder / "__init__.py").read_text(encoding="utf-8")
    assert re.match(r'"""[A-Z].{20,}\.', text), text
