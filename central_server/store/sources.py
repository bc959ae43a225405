"""What configuration sources are made of: nodes, signing keys, anchors (own and trusted), optional parts, TLS."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from central_server.registry.refusals import RegistryCode, refuse
from central_server.store.records import read_row, read_rows
from certs.tokens.port import KeyId
from schemas.globalconf.anchor import parse_anchor
from schemas.globalconf.shared import Source
from schemas.names import check_code, check_name
from serving.errors import OperatorError
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Iterable

    from central_server.store.records import Records
    from schemas.globalconf.anchor import Anchor
    from serving.language import Translatable
    from serving.storage.transactions import Transaction

SOURCES = ("internal", "external")
MOST_KEYS = 2


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key of this node that signs the configuration of one source, with its verification certificate (DER)."""

    key_id: KeyId
    source: str
    certificate: bytes
    active: bool
    label: str = ""
    token_id: str = "0"  # a number
    created_at: str = ""
    published_at: str | None = None


@dataclass(frozen=True, slots=True)
class OptionalPart:
    """An optional part of the internal configuration."""

    content_id: str
    file_name: str
    raw: bytes
    updated_at: str


# Nodes


def node_address(records: Records) -> str | None:
    """This node's public address, once it has one."""
    row = records.row("SELECT address FROM node WHERE name = ?", records.node)
    return None if row is None else read_row(records, "node", (records.node, row[0]), _address, "name")


def _address(row: tuple[str, str]) -> str:
    urlsplit(f"//{row[1]}")  # raises ValueError where it is no address
    return row[1]


def set_node_address(records: Records, address: str) -> None:
    """Give this node a public address; its anchors must be made anew."""
    check_name(address, "the central server's address")
    old = node_address(records)
    records.rows(
        "INSERT INTO node (name, address) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET address = excluded.address",
        records.node,
        address,
    )
    records.note(
        "EDIT_CENTRAL_SERVER_ADDRESS",
        records.node,
        before=[] if old is None else [f"address {old}"],
        after=[f"address {address}"],
    )


def list_nodes(records: Records) -> list[tuple[str, str, str | None]]:
    """Name, address and time of the last publication of every node."""
    rows = records.rows("SELECT name, address, published_at FROM node ORDER BY name")
    return [(r[0], r[1], r[2]) for r in rows]


def forget_node(records: Records, name: str) -> None:
    """Take another node out of the database, with its keys and certificates; anchors must be made anew. Raises `OperatorError`."""
    addresses = {known: address for known, address, _published in list_nodes(records)}
    if name not in addresses:
        raise OperatorError(
            N_("there is no node {name}; there are: {nodes}", name=name, nodes=", ".join(addresses))
        )
    if name == records.node:
        raise OperatorError(N_("{name} is this node: forget it from another one", name=name))
    keys = [k.key_id for source in SOURCES for k in signing_keys(records, source, name)]
    for table in ("signing_key", "tls_certificate", "central_witness"):
        records.rows(f"DELETE FROM {table} WHERE node = ?", name)
    records.rows("DELETE FROM node WHERE name = ?", name)
    records.note("FORGET_NODE", name, before=[f"address {addresses[name]}", *(f"key {key}" for key in keys)])


def list_sources(records: Records) -> tuple[Source, ...]:
    """Every node with the certificates its configuration may be verified with, as shared parameters name them."""
    found = []
    for name, address, _published in list_nodes(records):
        certificates = {
            source: tuple(k.certificate for k in signing_keys(records, source, name)) for source in SOURCES
        }
        found.append(Source(address, certificates["internal"], certificates["external"]))
    return tuple(found)


# Signing keys


def signing_keys(records: Records, source: str, node: str | None = None) -> tuple[SigningKey, ...]:
    """The signing keys of a source on this node (or another), the active one first."""
    rows = records.rows(
        "SELECT key_id, source, certificate, active, label, token_id, created_at, published_at FROM signing_key "
        "WHERE source = ? AND node = ? ORDER BY active DESC, created_at, key_id",
        source,
        node or records.node,
    )
    return tuple(read_rows(records, "signing_key", rows, _signing_key, key="key_id"))


def _signing_key(r: tuple[Any, ...]) -> SigningKey:
    return SigningKey(KeyId(r[0]), r[1], bytes(r[2]), bool(r[3]), r[4], r[5], r[6], r[7])


def need_signing_key(records: Records, key_id: str) -> SigningKey:
    """A signing key of this node. Raises `Refused`."""
    for source in SOURCES:
        for key in signing_keys(records, source):
            if key.key_id == key_id:
                return key
    text = N_("there is no signing key {key}; central-server key list shows those there are", key=key_id)
    raise refuse(RegistryCode.SIGNING_KEY_NOT_FOUND, key_id, text=text)


