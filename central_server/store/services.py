"""The catalogue as kept: services with every version of their description, and which providers were reached."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from central_server.registry.catalogue import CatalogueEntry, DescriptionSummary, describe
from central_server.store.members import name_of_member, names_of_members
from schemas.identifiers import ClientId, ServiceId
from schemas.jsontext import dump_json, load_json
from schemas.names import unsuitable_characters, without_unsuitable
from serving.process.failing import FailureReason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from central_server.store.records import Records


@dataclass(frozen=True, slots=True)
class FoundService:
    """A service as its provider lists it now, with its description when it has one."""

    service: ServiceId
    type: str
    media_type: str = ""
    raw: bytes = b""
    title: str = ""
    # What else it may be found by.
    words: str = ""
    # The description is still the one with this SHA-256, which is kept.
    digest_kept: str = ""

    def with_description(self, media_type: str, raw: bytes) -> FoundService:
        """The same with its description."""
        return replace(self, media_type=media_type, raw=raw)

    def unchanged(self, digest: str) -> FoundService:
        """The same, with the description that is kept already."""
        return replace(self, digest_kept=digest)


@dataclass(frozen=True, slots=True)
class KeptVersion:
    """One version of a description."""

    number: int
    digest: str
    media_type: str
    raw: bytes
    seen_at: str


@dataclass(frozen=True, slots=True)
class CatalogueQuery:
    """The conditions of a catalogue search; every part that is given must be met."""

    words: str | None = None
    member: str | None = None
    data_set: str | None = None
    purpose: str | None = None
    unreachable: bool | None = None


def record_provider(records: Records, client: ClientId, found: Iterable[FoundService]) -> None:
    """Keep what a provider lists now; what it listed before and does not now is gone since now."""
    # What no text may hold is no service's code; an identifier that has it cannot be kept or asked for.
    listed = [f for f in found if not unsuitable_characters(f.service.path())]
    for service in listed:
        _record_service(records, client, service)
    kept = {f.service.path() for f in listed}
    for number, path in records.rows(
        "SELECT id, service FROM described_service WHERE client = ? AND gone_since IS NULL", client.path()
    ):
        if path not in kept:
            records.rows("UPDATE described_service SET gone_since = ? WHERE id = ?", records.at, number)
            records.note("SERVICE_GONE", str(path))
    records.rows(
        "INSERT INTO described_provider (client, last_reached) VALUES (?, ?) ON CONFLICT (client) DO UPDATE "
        "SET last_reached = excluded.last_reached, unreachable_since = NULL, problem = NULL, causes = ''",
        client.path(),
        records.at,
    )


def record_unreachable(records: Records, client: ClientId, reason: FailureReason) -> None:
    """Keep that a provider could not be asked, since when and why."""
    records.rows(
        "INSERT INTO described_provider (client, unreachable_since, problem, causes) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (client) DO UPDATE SET problem = excluded.problem, causes = excluded.causes, "
        "unreachable_since = coalesce(described_provider.unreachable_since, excluded.unreachable_since)",
        client.path(),
        records.at,
        without_unsuitable(reason.detail)[:1000],
        " ".join(reason.causes),
    )


def _record_service(records: Records, client: ClientId, found: FoundService) -> None:
    path = found.service.path()
    row = records.row("SELECT id FROM described_service WHERE service = ?", path)
    if found.digest_kept:
        records.rows(
            "UPDATE described_service SET last_seen = ?, gone_since = NULL WHERE service = ?",
            records.at,
            path,
        )
        return
    summary = _shown(describe(found.service, found.type, found.raw, found.title, found.words))
    values = {
        "type": found.type,
        "title": summary.title,
        "summary": summary.summary,
        "data_sets": dump_json(summary.data_sets, ensure_ascii=False),
        "purposes": dump_json(summary.purposes, ensure_ascii=False),
        "words": summary.words.lower(),
        "last_seen": records.at,
    }
    if row is None:
        number = records.insert(
            "described_service", service=path, client=client.path(), first_seen=records.at, **values
        )
        records.note("SERVICE_FOUND", path, type=found.type)
    else:
        number = int(row[0])
        marks = ", ".join(f"{name} = ?" for name in values)
        records.rows(
            f"UPDATE described_service SET {marks}, gone_since = NULL WHERE id = ?",
            *values.values(),
            number,
        )
    if found.raw:
        _record_version(records, number, path, found)


def _shown(summary: DescriptionSummary) -> DescriptionSummary:
    """A stranger's texts as they can be kept and shown."""
    return DescriptionSummary(
        without_unsuitable(summary.title),
        without_unsuitable(summary.summary),
        tuple(without_unsuitable(d) for d in summary.data_sets),
        tuple(without_unsuitable(p) for p in summary.purposes),
        without_unsuitable(summary.words),
    )


