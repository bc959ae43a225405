"""What exchanges rest on, and until when: the first to end first, whether or not anything is wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.health.diagnosing import as_json
from gateway.health.diagnosis import CertificateFacts, DiagnosisFacts, OcspFacts, diagnose
from schemas.faults import Fault, Kind
from schemas.globalconf.directory import DirectorySignature, find_certificate
from serving.process.failing import FailureReason, reason_of

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def certificate(purpose: str, lasts: timedelta, good: timedelta | None = HOUR) -> CertificateFacts:
    ocsp = (
        ()
        if good is None
        else (OcspFacts("CN=x", good_until=NOW + good), OcspFacts("CN=ca", good_until=NOW + DAY))
    )
    return CertificateFacts(purpose, f"CN={purpose}", "CN=CA", "1", NOW - DAY, NOW + lasts, ocsp=ocsp)


def facts(*certificates: CertificateFacts, **more: object) -> DiagnosisFacts:
    known = {"configuration_expires_at": NOW + timedelta(minutes=10), "timestamps_acceptable": 4 * HOUR}
    return DiagnosisFacts(("TLS", "MX/GOB/1"), certificates, **{**known, **more})  # type: ignore[arg-type]


def test_nothing_wrong_still_says_when_each_thing_ends_the_first_first() -> None:
    found = diagnose(facts(certificate("TLS", 90 * DAY), certificate("MX/GOB/1", 60 * DAY, 2 * HOUR)), NOW)
    assert (found.findings, found.stops_at) == ((), None)
    assert [(e.kind, e.subject, e.until - NOW, e.is_renewed) for e in found.ends] == [
        ("configuration", "", timedelta(minutes=10), True),
        ("ocsp", "TLS", HOUR, True),
        ("ocsp", "MX/GOB/1", 2 * HOUR, True),
        ("timestamping", "", 4 * HOUR, True),
        ("certificate", "MX/GOB/1", 60 * DAY, False),
        ("certificate", "TLS", 90 * DAY, False),
    ]
    shown = as_json(found)["ends"][0]
    assert shown["es"]["what"] == "La configuración global"
    assert shown["en"]["do"].startswith("Nothing: it is downloaded again")


def test_of_two_certificates_for_one_purpose_the_longer_counts_and_a_dead_one_not() -> None:
    found = diagnose(
        facts(certificate("TLS", 5 * DAY), certificate("TLS", 50 * DAY), certificate("TLS", 99 * DAY, -HOUR)),
        NOW,
    )
    assert [e.until - NOW for e in found.ends if e.kind == "certificate"] == [50 * DAY]


def test_what_has_ended_or_fails_is_a_finding_and_no_end_to_come() -> None:
    found = diagnose(
        facts(
            configuration_expires_at=NOW,
            timestamps_failing_since=NOW - 3 * HOUR,
            timestamps_failure=FailureReason("silent", ("timed_out",)),
        ),
        NOW,
    )
    assert [(e.kind, e.until - NOW) for e in found.ends] == [("timestamping", HOUR)]
    assert {f.code for f in found.findings} >= {"configuration-expired", "timestamps-failing"}


@pytest.mark.parametrize(("left", "severity"), [(HOUR, "will-stop"), (-HOUR, "stopped"), (None, "stopped")])
def test_a_configuration_signed_by_a_key_nobody_knows_asks_for_the_new_anchor_and_is_said_once(
    left: timedelta | None, severity: str
) -> None:
    with pytest.raises(Fault) as found:
        find_certificate(
            DirectorySignature("a", "http://www.w3.org/2001/04/xmlenc#sha512", b"x", b"y"), [b"c"]
        )
    several = Fault(Kind.GLOBAL_CONF_DOWNLOAD_FAILED, "it could not be had")
    several.__cause__ = ExceptionGroup("no source gave it", [ConnectionRefusedError(111, "no"), found.value])
    reason = reason_of(several)
    expires = None if left is None else NOW + left
    told = diagnose(
        facts(
            configuration_expires_at=expires,
            configuration_failure=reason,
            loops=(("configuration", reason, True),),
        ),
        NOW,
    )
    ours = [f for f in told.findings if "configuration" in (f.code.partition("-")[0], f.subject)]
    assert [(f.code, f.severity, f.stops_at) for f in ours] == [
        ("configuration-of-unknown-key", severity, expires if left == HOUR else NOW)
    ]
    assert "gateway globalconf replace-anchor" in ours[0].texts[1].into("en")
    assert "red" not in ours[0].texts[1].into("es").split()