def check_room_for_key(records: Records, source: str) -> None:
    """Refuse a third key of a source."""
    if len(signing_keys(records, source)) >= MOST_KEYS:
        raise refuse(
            RegistryCode.TOKEN_ACTION_NOT_POSSIBLE,
            f"the {source} source has {MOST_KEYS} keys; delete one first",
            text=N_(
                "the {source} source has {number} keys; delete one first", source=source, number=MOST_KEYS
            ),
        )


def add_signing_key(records: Records, key: SigningKey) -> SigningKey:
    """Keep a signing key; the first of a source is active at once."""
    active = not signing_keys(records, key.source)
    records.rows(
        "INSERT INTO signing_key (key_id, node, source, token_id, label, certificate, active, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        key.key_id,
        records.node,
        key.source,
        key.token_id,
        key.label,
        key.certificate,
        int(active),
        records.at,
    )
    records.note("GENERATE_KEY", key.source, after=[f"key {key.key_id}"], active=active)
    return need_signing_key(records, key.key_id)


def known_since(records: Records, key: SigningKey, lifetime_s: int) -> tuple[datetime, datetime] | None:
    """Since when a key's certificate is published, and when every gateway that runs has met it; None before it is published.

    A gateway whose configuration holds has fetched within that configuration's lifetime (``lifetime_s``, seconds); one that was stopped has not.
    """
    if key.published_at is None:
        return None
    since = datetime.fromisoformat(key.published_at)
    return since, since + timedelta(seconds=lifetime_s)


def last_publication(records: Records) -> datetime | None:
    """When this node published last; None before it has."""
    published = next((at for name, _address, at in list_nodes(records) if name == records.node), None)
    return None if published is None else datetime.fromisoformat(published)


def note_publication(
    sql: Transaction, node: str, now: datetime, known: Iterable[KeyId], lifetime: timedelta
) -> None:
    """Note a publication of a node, and of which of its keys it has the certificates.

    Where the one before had ended already, gateways may have been without a configuration that tells of a key: it counts anew.
    """
    moment = now.isoformat(timespec="milliseconds")
    rows = sql.execute("SELECT published_at FROM node WHERE name = ?", (node,)).fetchall()
    before = rows[0][0] if rows else None
    if before is None or not now - lifetime <= datetime.fromisoformat(before) <= now:
        sql.execute("UPDATE signing_key SET published_at = NULL WHERE node = ?", (node,))
    sql.executemany(
        "UPDATE signing_key SET published_at = ? WHERE node = ? AND key_id = ? AND published_at IS NULL",
        [(moment, node, key_id) for key_id in known],
    )
    sql.execute("UPDATE node SET published_at = ? WHERE name = ?", (moment, node))


def activate_signing_key(records: Records, key_id: str) -> None:
    """Sign with this key from now on. Raises `Refused`."""
    key = need_signing_key(records, key_id)
    if key.active:
        raise refuse(
            RegistryCode.SIGNING_KEY_ACTION_NOT_POSSIBLE,
            "the key is active already",
            text=N_("the key {key} signs already", key=key_id),
        )
    old = signing_keys(records, key.source)[0]
    records.rows(
        "UPDATE signing_key SET active = CASE WHEN key_id = ? THEN 1 ELSE 0 END WHERE source = ? AND node = ?",
        key_id,
        key.source,
        records.node,
    )
    records.note(
        "ACTIVATE_SIGNING_KEY", key.source, before=[f"active {old.key_id}"], after=[f"active {key_id}"]
    )


def delete_signing_key(records: Records, key_id: str) -> SigningKey:
    """Forget a key that does not sign. Raises `Refused`."""
    key = need_signing_key(records, key_id)
    if key.active:
        raise refuse(
            RegistryCode.SIGNING_KEY_ACTION_NOT_POSSIBLE,
            "the active key signs the configuration; activate another one first",
            text=N_("the key {key} signs the configuration; activate another one first", key=key_id),
        )
    records.rows("DELETE FROM signing_key WHERE key_id = ?", key_id)
    records.note("DELETE_SIGNING_KEY", key.source, before=[f"key {key_id}"])
    return key


# Own anchors


def source_anchor(records: Records, source: str) -> tuple[bytes, str] | None:
    """The anchor file of a source and when it was made."""
    row = records.row("SELECT raw, created_at FROM source_anchor WHERE source = ?", source)
    return None if row is None else (bytes(row[0]), str(row[1]))


def keep_source_anchor(records: Records, source: str, raw: bytes) -> None:
    """Keep an anchor file made anew."""
    records.rows(
        "INSERT INTO source_anchor (source, raw, created_at) VALUES (?, ?, ?) ON CONFLICT (source) "
        "DO UPDATE SET raw = excluded.raw, created_at = excluded.created_at",
        source,
        raw,
        records.at,
    )
    records.note("RE_CREATE_ANCHOR", source, after=[f"anchor {anchor_digest(raw)}"])


