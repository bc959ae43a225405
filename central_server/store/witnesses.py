"""Keys of transparency logs and witnesses: those that gateways announced, and those of the central server's nodes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from central_server.store.records import read_rows
from central_server.store.servers import certificates_of, find_server
from certs.algorithms import SignatureAlgorithm, verify_digest_signature
from certs.certificates import parse_certificate
from schemas.faults import Fault, Kind, NotProved
from schemas.globalconf.witnesses import AppointedLog, Appointments, CentralWitness
from schemas.identifiers import parse_server_path
from schemas.transparency.announcement import log_origin
from schemas.transparency.notes import parse_verifier_key

if TYPE_CHECKING:
    from central_server.store.records import Records
    from schemas.transparency.announcement import KeyAnnouncement, SignedAnnouncement
    from schemas.transparency.notes import VerifierKey
    from serving.language import Translatable

# A clock may be so far ahead; a later announcement would keep out those that come after it.
_AHEAD = timedelta(minutes=5)


def list_witnesses(records: Records, faults: list[Translatable] | None = None) -> Appointments:
    """Every key there is, nobody appointed. With ``faults`` a row that is none is said there and left out."""
    nodes = records.rows("SELECT node, url, key FROM central_witness ORDER BY node")
    logs = records.rows("SELECT server, log_key, witness_key FROM transparency_keys ORDER BY server")
    return Appointments(
        tuple(read_rows(records, "central_witness", nodes, _witness, faults, "node")),
        tuple(read_rows(records, "transparency_keys", logs, _log, faults, "server")),
    )


def _witness(row: tuple[str, str, str]) -> CentralWitness:
    return CentralWitness(row[1], parse_verifier_key(row[2]))


def _log(row: tuple[str, str, str]) -> AppointedLog:
    return AppointedLog(parse_server_path(row[0]), parse_verifier_key(row[1]), parse_verifier_key(row[2]))


def verify_announcement(records: Records, signed: SignedAnnouncement, now: datetime) -> bool:
    """Prove that a registered server announced these keys; whether they are other ones than are kept.

    1. The server is registered. 2. The signature is of one of its authentication certificates. 3. It is not of the future, nor
    older than the announcement that is kept. Raises `NotProved`, or `BadMessage` for an algorithm that is none.
    """
    announced = signed.announcement
    server = find_server(records, announced.server)
    if server is None:
        raise NotProved(
            Kind.UNKNOWN_MEMBER, f"{announced.server.path()} is no security server of {records.instance}"
        )
    algorithm = SignatureAlgorithm.from_jca_name(signed.algorithm)
    digest = algorithm.digest.digest(signed.statement)
    if not any(
        _is_of(kept.der, signed.signature, digest, algorithm) for kept in certificates_of(records, server)
    ):
        raise NotProved(
            Kind.INVALID_SIGNATURE_VALUE,
            f"no authentication certificate that {announced.server.path()} has registered proves the announcement",
        )
    row = records.row(
        "SELECT log_key, witness_key, at FROM transparency_keys WHERE server = ?",
        log_origin(announced.server),
    )
    if announced.at > now + _AHEAD:
        raise NotProved(Kind.INVALID_SIGNATURE_VALUE, "the announcement is of the future; check the clocks")
    if row is None:
        return True
    if announced.at < datetime.fromisoformat(row[2]):
        raise NotProved(Kind.INVALID_SIGNATURE_VALUE, f"keys were announced after this, at {row[2]}")
    return (announced.log_key.render(), announced.witness_key.render()) != (row[0], row[1])


def _is_of(der: bytes, signature: bytes, digest: bytes, algorithm: SignatureAlgorithm) -> bool:
    try:
        verify_digest_signature(
            parse_certificate(der).public_key(), signature, digest, algorithm, ecdsa_format="der"
        )
    except Fault:
        return False
    return True


def keep_announcement(records: Records, announced: KeyAnnouncement) -> None:
    """Keep the proved keys of a server."""
    name = log_origin(announced.server)
    old = records.row("SELECT log_key, witness_key FROM transparency_keys WHERE server = ?", name)
    new = (announced.log_key.render(), announced.witness_key.render())
    records.rows(
        "INSERT INTO transparency_keys (server, log_key, witness_key, at) VALUES (?, ?, ?, ?) ON CONFLICT (server) "
        "DO UPDATE SET log_key = excluded.log_key, witness_key = excluded.witness_key, at = excluded.at",
        name,
        *new,
        announced.at.astimezone(UTC).isoformat(),
    )
    records.note(
        "ANNOUNCE_TRANSPARENCY_KEYS", announced.server.path(), before=[] if old is None else old, after=new
    )


def central_witness(records: Records) -> CentralWitness | None:
    """This node as a witness, as it is published."""
    row = records.row("SELECT url, key FROM central_witness WHERE node = ?", records.node)
    return None if row is None else CentralWitness(row[0], parse_verifier_key(row[1]))


def keep_central_witness(records: Records, witness: CentralWitness) -> None:
    """Publish this node as a witness under this address and key."""
    old, new = central_witness(records), (witness.url, witness.key.render())
    records.rows(
        "INSERT INTO central_witness (node, url, key) VALUES (?, ?, ?) ON CONFLICT (node) DO UPDATE SET "
        "url = excluded.url, key = excluded.key",
        records.node,
        *new,
    )
    records.note(
        "SET_WITNESS",
        records.node,
        before=[] if old is None else [old.url, old.key.render()],
        after=new,
    )


def log_key(records: Records, name: str) -> VerifierKey | None:
    """The key of the log of this name, of a server that is registered; None for any other."""
    row = records.row("SELECT log_key FROM transparency_keys WHERE server = ?", name)
    if row is None or find_server(records, parse_server_path(name)) is None:
        return None
    return parse_verifier_key(row[0])
