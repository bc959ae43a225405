"""The composition root: builds one member's system out of its folder and settings, and runs what runs beside it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from cryptography import x509

from serving.database import open_database
from social_security.calendars import load_calendar
from social_security.clock import exercise_clock, machine_clock
from social_security.institute.database import STEPS
from social_security.institute.desk import InstituteDesk
from social_security.keys import load_institute_keys, load_registry_keys
from social_security.oniess.desk import OniessDesk, Trusted
from social_security.oniess.store import STEPS as ONIESS_STEPS
from social_security.oniess.store import OniessStore
from social_security.pack import members
from social_security.platform import open_platform
from social_security.registry.dci import add_dci
from social_security.registry.desk import RegistryDesk
from social_security.registry.store import RegistryStore
from social_security.road import Road
from social_security.service import Services
from social_security.soapservice import add_soap

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from datetime import datetime

    from aiohttp import web

    from social_security.config import Settings

REGISTRY = "00-RNSS"
ONIESS = "00-ONIESS"
TICK_S = 1.0
log = logging.getLogger("social_security")


def build(folder: Path, settings: Settings, road: Road | None = None) -> web.Application:
    """The application of the member that the settings name; it asks others through ``road``, or through its gateway."""
    way = road or Road(settings.gateway, members()[settings.member].path, settings.policy)
    if settings.member == REGISTRY:
        return build_registry(folder, settings, way)
    if settings.member == ONIESS:
        return build_oniess(folder, settings, way)
    return build_institute(folder, settings, way)


def build_registry(folder: Path, settings: Settings, road: Road) -> web.Application:
    """The registry's services, and the sending of its notices."""
    keys = load_registry_keys(folder / "keys.json", settings.keys_secret.read(os.environ))
    member = members()[REGISTRY]
    desk = RegistryDesk(
        member.path,
        RegistryStore(folder / "registry.sqlite", keys),
        keys,
        clock_of(settings),
        load_calendar(REGISTRY),
        settings.policy,
        road,
    )
    services = Services(desk, desk.acts(), desk.readings())
    app = services.app()
    add_dci(app, desk)
    add_soap(app, services)
    return _beside(app, road, desk.outbox.run)


def build_institute(folder: Path, settings: Settings, road: Road) -> web.Application:
    """An institute's services, its daily routine, and the sending of its notices."""
    member = members()[settings.member]
    desk = InstituteDesk(
        member.path,
        open_database(folder / "institute.sqlite", STEPS),
        load_institute_keys(folder / "keys.json", settings.keys_secret.read(os.environ)),
        clock_of(settings),
        load_calendar(settings.member),
        settings.policy,
        road,
        open_platform(settings.platform),
    )

    async def routine() -> None:
        while True:
            desk.tick()
            await asyncio.sleep(TICK_S)

    services = Services(desk, desk.acts(), desk.readings())
    app = services.app()
    add_soap(app, services)
    return _beside(app, road, desk.outbox.run, routine)


def build_oniess(folder: Path, settings: Settings, road: Road) -> web.Application:
    """ONIESS's services and public readings."""
    member = members()[ONIESS]
    authorities, servers = folder / "authorities.pem", folder / "server-authorities.pem"
    desk = OniessDesk(
        member.path,
        OniessStore(open_database(folder / "oniess.sqlite", ONIESS_STEPS)),
        clock_of(settings),
        load_calendar(ONIESS),
        ZoneInfo(member.zone),
        settings.policy,
        Trusted(
            x509.load_pem_x509_certificates(authorities.read_bytes()) if authorities.exists() else (),
            x509.load_pem_x509_certificates(servers.read_bytes()) if servers.exists() else (),
        ),
        road,
    )

    async def rounds() -> None:
        while True:
            await asyncio.sleep(settings.collect_s)
            try:
                await desk.round()
            except Exception as err:  # the next round may go well; nothing of a member's answer is logged
                log.error("round", extra={"event": "round_failed", "reason": type(err).__name__})

    return _beside(Services(desk, desk.acts(), desk.readings()).app(), road, desk.outbox.run, rounds)


def _beside(
    app: web.Application, road: Road, *loops: Callable[[], Coroutine[None, None, None]]
) -> web.Application:
    async def run(_app: web.Application) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(loop()) for loop in loops]
        yield
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await road.close()

    app.cleanup_ctx.append(run)
    return app


def clock_of(settings: Settings) -> Callable[[], datetime]:
    """The clock a system goes by."""
    return exercise_clock(Path(settings.clock_file)) if settings.clock_file else machine_clock
