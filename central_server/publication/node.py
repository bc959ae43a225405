"""One node of a central server: its store, its keys (`central_server.publication.nodekeys`), and what it publishes.

A row of the registry that cannot be published as it is does not stop the others (`central_server.publication.publishable`): it is
named in `CentralNode.faults`. A generation that fails as a whole leaves the one before in force, whose directories go on
being signed so that it does not expire; why it failed is `CentralNode.problem`, and it is tried again every `RETRY` until
it succeeds.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from central_server.publication.nodekeys import NodeKeys
from central_server.publication.publish import (
    Generated,
    GeneratedPart,
    Published,
    generate,
    load_publication,
    save_publication,
    sign_publication,
    source_key,
)
from central_server.publication.publishable import publishable
from central_server.registry.refusals import RegistryCode, refuse
from central_server.store import sources
from central_server.store.groups import add_owners_group
from central_server.store.loading import load_registry, number_parameter
from central_server.store.records import CentralStore
from certs.certificates import parse_certificate
from certs.edges.devices import SoftwareDevice
from certs.edges.tokenfiles import TokenFolder
from certs.profiles import STANDARD_PROFILES
from certs.tokens.port import SOFTWARE_TOKEN_ID, KeyId
from certs.tokens.soft import SoftToken
from schemas.faults import Fault
from schemas.globalconf.shared import CURRENT_VERSION
from serving.errors import OperatorError, Refused
from serving.language import N_, SOURCE_LANGUAGE
from serving.process.failing import wording_of
from serving.storage.damage import reading_row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from central_server.config import CentralSettings, Publishing
    from central_server.publication.publish import Publication
    from central_server.store.records import Actor, Records
    from certs.edges.devices import Device
    from certs.profiles import CertificateProfiles
    from serving.language import Translatable

log = logging.getLogger("central_server")

NOT_YET = N_("nothing published yet")
RETRY = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class _Cached:
    """The parts generated from a generation of the store, this node's keys that they make known, and the rows at fault, in words."""

    generation: int
    generated: Generated
    keys: tuple[KeyId, ...]
    faults: tuple[Translatable, ...] = ()


def open_store(data: Path, settings: CentralSettings) -> CentralStore:
    """The store the settings name."""
    return CentralStore(settings.node.database or data / "central.sqlite", settings.node.name)


def _kept_publication(folder: Path) -> Publication | None:
    """The publication on the disk; None without one, or when it is damaged, for it is made anew then."""
    try:
        return load_publication(folder)
    except ValueError as err:
        log.error("published files unusable", extra={"event": "publication_damaged", "reason": str(err)})
        return None


def _generate(records: Records, generation: int, versions: Sequence[int], witnesses: int) -> _Cached:
    unread: list[Translatable] = []
    registry, mended = publishable(load_registry(records, unread))
    keys = tuple(k.key_id for source in sources.SOURCES for k in sources.signing_keys(records, source))
    return _Cached(generation, generate(registry, versions, witnesses), keys, (*unread, *mended))


