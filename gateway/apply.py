"""Applying one file to a gateway's configuration: read, compare, change in one transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING

from certs.certificates import to_der
from gateway.serverconf.wanted import compare, compare_timestamping, parse_wanted, settle

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from gateway.serverconf.store import ServerConfStore


def apply_file(store: ServerConfStore, file: Path, now: datetime, *, dry_run: bool = False) -> list[str]:
    """Make the configuration what ``file`` asks for; the changes in words, none when all was so already."""

    def read_certificate(name: str) -> bytes:
        return to_der(read(name))

    def read(name: str) -> bytes:
        return (file.parent / name).read_bytes()

    there = store.load()
    wanted = parse_wanted(
        file.read_text(encoding="utf-8"),
        there.server_id,
        read_certificate,
        read,
        yaml=file.suffix in (".yaml", ".yml"),
    )
    conf = settle(there, wanted.conf)
    changes = compare(there, conf)
    changes += compare_timestamping(store.view.timestamping.all(), wanted.timestamping)
    if changes and not dry_run:
        store.replace(conf, now, wanted.documents, wanted.timestamping)
    return changes
