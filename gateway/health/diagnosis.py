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

from gateway.health.diagnosistexts import end_texts, finding_texts
from schemas.faults import Kind
from serving.process.failing import NO_REASON, FailureReason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from serving.language import Text

WARN_BEFORE = timedelta(days=30)
_UNKNOWN_KEY = f"fault={Kind.GLOBAL_CONF_MISSING_VERIFICATION_CERT.value}"
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
    refusal: FailureReason | None = None
    fetch_failure: FailureReason | None = None


class CertificateFacts(msgspec.Struct, frozen=True):
    """One active certificate of this server. ``unusable`` says why it cannot be used whatever OCSP says."""

    purpose: str
    subject: str
    issuer: str
    serial: str
    not_before: datetime
    not_after: datetime
    token_id: str = ""
    unusable: FailureReason | None = None
    ocsp: tuple[OcspFacts, ...] = ()
    renewal_error: FailureReason | None = None


class DiagnosisFacts(msgspec.Struct, frozen=True):
    """Everything a diagnosis rests on. ``purposes`` are those that must work: ``TLS`` and the members that sign."""

    purposes: tuple[str, ...] = ()
    certificates: tuple[CertificateFacts, ...] = ()
    token_failures: Mapping[str, FailureReason] = msgspec.field(default_factory=dict)
    configuration_expires_at: datetime | None = None
    configuration_failure: FailureReason | None = None
    timestamps_failing_since: datetime | None = None
    timestamps_failure: FailureReason = NO_REASON
    timestamps_acceptable: timedelta = timedelta(0)
    has_no_authority: bool = False
    clock_offset_s: float | None = None
    clock_source: str = ""
    # Background loops that fail: name, why, and whether exchanges stop sooner or later without it.
    loops: tuple[tuple[str, FailureReason, bool], ...] = ()


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

    def texts_in(self, language: str) -> tuple[str, str]:
        """The problem and the remedy in one language."""
        what, action = self.texts
        return what.into(language), action.into(language)


class TrafficEnd(msgspec.Struct, frozen=True):
    """Something that exchanges need and that ends: until when what is in hand holds, and whether this server renews it by itself.

    ``kind`` is ``certificate`` or ``ocsp`` (``subject`` is the purpose), ``configuration`` or ``timestamping``.
    """

    kind: str
    subject: str
    until: datetime
    is_renewed: bool

    @property
    def texts(self) -> tuple[Text, Text]:
        """The words of what ends, and of what is to be done about it."""
        return end_texts(self.kind, self.subject)


class Diagnosis(msgspec.Struct, frozen=True):
    """The findings, worst first. ``stops_at`` is the first moment at which some exchange stops, if nothing is done.

    ``ends`` are what exchanges rest on now, the first to end first; what has ended already is a finding instead.
    """

    at: datetime
    findings: tuple[Finding, ...]
    stops_at: datetime | None
    ends: tuple[TrafficEnd, ...] = ()


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
        Finding("renewal-failed", Severity.NOTICE, c.subject, None, _why(c.renewal_error))
        for c in facts.certificates
        if c.renewal_error
    ]
    order = list(Severity)
    far = datetime.max.replace(tzinfo=now.tzinfo)
    found.sort(key=lambda f: (order.index(f.severity), f.stops_at or far))
    stops = [f.stops_at for f in found if f.stops_at is not None]
    return Diagnosis(now, tuple(found), min(stops, default=None), _ends(facts, now))


def _ends(facts: DiagnosisFacts, now: datetime) -> tuple[TrafficEnd, ...]:
    """The ends of all that exchanges rest on, soonest first. Of a purpose's certificates the one that works longest counts."""
    found: list[TrafficEnd] = []
    if facts.configuration_expires_at is not None:
        found.append(TrafficEnd("configuration", "", facts.configuration_expires_at, is_renewed=True))
    if facts.timestamps_acceptable and not facts.has_no_authority:
        since = facts.timestamps_failing_since or now
        found.append(TrafficEnd("timestamping", "", since + facts.timestamps_acceptable, is_renewed=True))
    for purpose in facts.purposes:
        mine = [c for c in facts.certificates if c.purpose == purpose and _works_until(c, now) > now]
        if mine:
            found.append(TrafficEnd("certificate", purpose, max(c.not_after for c in mine), is_renewed=False))
        answers = [min(r.good_until or now for r in c.ocsp) for c in mine if c.ocsp]
        if answers:
            found.append(TrafficEnd("ocsp", purpose, max(answers), is_renewed=True))
    return tuple(sorted((e for e in found if e.until > now), key=lambda e: (e.until, e.kind, e.subject)))


