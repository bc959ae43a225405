"""CURP, NSS, RFC and pseudonyms give exactly the values of the domain reference, sections 2.3 to 2.9."""

from __future__ import annotations

from datetime import date
from urllib.parse import quote, quote_plus

import pytest

from social_security.domain import pack
from social_security.domain.curp import check_digit, find_curp, normalise, parse_curp
from social_security.domain.faults import DomainError
from social_security.domain.pseudonyms import Rid, curp_index, institute_pid, pair_pid, parse_pid

TODAY = date(2026, 3, 2)
KEY = bytes(range(32))
ACCEPTED = [
    "SABC560626MDFLRN01",
    "HEGG560427MVZRRL04",
    "AAPR630321HDFLRC09",
    "BEML920313HMCLNS09",
    "EEPA780514MMCJRN95",
    "FIMT611102HSRCSD94",
    "XAEI690228MVZNNN99",
    "PUXS851231HNERXL98",
    "MODA010709XJCDMRZ4",
    "CXJO040229MCHTRFZ1",
    "PEGJ850101HDFRRL04",
    "BOXW310820HNERXN09",
]
REFUSED = {
    "SABC560626MDFLRN02": "SS-102",
    "OEAF771012HMCRGR09": "SS-102",
    "PUXB571021HNELXR00": "SS-102",
    "BADD110313HCMLNS09": "SS-102",
    "FELM951225MJCLPN09": "SS-102",
    "SABC560631MDFLRN06": "SS-103",
    "CXJO030229MCHTRFZ4": "SS-103",
    "SABC560626MXXLRN01": "SS-101",
    "SABC560626ZDFLRN01": "SS-101",
    "SABC5606260DFLRN01": "SS-101",
    "SABC560626MDFLRN0": "SS-101",
    "SABC560626MDFLRN011": "SS-101",
}
RIGHT_DIGIT = {"OEAF771012HMCRGR0": 8, "PUXB571021HNELXR0": 8, "BADD110313HCMLNS0": 6, "FELM951225MJCLPN0": 7}
PAIRS = {
    ("ana", "15-ISSEMYM", "26-ISSSTESON", "PUR-PORT"): "5A2C74QTNVFGEC18CC61GDARCCD",
    ("ana", "15-ISSEMYM", "30-IPE", "PUR-PORT"): "0SYDK4W3RZVEVDZKYBW9S50M6RH",
    ("ana", "15-ISSEMYM", "26-ISSSTESON", "PUR-ARCO"): "TK0E6B85GBWRDM04GGGMV9Y3BWT",
    ("ana", "26-ISSSTESON", "15-ISSEMYM", "PUR-PORT"): "AJNFRDKTSHCHQJJSAS142ESQYGQ",
    ("ana", "30-IPE", "15-ISSEMYM", "PUR-PORT"): "VMP5P6A3TQ8FQZ4H1PX3GS1Q24R",
    ("ana", "30-IPE", "26-ISSSTESON", "PUR-PORT"): "RM07432SMG1YKD9P79W5BGWVRGV",
    ("jose-teodoro", "14-IPEJAL", "26-ISSSTESON", "PUR-HIST"): "BV20JPJJJP26DVWXM9QEMBNDM83",
    ("ana", "00-RNSS", "15-ISSEMYM", "PUR-ARCO"): "AZENCX24NCA2K5FTMAFP2EZRSGA",
}


def rid(name: str) -> Rid:
    return Rid(bytes.fromhex(next(p["rid"] for p in pack.persons()["persons"] if p["name"] == name)))


@pytest.mark.parametrize("text", ACCEPTED)
def test_curp_of_the_reference_is_accepted(text: str) -> None:
    assert parse_curp(text, TODAY).value == text


@pytest.mark.parametrize("text", REFUSED)
def test_wrong_curp_is_refused_with_its_code(text: str) -> None:
    with pytest.raises(DomainError) as caught:
        parse_curp(text, TODAY)
    assert caught.value.code == REFUSED[text]


@pytest.mark.parametrize("first17", RIGHT_DIGIT)
def test_check_digit_is_the_one_of_the_reference(first17: str) -> None:
    assert check_digit(first17) == RIGHT_DIGIT[first17]


def test_curp_is_normalised_before_it_is_checked() -> None:
    assert parse_curp(" sabc-560626 mdflrn01", TODAY).value == "SABC560626MDFLRN01"


def test_curp_born_tomorrow_is_refused() -> None:
    first = "MODA010709XJCDMRZ"
    with pytest.raises(DomainError, match="SS-103"):
        parse_curp(f"{first}{check_digit(first)}", date(2001, 7, 8))


