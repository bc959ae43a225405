"""A report that a court can read: each message with its answer, who, what, when, each step of the proof, how to repeat it.

In Spanish or in English; one HTML file without anything from elsewhere, which prints to paper or PDF.
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import jinja2
import msgspec

from certs.edges.configurationfiles import read_configuration_files
from gateway.audit.judging import VALID
from gateway.audit.recipes import read_facts, render_recipe, render_trust
from gateway.audit.reporttexts import STANDARDS, TEXTS, finding_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from certs.configuration import TrustedConfiguration
    from gateway.audit.judging import Judgement


class ReportContext(msgspec.Struct, frozen=True):
    """The circumstances of a report: language, when, version, zone of local times, and the configuration's folder."""

    language: str
    made_at: datetime
    version: str
    zone: str
    configuration: Path


def render_report(
    judgements: Iterable[Judgement], trust: TrustedConfiguration, context: ReportContext
) -> str:
    """Render the judgements as one HTML page, which needs no other file."""
    texts, found = TEXTS[context.language], list(judgements)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gateway.audit"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("report.html").render(
        language=context.language,
        t=texts,
        made_at=f"{context.made_at:%Y-%m-%d %H:%M:%S}",
        made_at_local=_local(context.made_at, ZoneInfo(context.zone)),
        version=context.version,
        instance=trust.instance,
        configuration=context.configuration,
        configuration_digest=configuration_digest(context.configuration),
        containers=len(found),
        valid=sum(j.verdict == VALID for j in found),
        pairs=_pairs(found, trust, context),
        names=_names(trust),
        standards=STANDARDS,
        trust_commands=render_trust(trust, context.language),
    )


def configuration_digest(folder: Path) -> str:
    """SHA-256 over the files of a configuration, in hex: of each its name, its length and its content, by name."""
    digest = hashlib.sha256()
    for name, content in sorted(read_configuration_files(folder).items()):
        digest.update(f"{name}\n{len(content)}\n".encode() + content)
    return digest.hexdigest()


def _names(trust: TrustedConfiguration) -> dict[str, str]:
    """Members and their subsystems by path, with their names."""
    names: dict[str, str] = {}
    for loaded in trust.instances.values():
        for member in loaded.shared.members:
            names[member.id.path()] = member.name
            names |= {f"{member.id.path()}/{s.code}": member.name for s in member.subsystems}
    return names


def _pairs(
    judgements: list[Judgement], trust: TrustedConfiguration, context: ReportContext
) -> list[dict[str, Any]]:
    by_id: dict[str, list[tuple[int, Judgement]]] = {}
    for place, judgement in enumerate(judgements, 1):
        by_id.setdefault(judgement.message_id or f"?{place}", []).append((place, judgement))
    return [
        {
            "message_id": found[0][1].message_id,
            "summary": TEXTS[context.language][_kind([j for _, j in found])],
            "judgements": [
                _shown(judgement, place, trust, context)
                for place, judgement in sorted(found, key=lambda one: one[1].direction != "request")
            ],
        }
        for found in by_id.values()
    ]


def _kind(found: list[Judgement]) -> str:
    directions = {j.direction for j in found if j.direction}
    if directions == {"request", "response"}:
        return "pair"
    return f"{directions.pop()}_only" if directions else "other"


def _shown(
    judgement: Judgement, place: int, trust: TrustedConfiguration, context: ReportContext
) -> dict[str, Any]:
    """The template's values for one container. Raises OSError when it cannot be read a second time."""
    zone, language = ZoneInfo(context.zone), context.language
    signed_at = commands = ""
    if judgement.verdict == VALID:
        facts = read_facts(judgement)
        signed_at, commands = facts.signed_at, render_recipe(judgement, facts, trust, place, language)
    return {
        **judgement.row(),
        "steps": [
            (n, outcome, finding_text(n, detail, language)) for n, _, outcome, detail in judgement.steps
        ],
        "local_time": _local_of(judgement.timestamp, zone),
        "signed_at": signed_at,
        "signed_at_local": _local_of(signed_at, zone),
        "commands": commands,
        "provider": "/".join(judgement.service.split("/")[:4]) if judgement.service.count("/") >= 4 else "",
    }


def _local_of(text: str, zone: ZoneInfo) -> str:
    """A time in a report's zone; empty for none, and for one that has no zone itself."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return ""
    return "" if at.tzinfo is None else _local(at, zone)


def _local(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M:%S %z} ({zone.key})"
