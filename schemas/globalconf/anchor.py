"""The configuration anchor: where an instance's configuration is, and whose signature to believe.

People compare its hash by eye: SHA-224 over the exact file bytes. The reader keeps those bytes.
Spec: PR-GCONF 5; private-parameters.xsd (configurationAnchorType).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from schemas.globalconf.elements import (
    MANY,
    Child,
    add,
    base64_of,
    malformed,
    new_root,
    parse_root,
    take,
    text,
    to_bytes,
)

if TYPE_CHECKING:
    from lxml import etree


class AnchorSource(msgspec.Struct, frozen=True):
    """One place to download from; certificates are kept as transmitted, for they are found by their hash."""

    download_url: str
    verification_certificates: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Anchor:
    """A configuration anchor: where a configuration is fetched, and the certificates that verify it (PR-GCONF 5)."""

    instance: str
    sources: tuple[AnchorSource, ...]
    generated_at: datetime | None = None
    raw: bytes = field(default=b"", repr=False, compare=False)

    def hash_text(self) -> str:
        """The anchor's digest as two people compare it: SHA-224 of the file, upper-case hex, a colon between bytes."""
        return hashlib.sha224(self.raw or render_anchor(self)).digest().hex(":").upper()


def parse_anchor(raw: bytes) -> Anchor:
    """Read an anchor file. Raises `Fault` (``malformed_global_conf``)."""
    return anchor_of(parse_root(raw, "configurationAnchor", "configuration anchor"), raw)


def anchor_of(element: etree._Element, raw: bytes = b"") -> Anchor:
    """The anchor in an XML element; ``raw`` is the file it stood in. Raises `Fault` (``malformed_global_conf``)."""
    found = take(element, (Child("generatedAt", 0), Child("instanceIdentifier"), Child("source", 1, MANY)))
    instance = text(found["instanceIdentifier"])
    if not instance:
        raise malformed("the anchor's instance identifier is empty")
    return Anchor(
        instance,
        tuple(_source(e) for e in found["source"]),
        _time(text(found["generatedAt"])) if found["generatedAt"] else None,
        raw,
    )


def _source(element: etree._Element) -> AnchorSource:
    found = take(element, (Child("downloadURL"), Child("verificationCert", 1, MANY)))
    return AnchorSource(text(found["downloadURL"]), tuple(base64_of(e) for e in found["verificationCert"]))


def _time(value: str) -> datetime:
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        raise malformed(f"{value!r} is not a date and time") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def render_anchor(anchor: Anchor) -> bytes:
    """The anchor as an XML file; its digest is that of these bytes."""
    root = new_root("configurationAnchor")
    add_anchor(root, anchor)
    return to_bytes(root)


def add_anchor(element: etree._Element, anchor: Anchor) -> None:
    """Write an anchor's content into an element."""
    if anchor.generated_at is not None:
        at = anchor.generated_at.astimezone(UTC).isoformat(timespec="milliseconds")
        add(element, "generatedAt", at.replace("+00:00", "Z"))
    add(element, "instanceIdentifier", anchor.instance)
    for source in anchor.sources:
        inner = add(element, "source")
        add(inner, "downloadURL", source.download_url)
        for certificate in source.verification_certificates:
            add(inner, "verificationCert", certificate)


def file_name(instance: str, source: str, at: datetime) -> str:
    """The name central servers give the file; ``source`` is ``internal`` or ``external``."""
    return f"configuration_anchor_{instance}_{source}_UTC_{at.astimezone(UTC):%Y-%m-%d_%H_%M_%S}.xml"
