"""What is wrong with keys, certificates, OCSP, timestamps and clocks; when traffic will stop, and what to do. Pure.

`DiagnosisFacts` are gathered elsewhere; `diagnose` reads them at a moment. Every finding names what it is about with the exact
times, says when exchanges stop because of it (at once, at a moment, or not by itself) and what to do, in Spanish and in
English. While OCSP responses are renewed as they should, their end is no finding: it moves on with every renewal.

A purpose (TLS, or signing for one member) works as long as any of its active certificates does, so it stops with the last.
"""

from __future__ import annotations

import enum
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from gateway.health.diagnosistexts import finding_texts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from serving.language import Text

WARN_BEFORE = timedelta(days=30)
CLOCK_WARN_S = 5.0
CLOCK_STOP_S = 60.0


class Severity(enum.StrEnum):
    """The severity of a finding: traffic stopped, will stop, or nothing of the kind."""

    STOPPED = "stopped"
    WILL_STOP = "will-stop"
    NOTICE = "notice"


class OcspFacts(msgspec.Struct, frozen=True):
    """The OCSP response in hand for one certificate of a path, and how asking for a new one went."""

    subject: str
    responder: str = ""
    urls: tuple[str, ...] = ()
    this_update: datetime | None = None
    next_update: datetime | None = None
    good_until: datetime | None = None
    refusal: str | None = None
    fetch_failure: str | None = None


class CertificateFacts(msgspec.Struct, frozen=True):
    """One active certificate of this server. ``unusable`` says why it cannot be used whatever OCSP says."""

    purpose: str
    subject: str
    issuer: str
    serial: str
    not_before: datetime
    not_after: datetime
    token_id: str = ""
    unusable: str | None = None
    ocsp: tuple[OcspFacts, ...] = ()
    renewal_error: str | None = None


class DiagnosisFacts(msgspec.Struct, frozen=True):
    """Everything a diagnosis rests on. ``purposes`` are those that must work: ``TLS`` and the members that sign."""

    purposes: tuple[str, ...] = ()
    certificates: tuple[CertificateFacts, ...] = ()
    token_failures: Mapping[str, str] = msgspec.field(default_factory=dict)
    configuration_expires_at: datetime | None = None
    configuration_failure: str | None = None
    timestamps_failing_since: datetime | None = None
    timestamps_failure: str = ""
    timestamps_acceptable: timedelta = timedelta(0)
    has_no_authority: bool = False
    clock_offset_s: float | None = None
    clock_source: str = ""
    # Background loops that fail: name, why, and whether exchanges stop sooner or later without it.
    loops: tuple[tuple[str, str, bool], ...] = ()


class Finding(msgspec.Struct, frozen=True):
    """One thing that is wrong: a stable code, what it is about, when traffic stops by it."""

    code: str
    severity: Severity
    subject: str
    stops_at: datetime | None
    values: Mapping[str, str]

    @property
    def texts(self) -> tuple[Text, Text]:
        """The texts of the problem and of the remedy, for any language."""
        return finding_texts(self.code, {"subject": self.subject, **self.values})

    def say(self, language: str) -> tuple[str, str]:
        """The problem and the remedy in one language."""
        what, action = self.texts
        return what.into(language), action.into(language)


class Diagnosis(msgspec.Struct, frozen=True):
    """The findings, worst first. ``stops_at`` is the first moment at which some exchange stops, if nothing is done."""

    at: datetime
    findings: tuple[Finding, ...]
    stops_at: datetime | None


def diagnose(facts: DiagnosisFacts, now: datetime) -> Diagnosis:
    """Everything that is wrong or will be."""
    found = [
        *_configuration(facts, now),
        *_tokens(facts, now),
        *_clock(facts, now),
        *_timestamps(facts, now),
        *_loops(facts),
    ]
    for purpose in facts.purposes:
        found += _purpose(facts, purpose, now)
    found += [
        Finding("renewal-failed", Severity.NOTICE, c.subject, None, {"reason": c.renewal_error})
        for c in facts.certificates
        if c.renewal_error
    ]
    order = list(Severity)
    far = datetime.max.replace(tzinfo=now.tzinfo)
    found.sort(key=lambda f: (order.index(f.severity), f.stops_at or far))
    stops = [f.stops_at for f in found if f.stops_at is not None]
    return Diagnosis(now, tuple(found), min(stops, default=None))


def _configuration(facts: DiagnosisFacts, now: datetime) -> Iterable[Finding]:
    expires, failure = facts.configuration_expires_at, facts.configuration_failure or "-"
    if expires is None:
        yield Finding("no-configuration", Severity.STOPPED, "", now, {"reason": failure})
    elif expires <= now:
        yield Finding(
            "configuration-expired", Severity.STOPPED, "", now, {"expires": _t(expires), "reason": failure}
        )
    elif facts.configuration_failure:
        yield Finding(
            "configuration-not-fetched",
            Severity.WILL_STOP,
            "",
            expires,
            {"expires": _t(expires), "reason": failure},
        )


def _tokens(facts: DiagnosisFacts, now: datetime) -> Iterable[Finding]:
    used = {c.token_id for c in facts.certificates}
    for token_id, failure in facts.token_failures.items():
        needed = token_id in used
        severity = Severity.STOPPED if needed else Severity.NOTICE
        yield Finding("token", severity, token_id, now if needed else None, {"reason": failure})