def _record_version(records: Records, number: int, path: str, found: FoundService) -> None:
    digest = hashlib.sha256(found.raw).hexdigest()
    last = records.row(
        "SELECT number, digest FROM service_version WHERE service_id = ? ORDER BY number DESC LIMIT 1", number
    )
    if last is not None and last[1] == digest:
        return
    next_number = 1 if last is None else int(last[0]) + 1
    records.rows(
        "INSERT INTO service_version (service_id, number, digest, media_type, raw, seen_at) VALUES (?, ?, ?, ?, ?, ?)",
        number,
        next_number,
        digest,
        without_unsuitable(found.media_type),
        found.raw,
        records.at,
    )
    before = [] if last is None else [f"sha256 {last[1]}"]
    records.note("SERVICE_DESCRIPTION_CHANGED", path, before=before, after=[f"sha256 {digest}"])


def latest_digests(records: Records, client: ClientId) -> dict[str, str]:
    """The digest of the newest version of each description of a provider, by service."""
    rows = records.rows(
        "SELECT s.service, v.digest FROM described_service s JOIN service_version v ON v.service_id = s.id "
        "WHERE s.client = ? ORDER BY v.number",
        client.path(),
    )
    return {str(service): str(digest) for service, digest in rows}


_SELECT = (
    "SELECT s.id, s.service, s.client, s.type, s.title, s.summary, s.data_sets, s.purposes, s.words, "
    "(SELECT count(*) FROM service_version v WHERE v.service_id = s.id), s.first_seen, s.last_seen, s.gone_since, "
    "p.unreachable_since FROM described_service s LEFT JOIN described_provider p ON p.client = s.client"
)


def search_services(records: Records, query: CatalogueQuery) -> list[CatalogueEntry]:
    """The services that meet a query, by member and code."""
    names = names_of_members(records)
    entries = (_entry(row, names) for row in records.rows(f"{_SELECT} ORDER BY s.service"))
    return [entry for entry in entries if _meets(entry, query)]


def find_entry(records: Records, number: int) -> CatalogueEntry | None:
    """The service with that number of the catalogue, or None."""
    rows = records.rows(f"{_SELECT} WHERE s.id = ?", number)
    if not rows:
        return None
    member = ClientId(*rows[0][2].split("/")).member
    name = name_of_member(records, member)
    return _entry(rows[0], {(member.member_class, member.member_code): name} if name else {})


def _entry(row: Sequence[Any], names: Mapping[tuple[str, str], str]) -> CatalogueEntry:
    client = ClientId(*row[2].split("/"))
    service = _service_of(client, row[1])
    summary = DescriptionSummary(row[4], row[5], tuple(load_json(row[6])), tuple(load_json(row[7])), row[8])
    name = names.get((client.member_class, client.member_code), client.member_code)
    return CatalogueEntry(
        int(row[0]), service, name, row[3], summary, int(row[9]), row[10], row[11], row[12], row[13]
    )


def _service_of(client: ClientId, path: str) -> ServiceId:
    rest = path.removeprefix(client.path() + "/").split("/")
    return ServiceId(client, *rest)


def _meets(entry: CatalogueEntry, query: CatalogueQuery) -> bool:
    summary = entry.described
    text = f"{summary.words} {summary.title} {entry.member_name} {entry.service.path()}".lower()
    missing = entry.unreachable_since is not None or entry.gone_since is not None
    return (
        all(word in text for word in (query.words or "").lower().split())
        and _in(query.member, (entry.member_name, entry.service.client.path()))
        and _in(query.data_set, summary.data_sets)
        and _in(query.purpose, summary.purposes)
        and query.unreachable in (None, missing)
    )


def _in(term: str | None, texts: Iterable[str]) -> bool:
    return term is None or any(term.lower() in text.lower() for text in texts)


def versions_of(records: Records, number: int) -> list[KeptVersion]:
    """Every version of a service's description, the newest first."""
    rows = records.rows(
        "SELECT number, digest, media_type, raw, seen_at FROM service_version WHERE service_id = ? "
        "ORDER BY number DESC",
        number,
    )
    return [KeptVersion(int(r[0]), r[1], r[2], bytes(r[3]), r[4]) for r in rows]


def unreachable_providers(records: Records) -> list[tuple[str, str, FailureReason]]:
    """Providers that could not be asked: which, since when, why."""
    rows = records.rows(
        "SELECT client, unreachable_since, problem, causes FROM described_provider WHERE unreachable_since IS NOT NULL "
        "ORDER BY client"
    )
    return [(r[0], r[1], FailureReason(r[2] or "", tuple(r[3].split()))) for r in rows]
