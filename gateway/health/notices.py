"""Which notices to send: what a diagnosis newly finds, what it no longer finds, and what is still wrong after a day. Pure.

A notice is told once when its finding appears or grows worse, again after ``repeat``, and once more when it is over.
"""

from __future__ import annotations

from datetime import datetime  # read at run time too: kept notices are decoded by their types
from typing import TYPE_CHECKING

import msgspec

from gateway.health.diagnosis import Severity
from serving.language import N_, Text, in_every_language

if TYPE_CHECKING:
    from datetime import timedelta

    from gateway.health.diagnosis import Diagnosis, Finding

RESOLVED = "resolved"


class OperatorNotice(msgspec.Struct, frozen=True):
    """Something to tell a person: a code, how bad it is, and the words."""

    code: str
    severity: str
    subject: str
    # By language: it may be told after a restart.
    texts: dict[str, str]
    at: datetime
    stops_at: datetime | None = None
    # Whose contact is told besides the server's own recipients; empty for what concerns the whole server.
    member: str = ""


class DeliveredNotice(msgspec.Struct, frozen=True):
    """The last notice that was delivered of a finding: its severity, when, and the finding then."""

    severity: Severity
    at: datetime
    finding: Finding


Key = tuple[str, str]


def decide_notices(
    diagnosis: Diagnosis, delivered: dict[Key, DeliveredNotice], repeat: timedelta
) -> tuple[tuple[OperatorNotice, ...], dict[Key, DeliveredNotice]]:
    """The notices of a diagnosis after what was told before, and what has been told then."""
    order = list(Severity)
    present = {
        (f.code, f"{f.subject} {f.values.get('certificate', '')}".strip()): f for f in diagnosis.findings
    }
    notices: list[OperatorNotice] = []
    delivered_now: dict[Key, DeliveredNotice] = {}
    for key, finding in present.items():
        before = delivered.get(key)
        worse = before is not None and order.index(finding.severity) < order.index(before.severity)
        if before is None or worse or diagnosis.at - before.at >= repeat:
            notices.append(_notice(finding, diagnosis.at))
            delivered_now[key] = DeliveredNotice(finding.severity, diagnosis.at, finding)
        else:
            delivered_now[key] = before
    for key, before in delivered.items():
        if key not in present:
            notices.append(_resolved(before.finding, diagnosis.at))
    return tuple(notices), delivered_now


def event_notice(kind: str, subject: str, detail: str, at: datetime, member: str = "") -> OperatorNotice:
    """A notice of something that happened, such as a renewal or a refused request."""
    text = Text(_EVENTS.get(kind, N_("{subject}: {detail}")).message, {"subject": subject, "detail": detail})
    return OperatorNotice(kind, Severity.NOTICE.value, subject, in_every_language(text), at, member=member)


_EVENTS = {
    "certificate-renewed": N_("The certificate {subject} was renewed; the new one is {detail}."),
    "certificate-activated": N_("The certificate {subject} is in use ({detail})."),
    "activation-failed": N_("The certificate {subject} could not be activated: {detail}"),
    "certificate-registered": N_("The certificate {subject} is registered now."),
    "renewal-failed": N_("The renewal of {subject} failed: {detail}"),
    "request-refused": N_("The central server refused a request about {subject}: {detail}"),
}

# Events that went well: logged as information, so that warnings keep their meaning.
GOOD_NEWS = frozenset({"certificate-renewed", "certificate-activated", "certificate-registered"})


def _notice(finding: Finding, at: datetime) -> OperatorNotice:
    texts = in_every_language(N_("{what} {action}", what=finding.texts[0], action=finding.texts[1]))
    return OperatorNotice(finding.code, finding.severity.value, finding.subject, texts, at, finding.stops_at)


def _resolved(finding: Finding, at: datetime) -> OperatorNotice:
    texts = in_every_language(N_("Resolved: {what}", what=finding.texts[0]))
    return OperatorNotice(finding.code, RESOLVED, finding.subject, texts, at)