def furthest_clock(*known: tuple[float, str] | None) -> tuple[float | None, str]:
    """Of clocks that this one was compared with (seconds that it is ahead, and whose), the one that it differs from most."""
    return max(
        (clock for clock in known if clock is not None), key=lambda clock: abs(clock[0]), default=(None, "")
    )


def clock_warning(offset_s: float, source: str) -> str:
    """By how much this clock and another differ, whose that is, and what to do."""
    direction = "ahead of" if offset_s > 0 else "behind"
    return (
        f"this server's clock is {abs(offset_s):.0f} s {direction} that of {source}; "
        "synchronise the one that is wrong (chrony or systemd-timesyncd)"
    )


def _clock(facts: DiagnosisFacts, now: datetime) -> Iterable[Finding]:
    offset = facts.clock_offset_s
    if offset is None or abs(offset) < CLOCK_WARN_S:
        return
    stops = abs(offset) >= CLOCK_STOP_S
    yield Finding(
        "clock",
        Severity.STOPPED if stops else Severity.NOTICE,
        facts.clock_source,
        now if stops else None,
        {"seconds": f"{abs(offset):.1f}", "direction": "ahead" if offset > 0 else "behind"},
    )


def _timestamps(facts: DiagnosisFacts, now: datetime) -> Iterable[Finding]:
    since = facts.timestamps_failing_since
    if facts.has_no_authority:
        # The first message that waits for a timestamp starts the clock.
        latest = (since or now) + facts.timestamps_acceptable if facts.timestamps_acceptable else None
        moment = "-" if latest is None else _t(latest)
        yield Finding("timestamps-nobody", Severity.WILL_STOP, "", latest, {"until": moment})
    if since is None:
        return
    values = {"since": _t(since), "reason": facts.timestamps_failure}
    if not facts.timestamps_acceptable:
        yield Finding("timestamps-failing", Severity.NOTICE, "", None, {**values, "until": "-"})
        return
    until = since + facts.timestamps_acceptable
    severity = Severity.STOPPED if until <= now else Severity.WILL_STOP
    yield Finding("timestamps-failing", severity, "", max(until, now), {**values, "until": _t(until)})


def _loops(facts: DiagnosisFacts) -> Iterable[Finding]:
    for name, reason, needed in facts.loops:
        severity = Severity.WILL_STOP if needed else Severity.NOTICE
        yield Finding("loop-failing", severity, name, None, {"reason": reason})


def _purpose(facts: DiagnosisFacts, purpose: str, now: datetime) -> list[Finding]:
    mine = [c for c in facts.certificates if c.purpose == purpose]
    if not mine:
        return [Finding("no-certificate", Severity.STOPPED, purpose, now, {})]
    ends = {id(c): _works_until(c, now) for c in mine}
    until = max(ends.values())
    found: list[Finding] = []
    for certificate in mine:
        found += _certificate(certificate, now, stops=until if ends[id(certificate)] == until else None)
    return found


def _works_until(certificate: CertificateFacts, now: datetime) -> datetime:
    """Until when a certificate works if nothing is done: a response that is being renewed does not end it."""
    if certificate.unusable is not None or certificate.not_before > now:
        return now
    until = max(certificate.not_after, now)
    for response in certificate.ocsp:
        if response.good_until is None or response.good_until <= now or response.refusal:
            return now
        if response.fetch_failure:
            until = min(until, response.good_until)
    return until


def _certificate(c: CertificateFacts, now: datetime, stops: datetime | None) -> list[Finding]:
    """What is wrong with one certificate; ``stops`` when its purpose ends with it."""
    names = {"purpose": c.purpose, "issuer": c.issuer, "serial": c.serial, "until": _t(c.not_after)}
    severity = Severity.NOTICE if stops is None else Severity.STOPPED if stops <= now else Severity.WILL_STOP

    def finding(code: str, **values: str) -> Finding:
        return Finding(code, severity, c.subject, stops, {**names, **values})

    if c.not_before > now:
        return [finding("certificate-not-yet-valid", since=_t(c.not_before))]
    if c.not_after <= now:
        return [finding("certificate-expired")]
    if c.unusable is not None:
        return [finding("certificate-unusable", reason=c.unusable)]
    found = [_ocsp(response, finding_of=finding, now=now) for response in c.ocsp]
    wrong = [f for f in found if f is not None]
    if not wrong and c.not_after - now <= WARN_BEFORE:
        days = (c.not_after - now).days
        wrong.append(finding("certificate-expires", days=str(days)))
    return wrong


def _ocsp(response: OcspFacts, *, finding_of: Callable[..., Finding], now: datetime) -> Finding | None:
    values = {
        "certificate": response.subject,
        "responder": response.responder or "-",
        "urls": ", ".join(response.urls) or "-",
        "this_update": _t(response.this_update),
        "next_update": _t(response.next_update),
        "good_until": _t(response.good_until),
        "reason": response.refusal or response.fetch_failure or "-",
    }
    if response.refusal is not None:
        return finding_of("ocsp-refused", **values)
    if response.good_until is None:
        return finding_of("ocsp-missing", **values)
    if response.good_until <= now:
        return finding_of("ocsp-stale", **values)
    return finding_of("ocsp-not-renewed", **values) if response.fetch_failure else None


def _t(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"
