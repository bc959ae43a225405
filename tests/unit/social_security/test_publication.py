"""ONIESS's signed publication: taken whole or refused with the reason, never going back, used until its end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from serving.storage.database import open_database
from social_security import app, config
from social_security.__main__ import main
from social_security.domain import pack
from social_security.domain.eventchain import canonical
from social_security.domain.faults import DomainError
from social_security.domain.notices import notice_of
from social_security.domain.published import build_payload, key_id, sign_payload, verify_published
from social_security.institute.portabilityrules import calendar_of
from social_security.institute.stores.steps import STEPS
from social_security.oniess.services import OniessServices
from social_security.wire.publication import COPY_FILE, KEY_FILE, PublicationCopy, edition_in
from tests.directgateway import INSTITUTES, DirectCountry, DirectGateway

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
MEMBERS = {code: pack.members()[code].path for code in INSTITUTES}
KEY, OTHER = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()


def parts(**changed: Any) -> dict[str, Any]:
    named = {n: pack.document(f"{n}.json") for n in ("members", "calendars", "benefits")}
    notice = {"member": "15-ISSEMYM", "uri": "https://issemym.example/aviso/v4", "sha256": "ab" * 32}
    return {**named, "conventions": {"conventions": []}, "notices": {"notices": [notice]}, **changed}


def envelope(
    version: int = 1, key: Ed25519PrivateKey = KEY, days: int = 30, **changed: Any
) -> dict[str, Any]:
    payload = build_payload(version, NOW, NOW + timedelta(days=days), parts(**changed))
    return dict(json.loads(sign_payload(payload, key)))


def pem(key: Ed25519PrivateKey = KEY) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


class System:
    """A system's folder that trusts a key, and its clock."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now = folder, NOW
        (folder / KEY_FILE).write_bytes(pem())
        self.database = open_database(folder / "institute.sqlite", STEPS)

    def copy(self) -> PublicationCopy:
        """As the system has it after a start."""
        return PublicationCopy(self.folder, "15-ISSEMYM", self.database, lambda: self.now)


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    made = System(tmp_path)
    yield made
    made.database.close()


def test_a_state_s_holiday_a_member_and_a_notice_count_as_soon_as_they_are_taken(system: System) -> None:
    calendars = {
        **pack.document("calendars.json"),
        "version": "2026.3",
        "entities": {"15": {"holidays": ["03-02"]}},
    }
    newcomer = {"code": "23-ISSQROO", "class": "GOB", "name": "ISSQROO", "zone": "America/Cancun"}
    members = {"members": [*pack.document("members.json")["members"], newcomer]}
    copy = system.copy()
    before = copy.calendar("15-ISSEMYM")
    assert copy.take(envelope(calendars=calendars, members=members))
    after = copy.calendar("15-ISSEMYM")
    assert (before.is_working(date(2026, 3, 2)), after.is_working(date(2026, 3, 2))) == (True, False)
    assert after.name == "MX-15-ISSEMYM:2026.3"
    assert copy.edition().members["23-ISSQROO"].zone == "America/Cancun"
    uri, digest = notice_of(copy.edition(), "15-ISSEMYM")
    assert (uri, digest) == ("https://issemym.example/aviso/v4", "ab" * 32)
    assert system.database.query("SELECT sha256 FROM notice WHERE uri = ?", (uri,))


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (lambda: envelope(key=OTHER), "not signed with the key"),
        (lambda: envelope(3), "never goes back"),
        (lambda: envelope(4, days=31), "other content"),
        (lambda: {**envelope(5), "payload": envelope(6)["payload"]}, "not signed"),
        (lambda: {**envelope(5), "payloadType": "text/plain"}, "payloadType"),
        (lambda: {"payload": "!"}, "no signed publication"),
        (lambda: {}, "no signed publication"),
        (lambda: {**envelope(5), "signatures": []}, "not signed"),
    ],
)  # fmt: skip
def test_what_is_refused_says_why_and_changes_nothing(system: System, sent: Any, why: str) -> None:
    copy = system.copy()
    copy.take(envelope(4))
    kept = (system.folder / COPY_FILE).read_bytes()
    with pytest.raises(ValueError, match=why):
        copy.take(sent())
    assert (system.folder / COPY_FILE).read_bytes() == kept
    assert copy.current is not None
    assert copy.current.version == 4
    assert not copy.take(envelope(4)), "the same again is the same"


