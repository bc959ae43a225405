"""The composition root: builds one member's system out of its folder and settings, and runs what runs beside it."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from zoneinfo import ZoneInfo

from aiohttp import web
from cryptography import x509

from serving.process.loops import Loop, Loops
from social_security.clock import exercise_clock, machine_clock
from social_security.domain.calendars import load_calendar
from social_security.domain.pack import members
from social_security.initialise import check_not_published
from social_security.institute.operations import OwnActs, acts_of, readings_of
from social_security.institute.overdue import expire_cases
from social_security.institute.ownsystem import open_own_system
from social_security.institute.services import InstituteServices
from social_security.institute.stores.steps import STEPS
from social_security.keys import load_institute_keys, load_registry_keys
from social_security.oniess.services import OniessServices, Trusted
from social_security.oniess.store import OniessStore
from social_security.oniess.tables import STEPS as ONIESS_STEPS
from social_security.registry.dci import add_dci
from social_security.registry.services import RegistryServices
from social_security.registry.store import RegistryStore
from social_security.registry.tables import STEPS as REGISTRY_STEPS
from social_security.wire.books import open_books_of
from social_security.wire.gatewayclient import GatewayClient
from social_security.wire.metrics import add_metrics
from social_security.wire.platform import open_platform
from social_security.wire.publication import PublicationCopy
from social_security.wire.service import SystemOperations
from social_security.wire.soapservice import add_soap

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime

    from social_security.config import SystemSettings
    from social_security.domain.calendars import Calendar
    from social_security.institute.ownsystem import OwnSystem

REGISTRY = "00-RNSS"
ONIESS = "00-ONIESS"
# A member's own calendar document (`social_security.domain.calendars`), where its state publishes other days.
CALENDAR = "calendar.json"
TICK_S = 1.0
# As which subsystem a system reads what ONIESS publishes; an institute as the one that reads conventions too.
_READS_AS = {REGISTRY: "IDENT", ONIESS: "ALTA"}
# What runs beside a system's services.
LOOPS = web.AppKey("loops", Loops)


def build(folder: Path, settings: SystemSettings, gateway: GatewayClient | None = None) -> web.Application:
    """The application of the member that the settings name; it asks others through ``gateway``, or through its gateway."""
    way = gateway or GatewayClient(settings.gateway, members()[settings.member].path, settings.policy)
    if settings.member == REGISTRY:
        return build_registry(folder, settings, way)
    if settings.member == ONIESS:
        return build_oniess(folder, settings, way)
    return build_institute(folder, settings, way)


def build_registry(folder: Path, settings: SystemSettings, gateway: GatewayClient) -> web.Application:
    """The registry's services, and the sending of its notices."""
    keys = load_registry_keys(folder / "keys.json", settings.keys_secret.read(os.environ))
    if not settings.fixture_keys:
        check_not_published(keys)
    member = members()[REGISTRY]
    store = RegistryStore(open_books_of(folder, settings, "registry", REGISTRY_STEPS), keys)
    copy = PublicationCopy(folder, store.database, clock_of(settings))
    system = RegistryServices(
        member.path,
        store,
        keys,
        clock_of(settings),
        load_calendar(REGISTRY, folder / CALENDAR),
        settings.policy,
        gateway,
    )
    system.publication = copy
    fetching = _fetching(copy, gateway, settings, folder, system)
    services = SystemOperations(system, system.acts(), system.readings())
    app = services.app()
    add_dci(app, system)
    add_soap(app, services)
    return _beside(app, gateway, settings.metrics_from, system.outbox.loop(), fetching)


