"""Certificate profiles of a file, rule by rule."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from certs.edges.profilefiles import load_profiles
from certs.profiledata import parse_profiles
from certs.profiles import JAVA_PACKAGE, JAVA_SUFFIX, STANDARD_PROFILES
from schemas.faults import Kind, NotProved

if TYPE_CHECKING:
    from pathlib import Path

GOOD = """
[[profile]]
name = "Prueba"
sign = [{ field = "CN", value = "{name}" }]
auth = [{ field = "subjectAltName", value = "{address}" }]
class = { value = "GOB" }
code = { field = "serialNumber", pattern = "RFC-(.+)" }
"""


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("[[profile]]", "[[profile", "cannot be read"),
        ('name = "Prueba"', "", "cannot be read: Object missing required field `name`"),
        ('name = "Prueba"', 'name = "Prueba"\nother = 1', "unknown field `other`"),
        ('field = "CN"', 'field = "XX"', "'XX' is none of C, O"),
        ('field = "serialNumber"', 'field = "XX"', "'XX' is none of C, O"),
        ("{name}", "{nobody}", "'nobody'; {instance}"),
        ("{name}", "{", "can be used"),
        ('{ value = "GOB" }', "{}", "either a value or a field"),
        ('{ value = "GOB" }', '{ value = "GOB", field = "O" }', "either a value or a field"),
        ("RFC-(.+)", "RFC-.+", "has no group"),
        ("RFC-(.+)", "RFC-(.+", "cannot be read"),
    ],
)
def test_a_profile_that_is_refused_says_why(old: str, new: str, words: str) -> None:
    assert old in GOOD
    with pytest.raises(ValueError, match=words.replace("{", r"\{")):
        parse_profiles(GOOD.replace(old, new))


def test_a_profile_reads_a_subject() -> None:
    (profile,) = parse_profiles(GOOD)
    (rule,) = profile.rules
    serial = STANDARD_PROFILES.named("Basic").fields("sign")[-1].oid
    assert serial is not None
    assert rule({serial: "RFC-15"}, "MX") == ("MX", "GOB", "15")
    assert rule({serial: "15"}, "MX") is None


@pytest.mark.parametrize("name", ["Basic", "basic", "BASIC"])
def test_a_name_is_of_one_profile_in_whatever_case(name: str) -> None:
    with pytest.raises(ValueError, match=f"another certificate profile named '{name}'"):
        STANDARD_PROFILES.extended(parse_profiles(GOOD.replace("Prueba", name)))
    with pytest.raises(ValueError, match="another certificate profile named 'Prueba'"):
        STANDARD_PROFILES.extended(parse_profiles(GOOD + GOOD))


@pytest.mark.parametrize("name", ["Prueba", "prueba", f"{JAVA_PACKAGE}Prueba{JAVA_SUFFIX}", "mx.gob.PRUEBA"])
def test_a_profile_is_known_to_those_that_were_handed_it_and_to_nobody_else(name: str) -> None:
    extended = STANDARD_PROFILES.extended(parse_profiles(GOOD))
    assert extended.named(name).name == "Prueba"
    assert extended.names() == (*STANDARD_PROFILES.names(), "Prueba")
    with pytest.raises(NotProved) as refused:
        STANDARD_PROFILES.named(name)
    assert refused.value.kind is Kind.INCORRECT_CERTIFICATE


def test_two_folders_in_one_process_read_one_subject_each_by_its_own_file(tmp_path: Path) -> None:
    subject = {x509.NameOID.SERIAL_NUMBER: "RFC-15"}
    for member_class in ("GOB", "COM"):
        (tmp_path / member_class).mkdir()
        (tmp_path / member_class / "profiles.toml").write_text(GOOD.replace("GOB", member_class))
    found = [load_profiles(tmp_path / c).member_of_fields("Prueba", subject, "MX") for c in ("GOB", "COM")]
    assert [m.path() for m in found] == ["MX/GOB/15", "MX/COM/15"]


def test_a_folder_without_a_file_knows_the_standard_profiles_and_a_file_that_is_none_is_named(
    tmp_path: Path,
) -> None:
    assert load_profiles(tmp_path) is STANDARD_PROFILES
    (tmp_path / "profiles.toml").write_text("[[profile]]\nname = 1\n")
    with pytest.raises(ValueError, match=r"profiles\.toml: the certificate profiles cannot be read"):
        load_profiles(tmp_path)
