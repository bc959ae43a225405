"""The two manifests of a container: what files it holds, and what its timestamp covers.

X-Road writes both and verifies neither. Here a manifest that stands in a container must say what is true of it: a table of
contents that lies would lead whoever reads the container with other tools.

Spec: OpenDocument 1.2 part 3 §4 (manifest.xml); ETSI TS 102 918 A.4 (ASiCManifest.xml).
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import TYPE_CHECKING

from schemas.faults import BadMessage, Kind
from schemas.safexml import parse_xml

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from lxml import etree

MIMETYPE = "application/vnd.etsi.asic-e+zip"
TIMESTAMP = "META-INF/timestamp.tst"
TIMESTAMPED = "ts-hashchainresult.xml"
_BODY = re.compile(r"attachment[1-9][0-9]{0,5}")
_TIMESTAMP_TYPE = "vnd.etsi.timestamp-token"
_MANIFEST = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
_ASIC = "http://uri.etsi.org/2918/v1.2.1#"
_DS = "http://www.w3.org/2000/09/xmldsig#"
_SHA512 = "http://www.w3.org/2001/04/xmlenc#sha512"


def is_body(name: str) -> bool:
    """Whether an entry is a message body (``attachment1`` to ``attachment999999``)."""
    return _BODY.fullmatch(name) is not None


def render_manifest(names: Iterable[str]) -> bytes:
    """``META-INF/manifest.xml`` over the files outside ``META-INF``, in their order."""
    rows = "".join(
        f'<manifest:file-entry manifest:full-path="{name}" manifest:media-type="{media}"/>'
        for name, media in (("/", MIMETYPE), *((n, _media(n)) for n in names))
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<manifest:manifest xmlns:manifest="{_MANIFEST}" manifest:version="1.2">{rows}</manifest:manifest>'
    ).encode()


def _media(name: str) -> str:
    return "application/octet-stream" if is_body(name) else "text/xml"


def check_manifest(manifest: bytes, names: Collection[str]) -> None:
    """A manifest lists the files there are, once each; only bodies may be listed and missing (not logged, or erased).

    Raises `BadMessage`.
    """
    if manifest == render_manifest(names):
        return
    root = _parse(manifest, "META-INF/manifest.xml", f"{{{_MANIFEST}}}manifest")
    listed: dict[str, str] = {}
    for row in root:
        name = row.get(f"{{{_MANIFEST}}}full-path")
        if row.tag != f"{{{_MANIFEST}}}file-entry" or name is None or name in listed:
            raise _lies("META-INF/manifest.xml", f"has a row that is no file's, or a second one ({name})")
        listed[name] = row.get(f"{{{_MANIFEST}}}media-type") or ""
    if listed.pop("/", MIMETYPE) != MIMETYPE:
        raise _lies("META-INF/manifest.xml", f"does not call the container {MIMETYPE}")
    for name in names:
        if listed.pop(name, None) != _media(name):
            raise _lies("META-INF/manifest.xml", f"does not list {name} as {_media(name)}")
    if missing := [name for name in listed if not is_body(name)]:
        raise _lies("META-INF/manifest.xml", f"lists {missing[0]}, which is not there")


def render_asic_manifest(result: bytes) -> bytes:
    """``META-INF/ASiCManifest.xml``: the timestamp token and the hash chain result that it covers."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>'
        f'<asic:ASiCManifest xmlns:asic="{_ASIC}" xmlns:ds="{_DS}">'
        f'<asic:SigReference MimeType="{_TIMESTAMP_TYPE}" URI="{TIMESTAMP}"/>'
        f'<asic:DataObjectReference URI="{TIMESTAMPED}">'
        f'<ds:DigestMethod Algorithm="{_SHA512}"/>'
        f"<ds:DigestValue>{_digest(result)}</ds:DigestValue></asic:DataObjectReference></asic:ASiCManifest>"
    ).encode()


def check_asic_manifest(manifest: bytes, result: bytes | None) -> None:
    """The manifest names the timestamp token and the digest of the hash chain result. Raises `BadMessage`."""
    if result is not None and manifest == render_asic_manifest(result):
        return
    where = "META-INF/ASiCManifest.xml"
    root = _parse(manifest, where, f"{{{_ASIC}}}ASiCManifest")
    if result is None:
        raise _lies(where, f"stands without {TIMESTAMPED}")
    found = [child.tag for child in root]
    if found != [f"{{{_ASIC}}}SigReference", f"{{{_ASIC}}}DataObjectReference"]:
        raise _lies(where, f"names one token and one file in a batch, not {len(found)} things")
    token, covered = root
    if (token.get("URI"), token.get("MimeType")) != (TIMESTAMP, _TIMESTAMP_TYPE):
        raise _lies(where, f"names the token {token.get('URI')}, not {TIMESTAMP} of {_TIMESTAMP_TYPE}")
    method, value = covered.find(f"{{{_DS}}}DigestMethod"), covered.findtext(f"{{{_DS}}}DigestValue")
    if covered.get("URI") != TIMESTAMPED or method is None or method.get("Algorithm") != _SHA512:
        raise _lies(where, f"does not give {TIMESTAMPED} by its SHA-512 digest")
    if "".join((value or "").split()) != _digest(result):
        raise _lies(where, f"gives another digest of {TIMESTAMPED} than the file has")


def _digest(content: bytes) -> str:
    return base64.b64encode(hashlib.sha512(content).digest()).decode("ascii")


def _parse(manifest: bytes, where: str, tag: str) -> etree._Element:
    root = parse_xml(manifest, kind=Kind.MALFORMED_SIGNATURE, what=where)
    if root.tag != tag:
        raise _lies(where, f"begins with {root.tag}, not {tag}")
    return root


def _lies(where: str, how: str) -> BadMessage:
    return BadMessage(Kind.MALFORMED_SIGNATURE, f"{where} of the container {how}")
