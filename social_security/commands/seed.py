"""The fixture: synthetic persons, enrolled at the registry and known at their institutes, for exercises and tests.

Everything is a reserved value of the domain reference; no real person is in it. RIDs and the registry's key are fixed so
that pseudonyms repeat. Seeding a folder that is seeded changes nothing.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from schemas.jsontext import dump_json
from social_security.domain import pack
from social_security.domain.curp import parse_curp
from social_security.domain.edition import package_edition
from social_security.domain.notices import all_notices
from social_security.domain.pseudonyms import Pid, Rid
from social_security.institute.announcing import mark_announced
from social_security.institute.stores.periods import Certified, PeriodStore
from social_security.institute.stores.persons import Affiliation, PersonStore
from social_security.institute.stores.retirees import RetireeStore
from social_security.institute.stores.rights import RightsStore
from social_security.institute.stores.steps import STEPS
from social_security.keys import (
    InstituteKeys,
    RegistryKeys,
    load_registry_keys,
    new_registry_keys,
    save_institute_keys,
    save_registry_keys,
)
from social_security.oniess.store import OniessStore
from social_security.oniess.tables import STEPS as ONIESS_STEPS
from social_security.registry.store import RegistryStore
from social_security.registry.tables import STEPS as REGISTRY_STEPS
from social_security.wire import tokens
from social_security.wire.books import open_books
from social_security.wire.privacynotices import add_notices

if TYPE_CHECKING:
    from pathlib import Path

ENROLLED = date(2026, 1, 5)
CERTIFIED = datetime(2026, 1, 5, 18, tzinfo=UTC)


def seed_registry(folder: Path, secret: str) -> RegistryKeys:
    """Make the registry's keys and persons; the keys, also when they were there."""
    keys_file = folder / "keys.json"
    if keys_file.exists():
        return load_registry_keys(keys_file, secret)
    fixture = pack.persons()
    keys = new_registry_keys(
        pid=bytes.fromhex(fixture["registry_key"]), index=bytes.fromhex(fixture["index_key"])
    )
    store = RegistryStore(open_books(folder, "registry", REGISTRY_STEPS), keys)
    level = pack.document("fixture.json")["level"]
    for person in fixture["persons"]:
        rid = Rid(bytes.fromhex(person["rid"]))
        store.enrol(parse_curp(person.get("former_curp", person["curp"]), ENROLLED), level, ENROLLED, rid=rid)
    for entry in pack.document("fixture.json")["periods"]:
        member = pack.members()[entry["member"]].path
        store.link(rid_of(entry["person"]), member, ENROLLED, has_history=True)
    add_notices(store.database, all_notices(package_edition()))
    store.close()
    save_registry_keys(keys_file, keys, secret)
    return keys


def seed_institute(folder: Path, code: str, registry_folder: Path, secret: str) -> None:
    """Make an institute's key, tell the registry its public part, and enter its persons of the fixture."""
    keys_file = folder / "keys.json"
    if keys_file.exists():
        return
    registry_keys = load_registry_keys(registry_folder / "keys.json", secret)
    member = pack.members()[code].path
    own = tokens.new_key()
    registry = RegistryStore(open_books(registry_folder, "registry", REGISTRY_STEPS), registry_keys)
    registry.add_recipient(member, dump_json(tokens.public_key(own)))
    database = open_books(folder, "institute", STEPS)
    persons = PersonStore(database)
    add_notices(database, all_notices(package_edition()))
    document = pack.document("fixture.json")
    for entry in document["affiliations"]:
        if entry["member"] != code:
            continue
        pid = registry.link(rid_of(entry["person"]), member, ENROLLED)
        persons.save_affiliation(_affiliation(pid, entry, document["level"]))
    periods = PeriodStore(database)
    for number, entry in enumerate((e for e in document["periods"] if e["member"] == code), 1):
        pid = registry.link(rid_of(entry["person"]), member, ENROLLED)
        periods.add(_period(pid, code, number, entry))
    rights = RightsStore(database)
    for entry in document["contacts"]:
        if entry["member"] == code:
            rights.set_contact(registry.link(rid_of(entry["person"]), member, ENROLLED), entry["email"])
    retirees = RetireeStore(database)
    for entry in document["retirees"]:
        if entry["member"] == code:
            pid = registry.link(rid_of(entry["person"]), member, ENROLLED)
            retirees.set(pid, entry["name"], entry["monthly_cents"])
    mark_announced(database)
    database.close()
    registry.close()
    save_institute_keys(keys_file, InstituteKeys(own, tokens.public_key(registry_keys.signing)), secret)


def seed_oniess(folder: Path) -> None:
    """Register the notices and the fixture's convention at ONIESS."""
    database = open_books(folder, "oniess", ONIESS_STEPS)
    store = OniessStore(database)
    if store.conventions():
        database.close()
        return
    add_notices(database, all_notices(package_edition()))
    store.add_members([pack.members()[c].path for c in pack.document("fixture.json")["founding"]])
    for convention in pack.document("fixture.json")["conventions"]:
        store.register_convention(convention)
    database.close()


def rid_of(name: str) -> Rid:
    """The fixed RID of a synthetic person."""
    return Rid(bytes.fromhex(next(p["rid"] for p in pack.persons()["persons"] if p["name"] == name)))


def _affiliation(pid: Pid, entry: dict[str, str | None], level: int) -> Affiliation:
    until = entry["until"]
    return Affiliation(
        pid,
        entry["file_number"] or "",
        entry["regime"] or "",
        entry["state"] or "",
        date.fromisoformat(entry["since"] or ""),
        None if until is None else date.fromisoformat(until),
        level,
    )


def _period(pid: Pid, code: str, number: int, entry: dict[str, Any]) -> Certified:
    until = entry["until"]
    return Certified(
        f"{code}:P-{number:06d}",
        1,
        pid,
        date.fromisoformat(entry["since"]),
        None if until is None else date.fromisoformat(until),
        "11",
        0,
        0,
        entry["employer"],
        entry["monthly_cents"],
        "CERTIFICADO",
        CERTIFIED,
    )