def test_every_flipped_byte_of_a_publication_is_refused(system: System) -> None:
    copy, whole = system.copy(), envelope()
    text = whole["payload"]
    for place in range(0, len(text), 997):
        flipped = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
        with pytest.raises(ValueError, match=r"."):
            copy.take({**whole, "payload": flipped})
    assert copy.current is None


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"members": {"members": []}}, "registry and ONIESS"),
        ({"members": {"members": [{"code": "15-X", "class": "GOB", "name": " ", "zone": "UTC"}]}}, "no class"),
        ({"members": {}}, "not of its form"),
        ({"calendars": {"members": {"99-NADIE": {}}}}, "no member"),
        ({"calendars": {"federal_holidays": ["02-30"]}}, "day is out of range"),
        ({"calendars": {"federal_recurring": [{"day": "10-01", "first": 2024, "every": 0}]}}, "number of years"),
        ({"notices": {"notices": [{"member": "15-ISSEMYM", "uri": "http://x", "sha256": "00" * 32}]}}, "https"),
        ({"conventions": {"conventions": [{"id": "C", "rules": {"rounding": "?"}}]}}, "overlap"),
        ({"benefits": {"benefits": [{"clave": "", "instituto": "x"}]}}, "benefit"),
    ],
)  # fmt: skip
def test_oniess_cannot_sign_what_no_system_could_use(changed: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        envelope(**changed)


def test_a_copy_serves_across_a_start_until_its_end_and_her_own_rights_after_it(system: System) -> None:
    system.copy().take(envelope(7, days=2))
    system.now += timedelta(days=2)
    again = system.copy()
    again.check("PUR-HIST")
    system.now += timedelta(seconds=1)
    with pytest.raises(DomainError) as refused:
        again.check("PUR-HIST")
    assert (refused.value.code, "2026-03-04T15:00:00" in refused.value.es) == ("SS-901", True)
    again.check("PUR-ARCO")
    with pytest.raises(ValueError, match="ended on"):
        again.take(envelope(8, days=1))
    with pytest.raises(ValueError, match="never goes back"):
        again.take(envelope(6, days=60))
    assert again.take(envelope(8, days=60))
    again.check("PUR-HIST")


def test_one_that_is_issued_tomorrow_waits(system: System) -> None:
    system.now -= timedelta(hours=1)
    with pytest.raises(ValueError, match="to come"):
        system.copy().take(envelope())


def test_without_a_trusted_key_a_system_goes_by_its_package(system: System) -> None:
    (system.folder / KEY_FILE).unlink()
    copy = system.copy()
    with pytest.raises(ValueError, match="no key of ONIESS"):
        copy.take(envelope())
    copy.check("PUR-HIST")


async def test_an_institute_fetches_what_oniess_publishes_and_refuses_what_is_not_oniess_s(
    tmp_path: Path, system: System
) -> None:
    (tmp_path / "country").mkdir()
    country = DirectCountry(tmp_path / "country")
    gateway = DirectGateway(pack.members()[INSTITUTES[0]].path, country)
    system_of_oniess = country.systems["00-ONIESS"].system
    assert isinstance(system_of_oniess, OniessServices)
    store = system_of_oniess.store
    copy = system.copy()
    store.publish("publicacion", json.dumps(envelope(2)).encode())
    assert await copy.refresh(gateway, "PORT")
    assert not await copy.refresh(gateway, "PORT")
    for stranger in (envelope(3, key=OTHER), envelope(1)):
        store.publish("publicacion", json.dumps(stranger).encode())
        assert not await copy.refresh(gateway, "PORT")
    assert copy.current is not None
    assert copy.current.version == 2
    country.close()


async def test_two_institutes_of_one_process_decide_each_by_its_own_edition(tmp_path: Path) -> None:
    country = DirectCountry(tmp_path)
    code, other = "15-ISSEMYM", "30-IPE"
    calendars = {**pack.document("calendars.json"), "entities": {"15": {"holidays": ["03-03"]}}}
    names = {
        "members": [
            m | ({"name": "ISSEMYM, con otro nombre"} if m["code"] == code else {})
            for m in pack.document("members.json")["members"]
        ]
    }
    (tmp_path / code / KEY_FILE).write_bytes(pem())
    country.start(code)
    one, two = country.institutes[code], country.institutes[other]
    assert one.publication.take(envelope(calendars=calendars, members=names))
    due = date(
        2026, 3, 5
    )  # three working days after Monday the 2nd, for whoever knows of no holiday on the 3rd
    assert (one.calendar.add(one.today(), 3), two.calendar.add(two.today(), 3)) == (date(2026, 3, 6), due)
    # Either counts the other's terms by what it knows itself.
    assert (
        calendar_of(one, one.member).add(one.today(), 3),
        calendar_of(two, one.member).add(two.today(), 3),
    ) == (
        date(2026, 3, 6),
        due,
    )
    assert (one.edition.named(one.member), two.edition.named(one.member)) == (
        "ISSEMYM, con otro nombre (Estado de México)",
        pack.members()[code].full_name,
    )
    # Without a convention in its edition one refuses what the other, who asks ONIESS, takes.
    for asked, refused in ((code, "SS-403"), (other, None)):
        pid = next(p["pids"][asked] for p in pack.persons()["persons"] if p["name"] == "ana")
        members = [MEMBERS[c] for c in INSTITUTES if c != asked]
        body = {
            "pid": pid,
            "convenio": "CONV-DEMO-2025-01",
            "beneficio": "JUBILACION",
            "contrapartes": members,
        }
        case = f"PORT-{asked[:2]}-2026-00000001"
        heard = await country.ask(
            f"{asked}/PORT", asked, "abrirCaso", body, "PUR-PORT", case, "ANALISTA_PORTABILIDAD"
        )
        assert heard.body.get("codigo") == refused, heard.body
    # After a start each goes by its own again.
    for again in (code, other):
        country.institutes[again].database.close()
        country.start(again)
    kept = [country.institutes[c].publication.current for c in (code, other)]
    assert [k and k.version for k in kept] == [1, None]
    country.close()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["publication", *arguments])


