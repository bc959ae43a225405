"""Certificate profiles of a file, rule by rule."""

from __future__ import annotations

import pytest

from certs.profiledata import parse_profiles
from certs.profiles import add_profiles, profile_named

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
    serial = profile_named("Basic").fields("sign")[-1].oid
    assert serial is not None
    assert rule({serial: "RFC-15"}, "MX") == ("MX", "GOB", "15")
    assert rule({serial: "15"}, "MX") is None


def test_a_name_is_of_one_profile() -> None:
    (profile,) = parse_profiles(GOOD.replace("Prueba", "Basic"))
    with pytest.raises(ValueError, match="another certificate profile named 'Basic'"):
        add_profiles([profile])