def _configuration(facts: DiagnosisFacts, now: datetime) -> Iterable[Finding]:
    expires, why = facts.configuration_expires_at, _why(facts.configuration_failure)
    if facts.configuration_failure and _UNKNOWN_KEY in facts.configuration_failure.causes:
        has_ended = expires is None or expires <= now
        severity = Severity.STOPPED if has_ended else Severity.WILL_STOP
        values = {"expires": _t(expires), **why}
        yield Finding("configuration-of-unknown-key", severity, "", now if has_ended else expires, values)
    elif expires is None:
        yield Finding("no-configuration", Severity.STOPPED, "", now, why)
    elif expires <= now:
        yield Finding("configuration-expired", Severity.STOPPED, "", now, {"expires": _t(expires), **why})
    elif facts.configuration_failure:
        yield Finding(
            "configuration-not-fetched",
            Severity.WILL_STOP,
            "",
            expires,
            {"expires": _t(expires), **why},
        )


def _tokens(facts: DiagnosisFacts, now: datetime) -> Iterable[Finding]:
    used = {c.token_id for c in facts.certificates}
    for token_id, failure in facts.token_failures.items():
        needed = token_id in used
        severity = Severity.STOPPED if needed else Severity.NOTICE
        yield Finding("token", severity, token_id, now if needed else None, _why(failure))


def furthest_clock(*known: tuple[float, str] | None) -> tuple[float | None, str]:
    """The comparison with the largest difference: seconds that this clock is ahead, and of whose; (None, "") without any."""
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
    values = {"since": _t(since), **_why(facts.timestamps_failure)}
    if not facts.timestamps_acceptable:
        yield Finding("timestamps-failing", Severity.NOTICE, "", None, {**values, "until": "-"})
        return
    until = since + facts.timestamps_acceptable
    severity = Severity.STOPPED if until <= now else Severity.WILL_STOP
    yield Finding("timestamps-failing", severity, "", max(until, now), {**values, "until": _t(until)})


def _loops(facts: DiagnosisFacts) -> Iterable[Finding]:
    for name, reason, needed in facts.loops:
        if name == "configuration" and facts.configuration_failure:  # a finding of its own, with what to do
            continue
        severity = Severity.WILL_STOP if needed else Severity.NOTICE
        yield Finding("loop-failing", severity, name, None, _why(reason))


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
    """The findings on one certificate; ``stops`` marks it as the last of its purpose, so that exchanges stop with it."""
    names = {"purpose": c.purpose, "issuer": c.issuer, "serial": c.serial, "until": _t(c.not_after)}
    severity = Severity.NOTICE if stops is None else Severity.STOPPED if stops <= now else Severity.WILL_STOP

    def finding(code: str, **values: str) -> Finding:
        return Finding(code, severity, c.subject, stops, {**names, **values})

    if c.not_before > now:
        return [finding("certificate-not-yet-valid", since=_t(c.not_before))]
    if c.not_after <= now:
        return [finding("certificate-expired")]
    if c.unusable is not None:
        return [finding("certificate-unusable", **_why(c.unusable))]
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
        **_why(response.refusal or response.fetch_failure),
    }
    if response.refusal is not None:
        return finding_of("ocsp-refused", **values)
    if response.good_until is None:
        return finding_of("ocsp-missing", **values)
    if response.good_until <= now:
        return finding_of("ocsp-stale", **values)
    return finding_of("ocsp-not-renewed", **values) if response.fetch_failure else None


def _why(reason: FailureReason | None) -> dict[str, str]:
    """A reason as two values of a finding: the text as it was found, and the causes, spaces between."""
    if not reason:
        return {"reason": "-"}
    return {"reason": reason.detail} | ({"causes": " ".join(reason.causes)} if reason.causes else {})


def _t(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M:%S} UTC"
