"""What a candidate proves: a preflight report in its own name, a suite that its services pass; and what a breach brings."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gateway.health.preflight import Check, render_report
from serving.storage.database import Database
from serving.storage.selfsigned import self_signed
from social_security.commands.conformance import TESTS, run_suite
from social_security.domain.faults import DomainError
from social_security.institute.breach import BreachStore, parse_breach
from social_security.institute.stores.steps import STEPS
from social_security.oniess.preflightreport import check_preflight
from social_security.wire.outbox import Outbox, OutboxItem
from social_security.wire.platform import FolderPlatform, record_digest
from tests.social import small_country

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 4, 13, 16, tzinfo=UTC)
MEMBER = "MX/GOB/14-IPEJAL"
AUTHORITY_KEY, (AUTHORITY,) = self_signed("ca.example")
OTHER_KEY, (OTHER,) = self_signed("other.example")
PASSED = (Check("cpu", "at least 2 cores", "4 cores", True),)


def report(
    *, code: str = "14-IPEJAL", server: str = f"{MEMBER}/SS1", checks: Any = PASSED, at: datetime = NOW
) -> dict[str, Any]:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, code)]))
        .issuer_name(AUTHORITY.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=365))
        .sign(AUTHORITY_KEY, hashes.SHA256())
    )
    raw = render_report(server, at, checks)
    der = certificate.public_bytes(serialization.Encoding.DER)
    entry = {
        "certificate": base64.b64encode(der).decode(),
        "algorithm": "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha512",
        "value": base64.b64encode(key.sign(raw, ec.ECDSA(hashes.SHA512()))).decode(),
    }
    return {"document": base64.b64encode(raw).decode(), "signatures": [entry]}


def forged() -> dict[str, Any]:
    made = report()
    raw = base64.b64decode(made["document"]).replace(b"4 cores", b"8 cores")
    return made | {"document": base64.b64encode(raw).decode()}


def test_report_signed_by_the_member_about_its_own_server_is_taken() -> None:
    check_preflight(report(), MEMBER, [AUTHORITY], NOW)


@pytest.mark.parametrize(
    ("signed", "said"),
    [
        (forged(), "signature does not hold"),
        (report(code="15-ISSEMYM"), "not of 14-IPEJAL"),
        (report(server="MX/GOB/15-ISSEMYM/SS1"), "another server"),
        (report(at=NOW - timedelta(days=31)), "older than 30 days"),
        (report(checks=(Check("cpu", "at least 2 cores", "1 cores", False),)), "not met: cpu"),
        (report(checks=()), "not met"),
        ({"document": "x"}, "not understood"),
    ],
)
def test_report_that_does_not_prove_it_is_refused(signed: dict[str, Any], said: str) -> None:
    with pytest.raises(DomainError, match=said) as refused:
        check_preflight(signed, MEMBER, [AUTHORITY], NOW)
    assert refused.value.code == "SS-602"


def test_report_under_another_authority_is_refused() -> None:
    with pytest.raises(DomainError, match="by a trusted authority"):
        check_preflight(report(), MEMBER, [OTHER], NOW)


async def test_conformance_suite_passes_against_a_members_services(tmp_path: Path) -> None:
    async with small_country(tmp_path) as country:
        outcomes = await run_suite(country.roads["15-ISSEMYM"], "1.0.0")
        assert outcomes == {t.id: True for t in TESTS}
        # Under another policy version whatever comes after that check must fail: the suite does not pass by itself.
        assert not all((await run_suite(country.roads["15-ISSEMYM"], "2.0.0")).values())


def test_breach_is_recorded_with_a_notice_to_the_authority_and_to_everybody(tmp_path: Path) -> None:
    database = Database(tmp_path / "institute.sqlite", STEPS)
    database.query("INSERT INTO affiliation VALUES ('P1', 'E', 'R', 'BAJA', '2000-01-01', NULL, 2)")
    told = {
        name: f"{name}."
        for name in ("motivo", "naturaleza", "datos", "recomendaciones", "medidas", "contacto")
    }
    with pytest.raises(ValueError, match="lacks fecha"):
        parse_breach(told)
    store = BreachStore(database)
    number = store.add(parse_breach(told | {"fecha": "2026-05-12"}), "MX/GAR/15-GARANTE", NOW)
    notices = store.notices(number)
    assert [addressee for addressee, _ in notices] == ["MX/GAR/15-GARANTE", "P1"]
    for part in ("naturaleza.", "datos.", "recomendaciones.", "medidas.", "contacto."):
        assert part in notices[1][1]
    store.sent(number, NOW)
    assert store.notices(number) == []
    database.close()


async def test_record_for_the_platform_waits_in_a_folder_for_its_acknowledgement(tmp_path: Path) -> None:
    record = {"folio": "ARCO-15-2026-00000001", "numero": 1, "miembro": "MX/GOB/15-ISSEMYM"}
    platform, name = FolderPlatform(tmp_path), "ARCO-15-2026-00000001-15-ISSEMYM-1.json"
    assert await platform.hand_over(record) is False
    assert json.loads((tmp_path / "salida" / name).read_bytes()) == record
    answer = tmp_path / "acuses" / name
    answer.write_text(json.dumps({"acuse": "PNT-1", "sha256": "0" * 64}))
    assert await platform.hand_over(record) is False
    answer.write_text(json.dumps({"acuse": "PNT-1", "sha256": record_digest(record)}))
    assert await platform.hand_over(record) is True


async def test_notice_is_sent_until_it_is_acknowledged_and_once_only(tmp_path: Path) -> None:
    database, answers = Database(tmp_path / "o.sqlite", STEPS), [False, True]

    async def deliver(_notice: OutboxItem) -> bool:
        return answers.pop(0)

    outbox = Outbox(database, deliver, lambda: NOW)
    with database.transaction() as connection:
        for _ in range(2):
            Outbox.put(connection, [OutboxItem("n-1", "m", "o", {}, "c")])
    await outbox.send()
    assert [n.attempts for n in outbox.waiting()] == [1]
    await outbox.send()
    await outbox.send()
    assert outbox.waiting() == []
    assert answers == []
    database.close()
