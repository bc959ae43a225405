"""Two records made one and two again: nothing is lost, everybody concerned is told, and the decision is signed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from social_security.domain import pack
from social_security.domain.curp import parse_curp
from social_security.domain.pseudonyms import Rid
from social_security.registry.cases import CaseEntry, find_case, register_case
from social_security.registry.merging import verify_decision
from tests.registrybooks import IPE, ISSEMYM, SONORA, TODAY, Books

CURPS = {p["name"]: p["curp"] for p in pack.persons()["persons"]}


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    made = Books(tmp_path)
    yield made
    made.store.close()


def two(books: Books) -> tuple[Rid, Rid]:
    stays = books.person(CURPS["ana"], ISSEMYM, level=1)
    return stays, books.person(CURPS["maria-ines"], IPE, SONORA, level=3)


def level(books: Books, rid: Rid) -> int:
    ((found,),) = books.store.database.query("SELECT level FROM person WHERE rid = ?", (rid,))
    return int(found)


def test_every_institute_keeps_its_pid_and_finds_her_by_it(books: Books) -> None:
    stays, goes = two(books)
    pids = {m: books.pid(r, m) for r, m in ((stays, ISSEMYM), (goes, IPE), (goes, SONORA))}
    books.store.merge(stays, goes, "of-1", "00", books.now)
    for member, pid in pids.items():
        found = books.store.find_by_pid(member, pid)
        assert found is not None
        assert found.rid == stays
        assert books.pid(stays, member) == pid
    for name in ("ana", "maria-ines"):
        found = books.store.find_by_curp(parse_curp(CURPS[name], TODAY))
        assert found is not None
        assert (found.rid, found.level) == (stays, 3)
    assert books.store.linked(stays) == [ISSEMYM, SONORA, IPE]
    assert [n for n in books.notices() if n[2] == "FUSION"] == [
        (m, pids[m], "FUSION") for m in (ISSEMYM, SONORA, IPE)
    ]


def test_a_death_reported_after_the_merge_reaches_whoever_knew_the_absorbed_record(books: Books) -> None:
    stays, goes = two(books)
    kept = books.pid(goes, IPE)
    books.store.merge(stays, goes, "of-1", "00", books.now)
    books.report(ISSEMYM, books.pid(stays, ISSEMYM), "FALLECIMIENTO")
    books.deliver()
    assert books.is_dead_at(IPE, kept)


def test_a_death_of_either_record_is_a_death_of_the_merged_one_and_goes_back_with_it(books: Books) -> None:
    stays, goes = two(books)
    books.report(IPE, books.pid(goes, IPE), "FALLECIMIENTO")
    number = books.store.merge(stays, goes, "of-1", "00", books.now)
    books.deliver()
    assert books.state(stays) == "FALLECIDA"
    assert books.is_dead_at(ISSEMYM, books.pid(stays, ISSEMYM))
    books.store.unmerge(number, "of-2", "11", books.now)
    books.deliver()
    assert (books.state(stays), books.state(goes)) == ("VIVA", "FALLECIDA")
    assert not books.is_dead_at(ISSEMYM, books.pid(stays, ISSEMYM))
    assert books.is_dead_at(IPE, books.pid(goes, IPE))


def test_deaths_of_two_days_open_a_case_when_records_become_one(books: Books) -> None:
    stays, goes = two(books)
    books.report(IPE, books.pid(goes, IPE), "FALLECIMIENTO", "2026-02-20")
    books.report(ISSEMYM, books.pid(stays, ISSEMYM), "FALLECIMIENTO", "2026-02-21")
    books.store.merge(stays, goes, "of-1", "00", books.now)
    assert len(books.store.open_cases()) == 1
    books.deliver()
    assert books.is_dead_at(IPE, books.pid(stays, IPE))


def test_unmerging_gives_back_curps_links_events_cases_and_levels(books: Books) -> None:
    stays, goes = two(books)
    register_case(
        books.store.database,
        CaseEntry("EXT-30-2026-00000001", IPE, goes, "VEJEZ", "ABIERTO"),
        books.now,
        None,
    )
    number = books.store.merge(stays, goes, "of-1", "00", books.now)
    case = find_case(books.store.database, "EXT-30-2026-00000001")
    assert case is not None
    assert (case.rid, level(books, stays)) == (stays, 3)
    later = CaseEntry("EXT-26-2026-00000001", SONORA, stays, "INVALIDEZ", "ABIERTO")
    register_case(books.store.database, later, books.now, None)
    books.report(SONORA, books.pid(stays, SONORA), "FALLECIMIENTO")
    books.store.unmerge(number, "of-2", "11", books.now)
    for folio in ("EXT-30-2026-00000001", "EXT-26-2026-00000001"):
        case = find_case(books.store.database, folio)
        assert case is not None
        assert case.rid == goes
    assert (level(books, stays), level(books, goes)) == (1, 3)
    assert (books.store.linked(stays), books.store.linked(goes)) == ([ISSEMYM], [SONORA, IPE])
    assert (books.state(stays), books.state(goes)) == ("VIVA", "FALLECIDA")
    for name, rid in (("ana", stays), ("maria-ines", goes)):
        found = books.store.find_by_curp(parse_curp(CURPS[name], TODAY))
        assert found is not None
        assert found.rid == rid
    assert {n[0] for n in books.notices() if n[2] == "SEPARACION"} == {ISSEMYM, SONORA, IPE}
    with pytest.raises(ValueError, match="no merge"):
        books.store.unmerge(number, "of-2", "11", books.now)


def test_an_institute_that_knew_both_records_is_told_once_for_each_pid(books: Books) -> None:
    stays, goes = books.person(CURPS["ana"], IPE), books.person(CURPS["maria-ines"], IPE)
    pids = {books.pid(stays, IPE), books.pid(goes, IPE)}
    books.store.merge(stays, goes, "of-1", "00", books.now)
    event = books.report(IPE, books.pid(stays, IPE), "FALLECIMIENTO")
    books.deliver()
    assert all(books.is_dead_at(IPE, pid) for pid in pids)
    books.report(IPE, books.pid(stays, IPE), "ANULACION", anula=event["idEvento"])
    books.deliver()
    assert not any(books.is_dead_at(IPE, pid) for pid in pids)


def test_only_the_two_records_under_review_may_be_merged(books: Books) -> None:
    stays, goes = two(books)
    third = books.person(CURPS["ofelia"])
    books.store.note_review(stays, third)
    assert not books.store.are_under_review(stays, goes)
    assert books.store.are_under_review(third, stays)
    books.store.note_review(goes, third)
    books.store.merge(stays, goes, "of-1", "00", books.now)
    assert books.store.is_under_review(stays)
    with pytest.raises(ValueError, match="one record"):
        books.store.merge(stays, stays, "of-1", "00", books.now)


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa"])
def test_a_decision_is_the_officers_signature_over_these_very_records(books: Books, kind: str) -> None:
    stays, goes = two(books)
    signed = books.store.decision("FUSION", "of-1", stays, goes)
    if kind == "ed25519":
        one = ed25519.Ed25519PrivateKey.generate()
        signature, public = one.sign(signed), one.public_key()
    else:
        other = ec.generate_private_key(ec.SECP256R1())
        signature, public = other.sign(signed, ec.ECDSA(SHA256())), other.public_key()  # type: ignore[assignment]
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    books.store.add_officer("of-1", pem)
    verify_decision(pem, signature.hex(), signed)
    for wrong in (
        books.store.decision("SEPARACION", "of-1", stays, goes),
        books.store.decision("FUSION", "of-2", stays, goes),
        books.store.decision("FUSION", "of-1", goes, stays),
    ):
        with pytest.raises(ValueError, match="not the officer's"):
            verify_decision(pem, signature.hex(), wrong)
    for text in ("00", "ab" * 32, "", "x"):
        with pytest.raises(ValueError, match="not the officer's"):
            verify_decision(pem, text, signed)
    assert not any(CURPS[n].encode() in signed for n in CURPS)


def test_a_key_that_is_none_is_refused(books: Books) -> None:
    with pytest.raises(ValueError, match=r"."):
        books.store.add_officer("of-1", "no key")


def test_records_merged_and_parted_again_and_again_in_one_instant_tell_each_time(books: Books) -> None:
    stays, goes = two(books)
    books.report(IPE, books.pid(goes, IPE), "FALLECIMIENTO")
    for _ in range(4):
        number = books.store.merge(stays, goes, "of-1", "00", books.now)
        books.deliver()
        assert books.is_dead_at(ISSEMYM, books.pid(stays, ISSEMYM))
        books.store.unmerge(number, "of-2", "11", books.now)
        books.deliver()
        assert not books.is_dead_at(ISSEMYM, books.pid(stays, ISSEMYM))


def three(books: Books) -> tuple[Rid, Rid, Rid]:
    """Three records of one person: the first holds what the second did, the third what both did."""
    one = books.person(CURPS["ana"], ISSEMYM, level=1)
    two_ = books.person(CURPS["maria-ines"], IPE, level=3)
    return one, two_, books.person(CURPS["jose-teodoro"], SONORA, level=2)


def test_a_record_that_is_part_of_another_is_neither_merged_again_nor_separated_from_below(
    books: Books,
) -> None:
    one, two_, third = three(books)
    first = books.store.merge(one, two_, "of-1", "00", books.now)
    second = books.store.merge(third, one, "of-1", "00", books.now)
    for pair in ((two_, third), (third, two_), (one, third)):
        with pytest.raises(ValueError, match="undo that one first"):
            books.store.merge(*pair, "of-1", "00", books.now)
    with pytest.raises(ValueError, match=f"merge {second}"):
        books.store.unmerge(first, "of-1", "00", books.now)
    books.store.unmerge(second, "of-1", "00", books.now)
    books.store.unmerge(first, "of-1", "00", books.now)
    assert [books.store.linked(r) for r in (one, two_, third)] == [[ISSEMYM], [IPE], [SONORA]]
    assert [level(books, r) for r in (one, two_, third)] == [1, 3, 2]


def test_levels_are_given_back_in_whatever_order_merges_into_one_record_are_undone(books: Books) -> None:
    one, two_, third = three(books)
    numbers = [books.store.merge(one, r, "of-1", "00", books.now) for r in (two_, third)]
    books.store.unmerge(numbers[0], "of-1", "00", books.now)
    assert [level(books, r) for r in (one, two_)] == [2, 3]
    books.store.unmerge(numbers[1], "of-1", "00", books.now)
    assert [level(books, r) for r in (one, third)] == [1, 2]


def test_a_third_record_under_review_with_an_absorbed_one_is_found_again_once_it_is_decided(
    books: Books,
) -> None:
    one, two_, third = three(books)
    books.store.note_review(two_, third)
    number = books.store.merge(one, two_, "of-1", "00", books.now)
    assert books.store.are_under_review(one, third)
    books.store.distinct(one, third, "of-1", "00")
    assert [books.store.is_under_review(r) for r in (one, third)] == [False, False]
    books.store.unmerge(number, "of-1", "00", books.now)
    assert books.store.are_under_review(third, two_)


def test_homonyms_that_are_two_persons_are_found_again_and_may_be_asked_about_anew(books: Books) -> None:
    one, two_, _ = three(books)
    books.store.note_review(one, two_)
    with pytest.raises(ValueError, match="not under review"):
        books.store.distinct(one, one, "of-1", "00")
    books.store.distinct(two_, one, "of-1", "00")
    assert not books.store.is_under_review(one)
    books.store.note_review(two_, one)
    assert books.store.are_under_review(one, two_)


def test_a_record_without_curp_does_not_stay_when_the_other_has_one(books: Books) -> None:
    without = books.store.enrol(None, 1, TODAY)
    with_one = books.person(CURPS["ana"], ISSEMYM)
    with pytest.raises(ValueError, match="the other way round"):
        books.store.merge(without, with_one, "of-1", "00", books.now)
    books.store.merge(with_one, without, "of-1", "00", books.now)
