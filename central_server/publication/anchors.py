"""A source's own anchor, made anew from every node's addresses and signing keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from central_server.publication.generate import build_anchor
from central_server.registry.refusals import RegistryCode, refuse
from central_server.store import sources
from schemas.globalconf.anchor import render_anchor

if TYPE_CHECKING:
    from central_server.store.records import Records


def remake_anchor(records: Records, source: str) -> bytes:
    """Make a source's anchor anew, with every node's keys. Raises `Refused`."""
    if records.parameter("instance") is None:
        raise refuse(RegistryCode.INSTANCE_IDENTIFIER_NOT_SET)
    nodes = [
        (address, [k.certificate for k in sources.signing_keys(records, source, name)])
        for name, address, _ in sources.list_nodes(records)
    ]
    nodes = [(address, certificates) for address, certificates in nodes if certificates]
    if not nodes:
        raise refuse(RegistryCode.NO_CONFIGURATION_SIGNING_KEYS_CONFIGURED, source)
    raw = render_anchor(build_anchor(records.instance, source, nodes, records.now))
    sources.keep_source_anchor(records, source, raw)
    return raw


def remake_anchors(records: Records, *, missing: bool = False) -> None:
    """Make the anchors anew that are there; with ``missing`` make instead those that are not but could be."""
    for source in sources.SOURCES:
        there = sources.source_anchor(records, source) is not None
        if there is not missing and sources.signing_keys(records, source):
            remake_anchor(records, source)
