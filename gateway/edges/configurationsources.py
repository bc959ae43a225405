"""Where a configuration may be fetched from, and in which order: what an anchor and the stored parameters name.

Spec: PR-GCONF 3; X-Road 7.8's configuration client.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from schemas.globalconf.shared import Source


@dataclass(frozen=True, slots=True)
class Location:
    """A URL to try, and the certificates its directory may be verified with."""

    url: str
    certificates: tuple[bytes, ...]


def with_version(url: str, version: int) -> str:
    """A configuration URL with a version parameter in place of any other."""
    parts = urlsplit(url)
    kept = [p for p in parts.query.split("&") if p and not p.startswith("version=")]
    return urlunsplit(parts._replace(query="&".join([*kept, f"version={version}"])))


def with_https_twins(locations: Sequence[Location]) -> list[Location]:
    """For each http location its https twin first; https ones of the list itself are kept too."""
    http = [location for location in locations if location.url.startswith("http://")]
    https = [location for location in locations if location.url.startswith("https://")]
    found: dict[str, Location] = {}
    for location in (*_https_twins(http), *https, *http):
        found.setdefault(location.url, location)
    return list(found.values())


def _https_twins(http: Sequence[Location]) -> list[Location]:
    return [Location("https://" + each.url.removeprefix("http://"), each.certificates) for each in http]


def stored_locations(sources: Sequence[Source], anchor_url: str) -> list[Location]:
    """Locations built from the nodes that shared parameters name, with the path of the anchor's first http URL."""
    parts = urlsplit(anchor_url)
    if parts.path in ("", "/"):
        return []
    name = parts.path.rpartition("/")[2]
    found = []
    for source in sources:
        certificates: Mapping[str, tuple[bytes, ...]] = {
            "internalconf": source.internal_certificates,
            "externalconf": source.external_certificates,
        }
        both = source.internal_certificates + source.external_certificates
        found.append(Location(f"http://{source.address}{parts.path}", certificates.get(name, both)))
    return [*_https_twins(found), *found]


def federation_filter(allowed: str, own: str) -> Callable[[str], bool]:
    """Which instances may be federated: ``none`` anywhere wins, then ``all``, then the list, whatever the case."""
    names = {name.strip().lower() for name in allowed.split(",") if name.strip()}

    def is_allowed(instance: str) -> bool:
        if instance.lower() == own.lower():
            return True
        return "none" not in names and ("all" in names or instance.strip().lower() in names)

    return is_allowed


def resolve(directory_url: str, location: str) -> str:
    """The URL of a part, whose location may be a whole one, a path, or a name beside the directory."""
    if re.match(r"https?://", location):
        return location
    parts = urlsplit(directory_url)
    path = location if location.startswith("/") else f"{parts.path.rpartition('/')[0]}/{location}"
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))