def anchor_digest(raw: bytes) -> str:
    """The digest of an anchor's file as people compare it, without colons."""
    return hashlib.sha224(raw).hexdigest().upper()


# Trusted anchors of other instances


def list_trusted_anchors(records: Records, faults: list[Translatable] | None = None) -> list[Anchor]:
    """The anchors of federated instances. With ``faults`` one that cannot be read is said there and left out."""
    rows = records.rows("SELECT instance, raw FROM trusted_anchor ORDER BY instance")
    return read_rows(
        records, "trusted_anchor", rows, lambda row: parse_anchor(bytes(row[1])), faults, "instance"
    )


def need_trusted_anchor(records: Records, digest: str) -> Anchor:
    """A trusted anchor by its digest, colons or not. Raises `Refused`."""
    row = records.row("SELECT raw FROM trusted_anchor WHERE digest = ?", digest.replace(":", "").upper())
    if row is None:
        raise refuse(RegistryCode.TRUSTED_ANCHOR_NOT_FOUND, digest)
    return parse_anchor(bytes(row[0]))


def keep_trusted_anchor(records: Records, anchor: Anchor) -> None:
    """Trust another instance, or trust it by a newer anchor. Raises `Refused` (``trusted_anchor_of_own_instance``)."""
    if anchor.instance == records.parameter("instance"):
        raise refuse(RegistryCode.TRUSTED_ANCHOR_OF_OWN_INSTANCE, anchor.instance)
    check_code(anchor.instance, f"trusted anchor: the instance {anchor.instance!r}")
    digest = anchor_digest(anchor.raw)
    old = records.row("SELECT digest FROM trusted_anchor WHERE instance = ?", anchor.instance)
    records.rows("DELETE FROM trusted_anchor WHERE instance = ?", anchor.instance)
    records.rows(
        "INSERT INTO trusted_anchor (digest, instance, raw) VALUES (?, ?, ?)",
        digest,
        anchor.instance,
        anchor.raw,
    )
    records.note(
        "ADD_TRUSTED_ANCHOR",
        anchor.instance,
        before=[] if old is None else [f"anchor {old[0]}"],
        after=[f"anchor {digest}"],
    )


def delete_trusted_anchor(records: Records, digest: str) -> None:
    """Remove the anchor of another instance. Raises `Refused` (``trusted_anchor_not_found``)."""
    anchor = need_trusted_anchor(records, digest)
    found = anchor_digest(anchor.raw)
    records.rows("DELETE FROM trusted_anchor WHERE digest = ?", found)
    records.note("DELETE_TRUSTED_ANCHOR", anchor.instance, before=[f"anchor {found}"])


# Optional parts


def list_optional_parts(records: Records) -> tuple[OptionalPart, ...]:
    """Every optional part there is."""
    rows = records.rows(
        "SELECT content_id, file_name, raw, updated_at FROM optional_part ORDER BY content_id"
    )
    return tuple(OptionalPart(r[0], r[1], bytes(r[2]), r[3]) for r in rows)


def keep_optional_part(records: Records, content_id: str, file_name: str, raw: bytes) -> None:
    """Keep a checked optional part."""
    old = next((p for p in list_optional_parts(records) if p.content_id == content_id), None)
    records.rows(
        "INSERT INTO optional_part (content_id, file_name, raw, updated_at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (content_id) DO UPDATE SET file_name = excluded.file_name, raw = excluded.raw, "
        "updated_at = excluded.updated_at",
        content_id,
        file_name,
        raw,
        records.at,
    )
    records.note(
        "UPLOAD_CONFIGURATION_PART",
        content_id,
        before=[] if old is None else [f"sha256 {hashlib.sha256(old.raw).hexdigest()}"],
        after=[f"sha256 {hashlib.sha256(raw).hexdigest()}"],
    )


# TLS of the management services


def tls_certificate(records: Records) -> tuple[KeyId, bytes] | None:
    """Key and certificate (DER) that this node's registration and management services show."""
    row = records.row("SELECT key_id, certificate FROM tls_certificate WHERE node = ?", records.node)
    return None if row is None else (KeyId(row[0]), bytes(row[1]))


def keep_tls_certificate(records: Records, key_id: KeyId, certificate: bytes) -> None:
    """Show another certificate from now on."""
    old = tls_certificate(records)
    records.rows(
        "INSERT INTO tls_certificate (node, key_id, certificate) VALUES (?, ?, ?) ON CONFLICT (node) "
        "DO UPDATE SET key_id = excluded.key_id, certificate = excluded.certificate",
        records.node,
        key_id,
        certificate,
    )
    records.note(
        "SET_MANAGEMENT_SERVICE_TLS_CERT",
        records.node,
        before=[] if old is None else [f"certificate {hashlib.sha256(old[1]).hexdigest()}"],
        after=[f"certificate {hashlib.sha256(certificate).hexdigest()}"],
    )
