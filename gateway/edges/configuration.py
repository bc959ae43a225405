"""The configuration client: fetches the signed global configuration, keeps the last valid one, and recovers alone.

One cycle: for each source (those the stored shared parameters name, then the anchor's; https twins first), choose the
newest version offered, fetch the directory, prove it, refuse one older than the last, fetch the parts whose digest
changed, check them, and only then put them on the disk and into force. Nothing is ever half in force; on the disk a crash
leaves old parts or new ones, because the folder is exchanged whole.

A central server that answers conditional requests (ETag) is polled every few seconds; any other once a minute.

Spec: PR-GCONF 3 and 5; X-Road 7.8's configuration client (source order, version choice, layout on disk).
"""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import aiohttp

from certs.configuration import TrustedConfiguration, verify_directory
from certs.edges.configurationfiles import read_configuration_files
from certs.edges.tokenfiles import sync_folder, write_whole
from certs.profiles import STANDARD_PROFILES
from gateway.edges.configurationsources import (
    Location,
    federation_filter,
    resolve,
    stored_locations,
    with_https_twins,
    with_version,
)
from gateway.edges.httpclock import clock_offset_s
from schemas.faults import Fault, Kind, UnexpectedStatus
from schemas.globalconf.anchor import Anchor, parse_anchor
from schemas.globalconf.parts import (
    FETCH_INTERVAL_ID,
    FILE_NAMES,
    MONITORING_ID,
    NEXT_UPDATE_ID,
    PRIVATE_ID,
    SHARED_ID,
    WITNESSES_ID,
    parse_fetch_interval,
    parse_monitoring_client,
    parse_verify_next_update,
)
from schemas.globalconf.private import parse_private
from schemas.globalconf.shared import CURRENT_VERSION, MINIMUM_VERSION, SharedParameters, parse_shared
from schemas.globalconf.witnesses import parse_appointments
from schemas.jsontext import dump_json
from serving.process.failing import FailureReason, gathered, reason_of
from serving.process.loops import Loop
from serving.process.memory import give_back_freed
from serving.process.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from certs.profiles import CertificateProfiles
    from schemas.globalconf.directory import Directory, DirectoryPart

log = logging.getLogger("gateway.configuration")

TIMEOUT = aiohttp.ClientTimeout(total=60, sock_connect=10, sock_read=30)
LARGEST_PART = 64 * 1024 * 1024
# What is in force until later than this was signed while a central server's clock ran ahead (or gives days to all it signs): those
# that it signs by the right time are older by what they say, and are waited for by nobody for so long.
LONGEST_AHEAD = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ConfigurationSettings:
    """Seconds between two looks; ``federations`` is none, all or a comma-separated list of instances."""

    poll_s: float = 60.0
    conditional_poll_s: float = 3.0
    federations: str = "none"


@dataclass(slots=True)
class _Fetched:
    """One instance's download: the signed directory, all its parts, and whether any of it is new."""

    directory: Directory
    parts: dict[str, tuple[DirectoryPart, bytes]] = field(default_factory=dict)