def test_inconvenient_word_is_a_warning_only() -> None:
    first = "CACA850101HDFRRL0"
    assert parse_curp(f"{first}{check_digit(first)}", TODAY).warning is not None


def test_curp_never_shows_in_a_representation_or_an_error() -> None:
    assert "EEPA" not in repr(parse_curp("EEPA780514MMCJRN95", TODAY))
    with pytest.raises(DomainError) as caught:
        parse_curp("EEPA780514MMCJRN94", TODAY)
    assert not find_curp(str(caught.value) + str(caught.value.to_json()))


@pytest.mark.parametrize(
    "text", ["/x?c=EEPA780514MMCJRN95", "eepa780514mmcjrn95", "780514MMCJRN", "a EEPA780514MMCJRN9 b"]
)
def test_curp_is_found_where_it_leaks(text: str) -> None:
    assert find_curp(text)


@pytest.mark.parametrize(
    "text",
    [
        "EEPA 780514 MMCJRN 95",
        "EEPA-780514-MMCJRN-95",
        "eepa 780514 mmcjrn 95",
        "E E P A 7 8 0 5 1 4 M M C J R N 9 5",
        "EEPA\u00a0780514\u00a0MMCJRN95",
        "EEPA\u200b780514\u200bMMCJRN95",
        "EEPA\u2060780514MMC\ufeffJRN95",
        "EEPA\u00ad780514MMCJRN95",
        "EEPA\u2013780514\u2014MMCJRN95",
        "EEPA\u2011780514\u2212MMCJRN95",
        "EEPA\n780514\tMMCJRN95",
        "ＥＥＰＡ７８０５１４ＭＭＣＪＲＮ９５",
        "EEPA７８０５１４MMCJRN95",
        "780514 MMC JRN",
        "EEPA\u202e780514MMCJRN95",
        "𝐄𝐄𝐏𝐀𝟕𝟖𝟎𝟓𝟏𝟒𝐌𝐌𝐂𝐉𝐑𝐍𝟗𝟓",
    ],
)
def test_curp_is_found_in_every_form_that_is_accepted(text: str) -> None:
    assert find_curp(text)
    assert find_curp(f"nota: {text}, gracias")
    assert find_curp(f"/personas?c={quote(text)}&x=1")
    assert find_curp(f"/personas?c={quote_plus(text)}")
    assert find_curp(f"/personas/{quote(quote(text))}")
    if len(normalise(text)) == 18:
        assert parse_curp(text, TODAY).value == "EEPA780514MMCJRN95"


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-02 M 12:00",
        "folio 780514 de Morelia, Michoacán",
        "a-b-c 80-01-01 H",
        "X-OSS-Folio: PORT-30-2026-00000017",
        "GET /r1/MX/GOB/15-ISSEMYM/HIST/semanas?pid=C77536HD0CYA1RRC9HFC4CF1SRC",
        "%zz%20%41",
    ],
)
def test_ordinary_texts_are_no_curp(text: str) -> None:
    assert not find_curp(text)


def test_pseudonyms_and_case_ids_are_no_curp() -> None:
    assert not find_curp("C77536HD0CYA1RRC9HFC4CF1SRC PORT-30-2026-00000017 2026-03-02T09:00:00")


@pytest.mark.parametrize("person", pack.persons()["persons"], ids=lambda p: p["name"])
def test_institute_pid_is_the_one_of_the_reference(person: dict[str, object]) -> None:
    for code, expected in person["pids"].items():  # type: ignore[attr-defined]
        made = institute_pid(KEY, "v1", Rid(bytes.fromhex(str(person["rid"]))), f"MX/GOB/{code}")
        assert parse_pid(made) == expected


@pytest.mark.parametrize("pair", PAIRS)
def test_pair_pid_is_the_one_of_the_reference(pair: tuple[str, str, str, str]) -> None:
    person, client, provider, purpose = pair
    made = pair_pid(KEY, "v1", rid(person), f"MX/GOB/{client}", f"MX/GOB/{provider}", purpose)
    assert made == PAIRS[pair]


def test_pid_with_a_wrong_check_character_is_refused() -> None:
    with pytest.raises(DomainError, match="SS-104"):
        parse_pid("C77536HD0CYA1RRC9HFC4CF1SRD")


def test_blind_index_is_the_one_of_the_reference() -> None:
    key = bytes(range(0x20, 0x40))
    assert curp_index(key, "v1", "EEPA780514MMCJRN95") == (
        "c426747732e1130a5b04f07554a685f3668e1fc4ed6049e44ec594009775aa00"
    )
    assert curp_index(key, "v1", "FIMT611102HSRCSD94") == (
        "e3ff391f06b9bcc0e95eba6cb5585e70ba6662068aad7a02ae43788d916155a4"
    )