def build_institute(folder: Path, settings: SystemSettings, gateway: GatewayClient) -> web.Application:
    """An institute's services, its daily routine, and the sending of its notices."""
    database = open_books_of(folder, settings, "institute", STEPS)
    copy = PublicationCopy(folder, database, clock_of(settings))
    member = members()[settings.member]
    system = InstituteServices(
        member.path,
        database,
        load_institute_keys(folder / "keys.json", settings.keys_secret.read(os.environ)),
        clock_of(settings),
        load_calendar(settings.member, folder / CALENDAR),
        settings.policy,
        gateway,
        OwnActs(open_platform(settings.platform)),
    )
    system.publication = copy
    if settings.periods_from:
        system.read_periods_of(open_own_system(Path(settings.periods_from)))

    async def routine() -> None:
        system.tick()

    async def overdue() -> None:
        expire_cases(system, system.now(), system.today())

    services = SystemOperations(system, acts_of(system), readings_of(system))
    app = services.app()
    add_soap(app, services)
    daily = Loop("routine", routine, lambda: TICK_S, discreet=True)
    lapsing = Loop("overdue", overdue, lambda: TICK_S, event="overdue_failed", discreet=True)
    fetching = _fetching(copy, gateway, settings, folder, system)
    if system.own_system is not None:
        app.on_cleanup.append(functools.partial(_closed, system.own_system))
    return _beside(app, gateway, settings.metrics_from, system.outbox.loop(), daily, lapsing, fetching)


async def _closed(system: OwnSystem, _app: web.Application) -> None:
    await system.close()


def build_oniess(folder: Path, settings: SystemSettings, gateway: GatewayClient) -> web.Application:
    """ONIESS's services and public readings."""
    database = open_books_of(folder, settings, "oniess", ONIESS_STEPS)
    copy = PublicationCopy(folder, database, clock_of(settings))
    member = members()[ONIESS]
    authorities, servers = folder / "authorities.pem", folder / "server-authorities.pem"
    system = OniessServices(
        member.path,
        OniessStore(database),
        clock_of(settings),
        load_calendar(ONIESS, folder / CALENDAR),
        ZoneInfo(member.zone),
        settings.policy,
        Trusted(
            x509.load_pem_x509_certificates(authorities.read_bytes()) if authorities.exists() else (),
            x509.load_pem_x509_certificates(servers.read_bytes()) if servers.exists() else (),
        ),
        gateway,
    )

    collecting = Loop(
        "collecting",
        system.round,
        lambda: settings.collect_s,
        retry_s=lambda _failures: settings.collect_s,
        first_s=settings.collect_s,
        event="round_failed",
        discreet=True,
    )
    app = SystemOperations(system, system.acts(), system.readings()).app()
    fetching = _fetching(copy, gateway, settings, folder, system)
    return _beside(app, gateway, settings.metrics_from, system.outbox.loop(), collecting, fetching)


class _CountsDays(Protocol):
    """A system that counts terms by a calendar, which ONIESS may publish anew while it runs."""

    def count_by(self, calendar: Calendar) -> None:
        """Count days by another version of the calendar from now on."""
        ...


def _fetching(
    copy: PublicationCopy,
    gateway: GatewayClient,
    settings: SystemSettings,
    folder: Path,
    system: _CountsDays,
) -> Loop:
    """The loop that takes what ONIESS publishes; a new calendar counts from then on."""

    async def fetch() -> None:
        if await copy.refresh(gateway, _READS_AS.get(settings.member, "PORT")):
            system.count_by(load_calendar(settings.member, folder / CALENDAR))

    return Loop(
        "publication", fetch, lambda: settings.publication_s, event="publication_failed", discreet=True
    )


def _beside(app: web.Application, gateway: GatewayClient, metrics_from: str, *loops: Loop) -> web.Application:
    running = app[LOOPS] = Loops()
    add_metrics(app, running, metrics_from)

    async def run(_app: web.Application) -> AsyncIterator[None]:
        running.start(loops)
        yield
        await running.stop()
        await gateway.close()

    app.cleanup_ctx.append(run)
    return app


def clock_of(settings: SystemSettings) -> Callable[[], datetime]:
    """The clock a system goes by."""
    return exercise_clock(Path(settings.clock_file)) if settings.clock_file else machine_clock
