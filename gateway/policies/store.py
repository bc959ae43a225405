"""Policies on disk. A document is verified when it is loaded and again each time a snapshot is made of it.

What cannot be proved is not in the snapshot: the services bound to it are then not called (`exchange.policygate`).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from certs.policies import verify_policy
from gateway.policies.gate import Binding, BoundPolicies, Excess
from gateway.rows import client_of, readable
from schemas.faults import Fault, Kind
from schemas.policy import Policy, Suspension, parse_document, parse_signed, parse_unchecked

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from schemas.identifiers import ClientId
    from serving.storage.database import AnyDatabase


class Loaded(msgspec.Struct, frozen=True):
    """A document in the store: what it says, or why it does not count."""

    digest: str
    document: Policy | Suspension | None
    problem: str = ""


class PolicyStore:
    """Authorities, documents and bindings in the server configuration's database."""

    def __init__(self, database: AnyDatabase) -> None:
        self._database = database

    def set_authorities(self, certificates: Sequence[bytes], needed: int) -> None:
        """Say who signs policies and how many of them must. Raises ValueError."""
        if not 1 <= needed <= len(set(certificates)):
            raise ValueError(f"{needed} of {len(set(certificates))} authorities cannot sign a policy")
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM policy_authority")
            connection.executemany(
                "INSERT INTO policy_authority (certificate) VALUES (?)", [(c,) for c in set(certificates)]
            )
            connection.execute(
                "INSERT INTO policy_rule (id, signatures_needed) VALUES (1, ?) "
                "ON CONFLICT (id) DO UPDATE SET signatures_needed = excluded.signatures_needed",
                (needed,),
            )
            connection.execute("UPDATE server SET generation = generation + 1")

    def authorities(self) -> tuple[frozenset[bytes], int]:
        """The authorities' certificates and how many signatures a document needs."""
        rows = self._database.query("SELECT certificate FROM policy_authority")
        rule = self._database.query("SELECT signatures_needed FROM policy_rule")
        return frozenset(bytes(r[0]) for r in rows), int(rule[0][0]) if rule else 0

    def load(self, signed: bytes, now: datetime) -> Policy | Suspension:
        """Take a signed document. Raises `Fault`; nothing changes then.

        A version that is there already may not come with another content, and a version must name the one before it.
        """
        document = self._verify(signed)
        digest = hashlib.sha256(signed).hexdigest()
        if isinstance(document, Policy):
            self._check_sequence(document)
        with self._database.transaction() as connection:
            connection.execute(
                "INSERT INTO policy_document (digest, signed, loaded_at) VALUES (?, ?, ?) "
                "ON CONFLICT (digest) DO NOTHING",
                (digest, signed, now.isoformat()),
            )
            connection.execute("UPDATE server SET generation = generation + 1")
        return document

    def bind(self, client: ClientId, service_code: str, binding: Binding | None) -> None:
        """Put a service under a policy, or under none."""
        with self._database.transaction() as connection:
            if binding is None:
                connection.execute(
                    "DELETE FROM service_policy WHERE client_id = ? AND service_code = ?",
                    (client.path(), service_code),
                )
            else:
                connection.execute(
                    "INSERT INTO service_policy (client_id, service_code, policy_id, excess) VALUES (?, ?, ?, ?) "
                    "ON CONFLICT (client_id, service_code) DO UPDATE SET policy_id = excluded.policy_id, "
                    "excess = excluded.excess",
                    (client.path(), service_code, binding.policy_id, binding.excess.value),
                )
            connection.execute("UPDATE server SET generation = generation + 1")

    def precheck(self, policy_id: str, *, is_on: bool) -> None:
        """Hold requests of this gateway's own clients against a policy before they leave, or no longer."""
        with self._database.transaction() as connection:
            if is_on:
                connection.execute(
                    "INSERT INTO policy_precheck (policy_id) VALUES (?) ON CONFLICT (policy_id) DO NOTHING",
                    (policy_id,),
                )
            else:
                connection.execute("DELETE FROM policy_precheck WHERE policy_id = ?", (policy_id,))
            connection.execute("UPDATE server SET generation = generation + 1")

    def documents(self) -> list[Loaded]:
        """Every document, with what is wrong with it."""
        found: list[Loaded] = []
        for digest, signed in self._database.query(
            "SELECT digest, signed FROM policy_document ORDER BY loaded_at, digest"
        ):
            try:
                found.append(Loaded(digest, self._verify(bytes(signed))))
            except Fault as fault:
                found.append(Loaded(digest, None, fault.detail))
        return found

    def snapshot(self) -> BoundPolicies:
        """Bindings, and the documents that hold."""
        documents = [loaded.document for loaded in self.documents()]
        bound = self._database.query("SELECT client_id, service_code, policy_id, excess FROM service_policy")
        return BoundPolicies(
            dict(readable("service_policy", bound, _binding)),
            tuple(d for d in documents if isinstance(d, Policy)),
            tuple(d for d in documents if isinstance(d, Suspension)),
            frozenset(str(r[0]) for r in self._database.query("SELECT policy_id FROM policy_precheck")),
        )

    def _verify(self, signed: bytes) -> Policy | Suspension:
        authorities, needed = self.authorities()
        return parse_document(verify_policy(parse_signed(signed), authorities, needed))

    def _check_sequence(self, policy: Policy) -> None:
        """A changed version needs a new number, and a new number names its predecessor."""
        earlier: dict[tuple[int, ...], str] = {}
        for (signed,) in self._database.query("SELECT signed FROM policy_document"):
            raw = parse_signed(bytes(signed)).raw
            other = parse_unchecked(raw)
            if not isinstance(other, Policy) or other.id != policy.id:
                continue
            if other.order == policy.order and other != policy:
                raise Fault(
                    Kind.BAD_REQUEST, f"version {policy.version} is loaded already with another content"
                )
            earlier[other.order] = hashlib.sha256(raw).hexdigest()
        before = max((order for order in earlier if order < policy.order), default=None)
        if before is not None and policy.previous != earlier[before]:
            raise Fault(
                Kind.BAD_REQUEST,
                f"version {policy.version} must name the SHA-256 of version "
                f"{'.'.join(map(str, before))}, {earlier[before]}, as 'previous'",
            )


def _binding(row: tuple[Any, ...]) -> tuple[tuple[ClientId, str], Binding]:
    """A service and its policy. What cannot be read of how it is applied applies it strictly: no policy is lost by that."""
    client, code, policy_id, excess = row
    strictly = Excess(excess) if excess in set(Excess) else Excess.REFUSE
    return (client_of(client), code), Binding(str(policy_id), strictly)