def test_oniess_publishes_by_command_and_shows_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("una frase de paso bien larga", encoding="utf-8")
    (tmp_path / "secret").chmod(0o600)
    data, key, secret = str(tmp_path / "oniess"), str(tmp_path / "oniess.key"), str(tmp_path / "secret")
    made = CliRunner().invoke(
        main, ["init", "--data", data, "--member", "00-ONIESS", "--secret-file", secret]
    )
    assert made.exit_code == 0, made.output
    digest = run("key", "--secret-file", secret, key).output.split()[-1]
    assert run("key", "--secret-file", secret, key).exit_code == 1, "a key is made once"
    assert run("trust", "--data", data, "--digest", "00", f"{key}.pub").exit_code == 1
    assert run("trust", "--data", data, "--digest", digest.upper(), f"{key}.pub").exit_code == 0
    assert run("show", "--data", data).exit_code == 1
    for version in (1, 2):
        done = run("publish", "--data", data, "--key", key, "--secret-file", secret, "--days", "10")
        assert done.output.startswith(("version", "versión")), done.output
        assert f" {version}," in done.output
    wrong = tmp_path / "members.json"
    wrong.write_text('{"members": []}', encoding="utf-8")
    refused = run(
        "publish", "--data", data, "--key", key, "--secret-file", secret, "--part", f"members={wrong}"
    )
    assert (refused.exit_code, "ONIESS" in refused.output) == (1, True)
    shown = run("show", "--data", data).output
    assert f"members      {len(pack.members())}" in shown
    assert " 2," in shown


def test_a_member_that_only_the_publication_knows_is_made_from_its_file(tmp_path: Path) -> None:
    secret, key, out = tmp_path / "secret", tmp_path / "oniess.key", tmp_path / "publication.json"
    secret.write_text("una frase de paso bien larga", encoding="utf-8")
    secret.chmod(0o600)

    def command(*arguments: object, code: int = 0) -> str:
        done = CliRunner().invoke(main, [str(a) for a in arguments])
        assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
        assert done.exit_code == code, done.output
        return done.output

    for member in ("00-ONIESS", "00-RNSS"):
        command("init", "--data", tmp_path / member, "--member", member, "--secret-file", secret)
    oniess = tmp_path / "00-ONIESS"
    digest = command("publication", "key", "--secret-file", secret, key).split()[-1]
    command("publication", "trust", "--data", oniess, "--digest", digest, f"{key}.pub")
    newcomer = {"code": "23-ISSQROO", "class": "GOB", "name": "ISSQROO", "zone": "America/Cancun"}
    members = tmp_path / "members.json"
    members.write_bytes(canonical({"members": [*pack.document("members.json")["members"], newcomer]}))
    command("publication", "publish", "--data", oniess, "--key", key, "--secret-file", secret,
            "--part", f"members={members}")  # fmt: skip
    command("publication", "show", "--data", oniess, "--out", out)
    command("publication", "show", "--data", oniess, "--out", out, code=1)
    new = tmp_path / "new"
    common = ("init", "--data", new, "--member", "23-ISSQROO", "--secret-file", secret,
              "--registry-key", tmp_path / "00-RNSS" / "public-key.json")  # fmt: skip
    altered = tmp_path / "altered.json"
    altered.write_bytes(out.read_bytes().replace(b'"sig":"', b'"sig":"AA', 1))
    refused = command(*common, code=1)
    assert "--publication" in refused, refused
    command(*common, "--publication", out, f"{key}.pub", "00" * 32, code=1)
    command(*common, "--publication", altered, f"{key}.pub", digest, code=1)
    assert not new.exists()
    command(*common, "--publication", out, f"{key}.pub", digest)
    app.build(new, config.load(new / "settings.toml", {}))
    assert edition_in(new).members["23-ISSQROO"].zone == "America/Cancun"
    assert "23-ISSQROO" in (new / "gateway.toml").read_text(encoding="utf-8")


def test_the_key_s_digest_is_of_the_key_and_an_envelope_names_it() -> None:
    assert envelope()["signatures"][0]["keyid"] == key_id(KEY.public_key())
    assert verify_published(envelope(9), KEY.public_key()).version == 9