class ConfigurationClient:
    """Keeps one trusted configuration up to date."""

    def __init__(
        self,
        anchor: bytes,
        folder: Path,
        session: aiohttp.ClientSession,
        *,
        clock: Callable[[], datetime],
        settings: ConfigurationSettings | None = None,
        profiles: CertificateProfiles = STANDARD_PROFILES,
    ) -> None:
        self._profiles = profiles
        self._anchor = parse_anchor(anchor)
        self._folder = folder
        self._session = session
        self._clock = clock
        self._settings = settings or ConfigurationSettings()
        self._pace = Pace()
        self.loop = Loop(
            "configuration",
            self.refresh,
            lambda: self._next_delay(0),
            retry_s=self._next_delay,
            pace=self._pace,
            event="conf_failed",
            failure_text="configuration not fetched",
            needed=True,
        )
        self._subscribers: list[Callable[[TrustedConfiguration], None]] = []
        self._working: dict[str, str] = {}
        self._etags: dict[str, str] = {}
        self._offered_etag: str | None = None
        self._refusals: dict[str, str] = {}
        self._refusal_listeners: list[Callable[[str, str], None]] = []
        # By instance, what was read when it was looked at, until it comes into force.
        self._checked: dict[str, SharedParameters] = {}
        self.current: TrustedConfiguration | None = None
        self.last_failure: FailureReason | None = None
        # By how many seconds this clock was ahead of a source's, by its last answer, and which source that was.
        self.clock: tuple[float, str] | None = None
        # When the last look was, and when the next one will be.
        self.looked_at: datetime | None = None
        # When what is in force was last found to be the newest there is.
        self.proved_at: datetime | None = None
        self.next_look_at: datetime | None = None

    @property
    def last_url(self) -> str | None:
        """The URL that last gave the own instance's configuration; None before the first time."""
        return self._working.get(self._anchor.instance)

    def reconfigure(self, settings: ConfigurationSettings) -> None:
        """Go on with other intervals."""
        self._settings = settings
        self._pace.changed()

    def subscribe(self, callback: Callable[[TrustedConfiguration], None]) -> None:
        """Call ``callback`` with every configuration that comes into force."""
        self._subscribers.append(callback)

    def when_refused(self, callback: Callable[[str, str], None]) -> None:
        """Call ``callback`` with URL and reason when what came from a source was not proved; once a reason."""
        self._refusal_listeners.append(callback)
        for url, reason in self._refusals.items():
            callback(url, reason)

    def _refused(self, url: str, fault: Fault) -> None:
        if fault.kind is Kind.GLOBAL_CONF_DOWNLOAD_FAILED or self._refusals.get(url) == fault.detail:
            return
        self._refusals[url] = fault.detail
        for callback in self._refusal_listeners:
            callback(url, fault.detail)

    async def load(self) -> None:
        """Take the stored configuration, if it can be read. An expired one is taken too: it says so itself when asked."""
        if not (self._folder / "instance-identifier").exists():
            return
        try:
            self._put_in_force(await asyncio.to_thread(self._read))
        except Fault as fault:
            log.warning(
                "stored configuration unusable", extra={"event": "stored_conf", "reason": fault.detail}
            )

    def _next_delay(self, failures: int) -> float:
        delay = self._delay(failures)
        self.next_look_at = self._clock() + timedelta(seconds=delay)
        return delay

    def _delay(self, failures: int) -> float:
        settings = self._settings
        if failures:
            return min(settings.poll_s, settings.conditional_poll_s * float(2 ** min(failures - 1, 5)))
        return settings.conditional_poll_s if self._etags else settings.poll_s

    async def refresh(self) -> None:
        """One cycle over the own instance and the federated ones. Raises `Fault` when the own one fails."""
        self.looked_at = self._clock()
        try:
            changed = await self._refresh_instance(self._anchor, own=True)
        except Fault as fault:
            self.last_failure = reason_of(fault)
            raise
        self.last_failure, self.proved_at = None, self.looked_at
        for anchor in self._federated():
            try:
                changed |= await self._refresh_instance(anchor, own=False)
            except Fault as fault:
                log.warning(
                    "federated configuration not fetched",
                    extra={"event": "federation_failed", "instance": anchor.instance, "reason": fault.detail},
                )
        if changed or self.current is None:
            self._put_in_force(await asyncio.to_thread(self._read))

    def _read(self) -> TrustedConfiguration:
        """The stored configuration, parsed: in a thread, for a large one takes long. Raises `Fault`."""
        found = TrustedConfiguration.load(
            read_configuration_files(self._folder),
            now=self._clock(),
            strict=False,
            profiles=self._profiles,
            known=[*(() if self.current is None else self.current.all_shared()), *self._checked.values()],
        )
        self._checked.clear()
        give_back_freed()
        return found

    def _put_in_force(self, configuration: TrustedConfiguration) -> None:
        if configuration.instance != self._anchor.instance:
            raise Fault(
                Kind.MALFORMED_GLOBAL_CONF,
                f"the stored configuration is of instance {configuration.instance}; the anchor is of {self._anchor.instance}",
            )
        self.current = configuration
        for callback in self._subscribers:
            callback(configuration)

    def _federated(self) -> tuple[Anchor, ...]:
        private = None if self.current is None else self.current.private
        if private is None:
            return ()
        allowed = federation_filter(self._settings.federations, self._anchor.instance)
        return tuple(
            a for a in private.anchors if a.instance != self._anchor.instance and allowed(a.instance)
        )

    # One instance

    async def _refresh_instance(self, anchor: Anchor, *, own: bool) -> bool:
        failures: list[tuple[str, Exception]] = []
        for location in self._locations(anchor):
            try:
                changed = await self._refresh_from(anchor.instance, location, own=own)
                self._refusals.pop(location.url, None)
                return changed
            except (Fault, aiohttp.ClientError, TimeoutError, OSError, ValueError) as err:
                if isinstance(err, Fault):
                    self._refused(location.url, err)
                failures.append((location.url, err))
        text, errors = gathered(failures)
        text = f"the configuration of instance {anchor.instance} could not be had: {text}"
        raise Fault(Kind.GLOBAL_CONF_DOWNLOAD_FAILED, text) from errors

    def _locations(self, anchor: Anchor) -> list[Location]:
        stored = None if self.current is None else self.current.shared(anchor.instance)
        first_http = next(
            (s.download_url for s in anchor.sources if s.download_url.startswith("http://")), ""
        )
        from_stored = stored_locations(() if stored is None else stored.sources, first_http)
        from_anchor = with_https_twins(
            [Location(s.download_url, s.verification_certificates) for s in anchor.sources]
        )
        found = [*from_stored, *from_anchor]
        working = self._working.get(anchor.instance)
        return sorted(found, key=lambda location: location.url != working)

    async def _refresh_from(self, instance: str, location: Location, *, own: bool) -> bool:
        url = await self.choose_version(location.url)
        raw = await self._get(url, 1024 * 1024, conditional=True)
        if raw is None:
            return False
        etag = self._offered_etag
        directory = verify_directory(raw, location.certificates, self._clock())
        self._refuse_rollback(instance, directory)
        fetched = await self._fetch_parts(instance, url, directory, own=own)
        changed = await asyncio.to_thread(self._store, instance, fetched, own=own)
        if etag is not None:
            self._etags[url] = etag
        self._working[instance] = location.url
        return changed

    async def choose_version(self, url: str) -> str:
        """The URL with the newest version its server offers; the oldest is taken unasked."""
        if "version=" in urlsplit(url).query:
            return url
        for version in range(CURRENT_VERSION, MINIMUM_VERSION, -1):
            candidate = with_version(url, version)
            if candidate in self._etags:
                return candidate
            async with self._session.get(candidate, timeout=TIMEOUT, allow_redirects=False) as answer:
                if answer.status != 404:
                    return candidate
        return with_version(url, MINIMUM_VERSION)

    async def _get(self, url: str, limit: int, *, conditional: bool = False) -> bytes | None:
        """The body of a URL; None when a conditional request says that nothing changed."""
        etag = self._etags.get(url) if conditional and self.current is not None else None
        headers = {} if etag is None else {"If-None-Match": etag}
        async with self._session.get(url, timeout=TIMEOUT, headers=headers, allow_redirects=False) as answer:
            offset = clock_offset_s(answer.headers, self._clock())
            if offset is not None:
                self.clock = offset, urlsplit(url).netloc
            if answer.status == 304 and etag is not None:
                return None
            if answer.status != 200:
                raise UnexpectedStatus(answer.status)
            body = bytearray()
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > limit:
                    raise Fault(Kind.GLOBAL_CONF_DOWNLOAD_FAILED, f"more than {limit} bytes came")
            if conditional:
                # Remembered once the configuration is in force: what was refused is asked for again in whole.
                self._etags.pop(url, None)
                self._offered_etag = answer.headers.get("ETag")
            return bytes(body)

    def _refuse_rollback(self, instance: str, directory: Directory) -> None:
        stored = self._stored_expiry(instance)
        if stored is None or stored > self._clock() + LONGEST_AHEAD:
            return
        if directory.expires_at < stored:
            raise Fault(
                Kind.GLOBAL_CONF_OUTDATED,
                f"the directory is older than the one in force (it expires {directory.expires_at:%H:%M:%S}, that one "
                f"{stored:%H:%M:%S} UTC); an old configuration is not taken back",
            )

    def _stored_expiry(self, instance: str) -> datetime | None:
        loaded = None if self.current is None else self.current.instances.get(instance)
        return None if loaded is None else loaded.expires_at

    async def _fetch_parts(self, instance: str, url: str, directory: Directory, *, own: bool) -> _Fetched:
        fetched = _Fetched(directory)
        for part in directory.parts:
            if part.instance and part.instance != instance:
                raise Fault(
                    Kind.MALFORMED_GLOBAL_CONF,
                    f"the directory lists a part of instance {part.instance}, not {instance}",
                )
            if not own and part.content_id != SHARED_ID:
                continue
            content = self._unchanged(instance, part)
            if content is None:
                content = await self._get(resolve(url, part.location), LARGEST_PART) or b""
                part.check(content)
                # In a thread: of a country's members it takes a second.
                read = await asyncio.to_thread(check_part, part, content, directory.version, instance)
                if read is not None:
                    self._checked[instance] = read
            fetched.parts[file_name_of(part)] = (part, content)
        needed = (SHARED_ID, PRIVATE_ID) if own else (SHARED_ID,)
        there = {part.content_id for part, _ in fetched.parts.values()}
        missing = [name for name in needed if name not in there]
        if missing:
            raise Fault(Kind.MALFORMED_GLOBAL_CONF, f"the directory lists no {' and no '.join(missing)}")
        return fetched

    def _unchanged(self, instance: str, part: DirectoryPart) -> bytes | None:
        path = self._folder / quote(instance, safe="") / file_name_of(part)
        if not path.exists():
            return None
        content = path.read_bytes()
        try:
            part.check(content)
        except Fault:
            return None
        return content

    def _store(self, instance: str, fetched: _Fetched, *, own: bool) -> bool:
        """Put an instance's parts on the disk by exchanging its folder. Gives whether anything is new."""
        name = quote(instance, safe="")
        target, fresh, old = (self._folder / n for n in (name, f".{name}.new", f".{name}.old"))
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # On disk while the parts are written: the old folder, whole and in use, and `.new`, which a crash leaves to be removed here.
        for left in (fresh, old):
            shutil.rmtree(left, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        for file_name, (part, content) in fetched.parts.items():
            write_whole(fresh / file_name, content)
            write_whole(fresh / f"{file_name}.metadata", metadata(part, fetched.directory))
        if own and not (self._folder / "instance-identifier").exists():
            write_whole(self._folder / "instance-identifier", instance.encode())
        if target.exists():
            target.rename(old)  # a crash between these two leaves no folder: the next start fetches it anew
        fresh.rename(target)
        sync_folder(self._folder)
        # The new folder is in use, whatever happens; a crash leaves `.old`, removed with the next exchange.
        shutil.rmtree(old, ignore_errors=True)
        return True


def check_part(part: DirectoryPart, content: bytes, version: int, instance: str) -> SharedParameters | None:
    """Refuse parameters and optional parts that cannot be read, and parameters of another instance; shared ones as they were read."""
    shared = None
    if part.content_id == SHARED_ID:
        shared = parse_shared(content, version)
        found = shared.instance
    elif part.content_id == PRIVATE_ID:
        found = parse_private(content).instance
    else:
        reader = _OPTIONAL.get(part.content_id)
        if reader is not None:
            reader(content)
        return None
    if found != instance:
        raise Fault(
            Kind.MALFORMED_GLOBAL_CONF,
            f"{part.content_id} says it is of instance {found}; {instance} was expected",
        )
    return shared


_OPTIONAL: dict[str, Callable[[bytes], object]] = {
    MONITORING_ID: parse_monitoring_client,
    FETCH_INTERVAL_ID: parse_fetch_interval,
    NEXT_UPDATE_ID: parse_verify_next_update,
    WITNESSES_ID: parse_appointments,
}


def file_name_of(part: DirectoryPart) -> str:
    """The name a part is stored under: fixed for the known ones, its own otherwise. Raises `Fault` (``malformed_global_conf``)."""
    known = FILE_NAMES.get(part.content_id)
    if known is not None:
        return known
    name = part.file_name or urlsplit(part.location).path.rpartition("/")[2]
    if re.fullmatch(r"[A-Za-z0-9._-]+", name) is None or name.startswith("."):
        raise Fault(Kind.MALFORMED_GLOBAL_CONF, f"{name!r} is no file name for a configuration part")
    return name


def metadata(part: DirectoryPart, directory: Directory) -> bytes:
    """The JSON document that is stored beside a part (``*.metadata``), with the part's directory's expiry and version."""
    values: dict[str, str] = {"contentIdentifier": part.content_id}
    if part.instance:
        values["instanceIdentifier"] = part.instance
    values["expirationDate"] = directory.expires_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if part.file_name:
        values["contentFileName"] = part.file_name
    values["contentLocation"] = part.location
    values["configurationVersion"] = str(directory.version)
    return dump_json(values).encode()
