"""Containers in archives of the message log, as the transparency log's verification is shown them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.messagelog.archive import open_archive_zip
from gateway.messagelog.committed import signature_digest
from gateway.transparency.verification import ShownContainer
from schemas.asic.container import record_number
from schemas.faults import Fault
from schemas.zipreading import open_zip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_SIGNATURES = "META-INF/signatures.xml"
_LONGEST_SIGNATURE = 8 * 1024 * 1024


def shown_containers(path: Path) -> Iterator[ShownContainer]:
    """The containers of an archive, sealed or not, by record and signature; one that cannot be read has the digest of nothing.

    Raises `BadMessage` when it is no archive.
    """
    with path.open("rb") as source:
        archive = open_archive_zip(source)
        for name in archive.names:
            if not name.endswith(".asice"):
                continue
            digest = b""
            try:
                with archive.open(name) as container:
                    digest = signature_digest(open_zip(container).read(_SIGNATURES, _LONGEST_SIGNATURE))
            except Fault:
                pass
            yield ShownContainer(record_number(name) or 0, digest, f"{path.name}: {name}")
