"""One node of a central server: its store, its token, and what it publishes.

Everything that needs the token is here: initialising, logging in, making signing keys and the TLS key of the management
services, signing what is published. Keys are made before the rows that name them, so a crash in between leaves a key that
nobody uses and never a row without its key.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509

from central_server.generate import build_anchor, host_of
from central_server.publish import (
    Generated,
    Published,
    generate,
    load_publication,
    save_publication,
    sign_publication,
    source_key,
)
from central_server.refusals import Refused, refuse
from central_server.store import sources
from central_server.store.groups import add_owners_group
from central_server.store.loading import load_registry
from central_server.store.records import CentralStore
from certs.csr import general_name
from certs.edges.tokenfiles import TokenFolder
from certs.softtoken import SoftToken
from certs.tls import TlsCredentials
from schemas.faults import Fault
from schemas.globalconf.anchor import render_anchor
from schemas.globalconf.shared import CURRENT_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from central_server.config import Publishing, Settings
    from central_server.store.records import Actor, Records
    from certs.tokens import KeyId

log = logging.getLogger("central_server")

SOFT_TOKEN = "0"  # noqa: S105  the number X-Road gives its software token
NOT_YET = "nothing published yet"


@dataclass(frozen=True, slots=True)
class _Cached:
    """What was generated from a generation of the store."""

    generation: int
    generated: Generated


def open_store(data: Path, settings: Settings) -> CentralStore:
    """The store the settings name."""
    return CentralStore(settings.node.database or data / "central.sqlite", settings.node.name)


class CentralNode:
    """One node."""

    def __init__(self, folder: Path, store: CentralStore, publishing: Publishing) -> None:
        self.store = store
        self.published = Published()
        self.problem: str | None = NOT_YET
        self._folder = folder
        self._publishing = publishing
        self._storage = TokenFolder(folder / "token")
        self._token = SoftToken(self._storage)
        self._cached: _Cached | None = None
        self._seen = -1
        self._unlocked: list[Callable[[], None]] = []
        self.published.current = load_publication(folder / "published")

    def close(self) -> None:
        """Lock the token and close the store."""
        self._token.close()
        self.store.close()

    # The token

    @property
    def token(self) -> SoftToken:
        """The software token."""
        return self._token

    @property
    def has_token(self) -> bool:
        """Whether the software token has been made."""
        return self._storage.read_token() is not None

    def when_unlocked(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` whenever keys have become usable or others are to be used."""
        self._unlocked.append(callback)

    def create_token(self, pin: str) -> None:
        """Make the software token. Raises `TokenFailed` when there is one."""
        self._token = SoftToken.create(self._storage, pin)

    def initialise(self, instance: str, address: str, pin: str, actor: Actor, now: datetime) -> None:
        """Give the central server its instance, address and token. Parts already set must be the same.

        Raises `Refused` when it is initialised, `TokenFailed` when the PIN cannot be one.
        """
        records = self.store.read()
        known, own = records.parameter("instance"), sources.node_address(records)
        if known is not None and own is not None and self.has_token:
            raise refuse("init_already_initialized")
        if known not in (None, instance):
            raise refuse("init_already_initialized", f"the instance is {known}")
        if not self.has_token:
            self.create_token(pin)
        else:
            self._token.unlock(pin)
        with self.store.change(actor, now) as change:
            change.set_parameter("instance", instance)
            sources.set_node_address(change, address)
            add_owners_group(change)
            change.note("INIT_CENTRAL_SERVER", instance, after=[f"instance {instance}", f"address {address}"])
        self._after_unlock(actor, now)

    def log_in(self, pin: str, actor: Actor, now: datetime) -> None:
        """Unlock the token. Raises `TokenFailed`."""
        self._token.unlock(pin)
        self._after_unlock(actor, now)

    def log_out(self) -> None:
        """Lock the token; what is published stays until it expires."""
        self._token.lock()

    def _after_unlock(self, actor: Actor, now: datetime) -> None:
        records = self.store.read()
        if sources.node_address(records) is not None and sources.tls_certificate(records) is None:
            self.make_tls_certificate(actor, now)
        self._seen = -1
        self._call_unlocked()

    def _call_unlocked(self) -> None:
        for callback in self._unlocked:
            callback()

    # Keys

    def make_signing_key(self, source: str, label: str, actor: Actor, now: datetime) -> sources.SigningKey:
        """A new signing key of a source; the first signs at once. Its anchor is made anew."""
        if not self._token.is_unlocked:
            raise refuse("token_action_not_possible", "the token is locked; log in first")
        sources.check_room_for_key(self.store.read(), source)
        key_id = self._token.generate_key(self._publishing.key_kind, label, "sign")
        name = x509.Name(
            [x509.NameAttribute(x509.NameOID.COMMON_NAME, f"{source} configuration signing key")]
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .serial_number(x509.random_serial_number())
            .not_valid_before(datetime(1970, 1, 1, tzinfo=UTC))
            .not_valid_after(datetime(2038, 1, 1, tzinfo=UTC))
        )
        certificate = self._token.self_sign(key_id, builder)
        with self.store.change(actor, now) as records:
            sources.check_room_for_key(records, source)
            made = sources.add_signing_key(
                records,
                sources.SigningKey(
                    key_id, source, certificate, active=False, label=label, token_id=SOFT_TOKEN
                ),
            )
            if sources.node_address(records) is not None:
                remake_anchor(records, source)
        return made

    def delete_signing_key(self, key_id: str, actor: Actor, now: datetime) -> None:
        """Forget a key that does not sign, in the store first and then on the token."""
        if not self._token.is_unlocked:
            raise refuse("token_action_not_possible", "the token is locked; log in first")
        with self.store.change(actor, now) as records:
            gone = sources.delete_signing_key(records, key_id)
            remake_anchor(records, gone.source)
        self._token.remove_key(gone.key_id)

    def make_tls_certificate(self, actor: Actor, now: datetime) -> bytes:
        """A new key for the management services with a certificate of its own making; the certificate (DER)."""
        if not self._token.is_unlocked:
            raise refuse("token_action_not_possible", "the token is locked; log in first")
        address = host_of(sources.node_address(self.store.read()) or "localhost")
        key_id = self._token.generate_key("rsa-2048", "management services TLS", "auth")
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, address[:64])])
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=7300))
            .add_extension(x509.SubjectAlternativeName([general_name(address)]), critical=False)
        )
        certificate = self._token.self_sign(key_id, builder)
        self.keep_tls_certificate(key_id, certificate, actor, now)
        return certificate

    def keep_tls_certificate(self, key_id: KeyId, certificate: bytes, actor: Actor, now: datetime) -> None:
        """Show another certificate from now on, to gateways that have it from the configuration."""
        with self.store.change(actor, now) as records:
            sources.keep_tls_certificate(records, key_id, certificate)
        self._call_unlocked()

    def tls_credentials(self) -> TlsCredentials | None:
        """What the management services show; None while the token is locked or has no key for it."""
        found = sources.tls_certificate(self.store.read())
        if found is None or not self._token.is_unlocked:
            return None
        return TlsCredentials(
            self._token.tls_private_key(found[0]), (x509.load_der_x509_certificate(found[1]),)
        )

    # Publishing

    async def publish_if_due(self, now: datetime) -> bool:
        """Publish when the store changed, or when the last directory is old; whether it did."""
        generation = self.store.generation()
        current = self.published.current
        old = current is None or now - current.at >= self._renewed_after()
        if generation == self._seen and not old:
            return False
        try:
            if not self._token.is_unlocked:
                raise refuse("token_action_not_possible", "the token is locked; log in or give its PIN")
            await self._publish(generation, now)
        except (Fault, Refused, ValueError, LookupError) as err:
            problem = f"the configuration could not be generated, the old one stays: {err}"
            if problem != self.problem:
                log.error("generation failed", extra={"event": "generation_failed", "reason": str(err)})
            self.problem, self._seen = problem, generation
            return False
        self._seen, self.problem = generation, None
        log.info("configuration published", extra={"event": "published", "generation": generation})
        return True

    def _renewed_after(self) -> timedelta:
        """As set, but at the latest when half of a directory's lifetime is over."""
        wanted = self._publishing.regenerate_s
        lifetime = wanted * 2 if self._cached is None else self._cached.generated.expire_interval_s
        return timedelta(seconds=min(wanted, lifetime / 2))

    async def _publish(self, generation: int, now: datetime) -> None:
        records = self.store.read()
        if self._cached is None or self._cached.generation != generation:
            versions = range(self._publishing.minimum_version, CURRENT_VERSION + 1)
            registry = await asyncio.to_thread(load_registry, records)
            self._cached = _Cached(generation, await asyncio.to_thread(generate, registry, versions))
        keys = {}
        for source in sources.SOURCES:
            active = next((k for k in sources.signing_keys(records, source) if k.active), None)
            if active is None:
                raise refuse("no_configuration_signing_keys_configured", source)
            keys[source] = source_key(active, self._token.public_key(active.key_id))
        fresh = await sign_publication(self._cached.generated, keys, self._token, now, self.published.current)
        await asyncio.to_thread(save_publication, fresh, self._folder / "published")
        self.published.put_in_force(fresh, timedelta(seconds=self._publishing.keep_parts_s))
        with self.store.database.transaction() as sql:
            sql.execute(
                "UPDATE node SET published_at = ? WHERE name = ?",
                (now.isoformat(timespec="milliseconds"), self.store.node),
            )


def remake_anchor(records: Records, source: str) -> bytes:
    """Make a source's anchor anew, with every node's keys. Raises `Refused`."""
    nodes = [
        (address, [k.certificate for k in sources.signing_keys(records, source, name)])
        for name, address, _ in sources.list_nodes(records)
    ]
    nodes = [(address, certificates) for address, certificates in nodes if certificates]
    if not nodes:
        raise refuse("no_configuration_signing_keys_configured", source)
    raw = render_anchor(build_anchor(records.instance, source, nodes, records.now))
    sources.keep_source_anchor(records, source, raw)
    return raw


def remake_anchors(records: Records, *, missing: bool = False) -> None:
    """Make the anchors anew that are there; with ``missing`` make instead those that are not but could be."""
    for source in sources.SOURCES:
        there = sources.source_anchor(records, source) is not None
        if there is not missing and sources.signing_keys(records, source):
            remake_anchor(records, source)
