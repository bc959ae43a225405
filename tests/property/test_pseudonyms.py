"""Properties of CURP and pseudonyms over random persons."""

from __future__ import annotations

from datetime import date

from hypothesis import given, settings
from hypothesis import strategies as st

from social_security.domain.curp import ALPHABET, STATES, check_digit, find_curp, parse_curp
from social_security.domain.faults import DomainError
from social_security.domain.pseudonyms import LENGTH, Rid, institute_pid, pair_pid, parse_pid

TODAY = date(2026, 3, 2)
CONSONANTS = "BCDFGHJKLMNPQRSTVWXYZ"
rids = st.binary(min_size=16, max_size=16).map(Rid)
keys = st.binary(min_size=32, max_size=32)


@st.composite
def curps(draw: st.DrawFn) -> str:
    born = draw(st.dates(date(1900, 1, 1), date(2026, 3, 1)))
    letters = st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    mark = draw(st.sampled_from("0123456789" if born.year < 2000 else "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    first = "".join(
        (
            draw(letters),
            draw(st.sampled_from("AEIOUX")),
            draw(letters),
            draw(letters),
            f"{born:%y%m%d}",
            draw(st.sampled_from("HMX")),
            draw(st.sampled_from(STATES)),
            *(draw(st.sampled_from(CONSONANTS)) for _ in range(3)),
            mark,
        )
    )
    return f"{first}{check_digit(first)}"


def accepted(text: str) -> bool:
    try:
        parse_curp(text, TODAY)
    except DomainError:
        return False
    return True


@given(curps())
def test_every_well_made_curp_is_accepted_and_found(text: str) -> None:
    parsed = parse_curp(text, TODAY)
    assert sum(ALPHABET.index(c) * (18 - i) for i, c in enumerate(text)) % 10 == 0
    assert f"{parsed.born:%y%m%d}" == text[4:10]
    assert find_curp(f"x{text}y")


@given(curps(), st.integers(0, 9))
def test_another_check_digit_is_never_accepted(text: str, digit: int) -> None:
    assert accepted(f"{text[:17]}{digit}") == (digit == int(text[17]))


@given(st.text(max_size=24))
def test_any_text_is_a_curp_or_a_domain_error(text: str) -> None:
    accepted(text)


@given(keys, rids, st.sampled_from(["MX/GOB/15-ISSEMYM", "MX/GOB/30-IPE"]))
def test_every_pid_is_well_formed_and_carries_nothing_of_the_rid(key: bytes, rid: Rid, member: str) -> None:
    pid = institute_pid(key, "v1", rid, member)
    assert len(pid) == LENGTH
    assert parse_pid(pid) == pid
    assert rid.hex().upper() not in pid


@given(keys, rids, st.integers(0, LENGTH - 1), st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"))
def test_one_changed_character_is_never_accepted(key: bytes, rid: Rid, place: int, character: str) -> None:
    pid = institute_pid(key, "v1", rid, "MX/GOB/15-ISSEMYM")
    changed = pid[:place] + character + pid[place + 1 :]
    if changed == pid:
        return
    try:
        parse_pid(changed)
    except DomainError:
        return
    raise AssertionError("a changed pseudonym was accepted")


@given(keys, rids, rids)
@settings(max_examples=50)
def test_direction_purpose_and_person_each_change_the_pair_pid(key: bytes, one: Rid, other: Rid) -> None:
    a, b = "MX/GOB/15-ISSEMYM", "MX/GOB/26-ISSSTESON"
    made = {
        pair_pid(key, "v1", one, a, b, "PUR-PORT"),
        pair_pid(key, "v1", one, b, a, "PUR-PORT"),
        pair_pid(key, "v1", one, a, b, "PUR-ARCO"),
        pair_pid(key, "v2", one, a, b, "PUR-PORT"),
    }
    assert len(made) == 4
    if one != other:
        assert pair_pid(key, "v1", other, a, b, "PUR-PORT") not in made


def test_ten_thousand_persons_at_four_institutes_share_no_pid_and_no_prefix_beyond_chance() -> None:
    key = bytes(range(32))
    members = ("MX/GOB/15-ISSEMYM", "MX/GOB/26-ISSSTESON", "MX/GOB/30-IPE", "MX/GOB/14-IPEJAL")
    people = [Rid(n.to_bytes(16, "big")) for n in range(10_000)]
    made = [[institute_pid(key, "v1", rid, m) for m in members] for rid in people]
    assert len({pid for row in made for pid in row}) == 40_000
    # 60,000 pairs share four characters (20 bits) 0.06 times by chance; more than three would be a link.
    shared = sum(a[:4] == b[:4] for row in made for i, a in enumerate(row) for b in row[i + 1 :])
    assert shared <= 3