class CentralNode:
    """One node. Without ``devices`` it has the software token of its folder."""

    def __init__(
        self,
        folder: Path,
        store: CentralStore,
        publishing: Publishing,
        devices: Sequence[Device] = (),
        profiles: CertificateProfiles = STANDARD_PROFILES,
    ) -> None:
        self.store = store
        self.profiles = profiles
        self.published = Published()
        self.problem: Translatable | None = NOT_YET
        # Rows of the registry that were mended or left out of what is published.
        self.faults: tuple[Translatable, ...] = ()
        software = SoftwareDevice(SOFTWARE_TOKEN_ID, SoftToken(TokenFolder(folder / "token")))
        self.keys = NodeKeys(store, devices or [software], publishing.key_kind)
        self._folder = folder
        self._publishing = publishing
        self._cached: _Cached | None = None
        self._seen = -1
        self._again_at: datetime | None = None
        self.published.current = _kept_publication(folder / "published")
        self.keys.when_opened(self._look_again)

    async def close(self) -> None:
        """Lock the tokens and close the store."""
        await self.keys.close()
        self.store.close()

    async def _look_again(self) -> None:
        self._seen = -1

    async def initialise(self, instance: str, address: str, pin: str, actor: Actor, now: datetime) -> None:
        """Give the central server its instance, address and token. Parts already set must be the same.

        Raises `Refused` when it is initialised, `TokenFailed` when the PIN cannot be one.
        """
        records, is_made = self.store.read(), await self.keys.is_made()
        known, own = records.parameter("instance"), sources.node_address(records)
        if known is not None and own is not None and is_made:
            raise refuse(RegistryCode.INIT_ALREADY_INITIALIZED)
        if known not in (None, instance):
            raise refuse(RegistryCode.INIT_ALREADY_INITIALIZED, N_("the instance is {known}", known=known))
        if is_made:
            await self.keys.log_in(pin, actor, now)
        else:
            await self.keys.make_token(pin)
        with self.store.change(actor, now) as change:
            change.set_parameter("instance", instance)
            sources.set_node_address(change, address)
            add_owners_group(change)
            change.note("INIT_CENTRAL_SERVER", instance, after=[f"instance {instance}", f"address {address}"])
        await self.keys.log_in(pin, actor, now)

    # Publishing

    @property
    def current_problem(self) -> Translatable | None:
        """Why what the store has now is not published; None too where it changed since and has not been tried."""
        return self.problem if self._seen == self.store.generation() else None

    async def publish_if_due(self, now: datetime) -> bool:
        """Publish when the store changed, when the last directory is old, or when it is time to try again; whether a new one is in force.

        A generation that fails is logged, and stands in ``problem``; it is tried again after `RETRY`.
        """
        generation = self.store.generation()
        current = self.published.current
        # One that lies ahead was made before the clock was set back: nobody waits for that time to come again.
        old = current is None or not timedelta(0) <= now - current.at < self._renewed_after()
        again = self._again_at is not None and not now < self._again_at <= now + RETRY
        if generation == self._seen and not again and (not old or self._again_at is not None):
            return False
        try:
            await self._publish(generation, now)
        except Exception as err:  # whatever it was, it is said on /health and tried again
            problem = wording_of(err)
            if problem != self.problem:
                # A fault or a refusal says what it is; of anything else the place is needed.
                place = (
                    None if isinstance(err, Fault | Refused | OperatorError | sqlite3.DatabaseError) else err
                )
                log.error(
                    "generation failed",
                    extra={"event": "generation_failed", "reason": problem.into(SOURCE_LANGUAGE)},
                    exc_info=place,
                )
            self.problem, self._seen, self._again_at = problem, generation, now + RETRY
            if old:
                await self._renew(now)
            return False
        self._seen, self.problem, self._again_at = generation, None, None
        log.info("configuration published", extra={"event": "published", "generation": generation})
        return True

    def _renewed_after(self) -> timedelta:
        """The time between two publications: ``regenerate_s``, but at most half of a directory's lifetime."""
        interval_s = self._publishing.regenerate_s
        lifetime = interval_s * 2 if self._cached is None else self._cached.generated.expire_interval_s
        return timedelta(seconds=min(interval_s, lifetime / 2))

    async def _publish(self, generation: int, now: datetime) -> None:
        records = self.store.read()
        if self._cached is None or self._cached.generation != generation:
            versions = range(self._publishing.minimum_version, CURRENT_VERSION + 1)
            self._cached = await asyncio.to_thread(
                _generate, records, generation, versions, self._publishing.witnesses
            )
        await self._sign(self._cached.generated, now, self._cached.keys)
        self._log_faults(self._cached.faults)

    def _log_faults(self, faults: tuple[Translatable, ...]) -> None:
        if faults != self.faults:
            for fault in faults:
                reason = fault.into(SOURCE_LANGUAGE)
                log.error("registry row at fault", extra={"event": "row_at_fault", "reason": reason})
        self.faults = faults

    async def _renew(self, now: datetime) -> None:
        """Sign the directories of the generation in force anew, so that gateways keep what was good last."""
        current = self.published.current
        if current is None:
            return
        records = self.store.read()
        parts = {
            version: tuple(GeneratedPart(p.content_id, p.file_name, p.content) for p in made)
            for version, made in current.parts.items()
        }
        try:
            lifetime = number_parameter(records, "expire_interval_s")
            await self._sign(Generated(records.instance, lifetime, parts), now, ())
        except (Fault, ValueError, LookupError) as err:
            log.error("renewal failed", extra={"event": "renewal_failed", "reason": str(err)})

    async def _sign(self, generated: Generated, now: datetime, known: tuple[KeyId, ...]) -> None:
        """Sign and serve, and note when, and which keys of this node gateways learn by it."""
        records = self.store.read()
        keys = {}
        for source in sources.SOURCES:
            active = next((k for k in sources.signing_keys(records, source) if k.active), None)
            if active is None:
                raise refuse(RegistryCode.NO_CONFIGURATION_SIGNING_KEYS_CONFIGURED, source)
            with reading_row(records.place, "signing_key", "key_id", active.key_id):
                public_key = parse_certificate(active.certificate).public_key()
            keys[source] = source_key(active, public_key, pss=self.keys.signs_pss(active.token_id))
        fresh = await sign_publication(generated, keys, self.keys, now, self.published.current)
        await asyncio.to_thread(save_publication, fresh, self._folder / "published")
        self.published.put_in_force(fresh, timedelta(seconds=self._publishing.keep_parts_s))
        # On disk and served: the publication. A crash here leaves its keys to count from the next one.
        with self.store.database.transaction() as sql:
            sources.note_publication(
                sql, self.store.node, now, known, timedelta(seconds=generated.expire_interval_s)
            )
