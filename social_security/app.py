"""The composition root: builds one member's system out of its folder and settings, and runs what runs beside it."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING

from aiohttp import web
from cryptography import x509

from serving.errors import OperatorError
from serving.language import N_
from serving.process.loops import Loop, Loops
from social_security.clock import exercise_clock, machine_clock
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
    from social_security.institute.ownsystem import OwnSystem

REGISTRY = "00-RNSS"
ONIESS = "00-ONIESS"
TICK_S = 1.0
# What runs beside a system's services.
LOOPS = web.AppKey("loops", Loops)


def build(folder: Path, settings: SystemSettings, gateway: GatewayClient | None = None) -> web.Application:
    """The application of the member that the settings name; it asks others through ``gateway``, or through its gateway."""
    if settings.member == REGISTRY:
        return build_registry(folder, settings, gateway)
    if settings.member == ONIESS:
        return build_oniess(folder, settings, gateway)
    return build_institute(folder, settings, gateway)


def build_registry(folder: Path, settings: SystemSettings, gateway: GatewayClient | None) -> web.Application:
    """The registry's services, and the sending of its notices."""
    keys = load_registry_keys(folder / "keys.json", settings.keys_secret.read(os.environ))
    if not settings.fixture_keys:
        check_not_published(keys)
    store = RegistryStore(open_books_of(folder, settings, "registry", REGISTRY_STEPS), keys)
    copy = PublicationCopy(folder, REGISTRY, store.database, clock_of(settings))
    way = _way(settings, copy, gateway)
    system = RegistryServices(
        way.member,
        store,
        keys,
        clock_of(settings),
        copy,
        settings.policy,
        way,
    )
    fetching = copy.loop(way, settings.publication_s)
    services = SystemOperations(system, system.acts(), system.readings())
    app = services.app()
    add_dci(app, system)
    add_soap(app, services)
    return _beside(app, way, settings.metrics_from, system.outbox.loop(), fetching)


def build_institute(folder: Path, settings: SystemSettings, gateway: GatewayClient | None) -> web.Application:
    """An institute's services, its daily routine, and the sending of its notices."""
    database = open_books_of(folder, settings, "institute", STEPS)
    copy = PublicationCopy(folder, settings.member, database, clock_of(settings))
    way = _way(settings, copy, gateway)
    system = InstituteServices(
        way.member,
        database,
        load_institute_keys(folder / "keys.json", settings.keys_secret.read(os.environ)),
        clock_of(settings),
        copy,
        settings.policy,
        way,
        OwnActs(open_platform(settings.platform)),
    )
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
    fetching = copy.loop(way, settings.publication_s)
    if system.own_system is not None:
        app.on_cleanup.append(functools.partial(_closed, system.own_system))
    return _beside(app, way, settings.metrics_from, system.outbox.loop(), daily, lapsing, fetching)


async def _closed(system: OwnSystem, _app: web.Application) -> None:
    await system.close()


def build_oniess(folder: Path, settings: SystemSettings, gateway: GatewayClient | None) -> web.Application:
    """ONIESS's services and public readings."""
    database = open_books_of(folder, settings, "oniess", ONIESS_STEPS)
    copy = PublicationCopy(folder, ONIESS, database, clock_of(settings))
    way = _way(settings, copy, gateway)
    authorities, servers = folder / "authorities.pem", folder / "server-authorities.pem"
    system = OniessServices(
        way.member,
        OniessStore(database),
        clock_of(settings),
        copy,
        settings.policy,
        Trusted(
            x509.load_pem_x509_certificates(authorities.read_bytes()) if authorities.exists() else (),
            x509.load_pem_x509_certificates(servers.read_bytes()) if servers.exists() else (),
        ),
        way,
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
    fetching = copy.loop(way, settings.publication_s)
    return _beside(app, way, settings.metrics_from, system.outbox.loop(), collecting, fetching)


def _way(settings: SystemSettings, copy: PublicationCopy, gateway: GatewayClient | None) -> GatewayClient:
    """The client by which the member of the settings asks others, by the lists it goes by. Raises ValueError for no member."""
    found = copy.edition().members.get(settings.member)
    if found is None:
        raise OperatorError(
            N_(
                "{member} is no member in the lists that this system goes by; expected one as 15-ISSEMYM",
                member=settings.member[:40],
            )
        )
    way = gateway or GatewayClient(settings.gateway, found.path, settings.policy)
    way.edition = copy.edition
    return way


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
