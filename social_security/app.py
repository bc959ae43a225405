"""The composition root: builds one member's system out of its folder and settings."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from serving.database import Database
from social_security.calendars import load_calendar
from social_security.clock import exercise_clock, machine_clock
from social_security.institute.affiliation import consult_affiliation
from social_security.institute.database import STEPS
from social_security.institute.desk import InstituteDesk
from social_security.keys import load_institute_keys, load_registry_keys
from social_security.pack import members
from social_security.registry.desk import RegistryDesk
from social_security.registry.store import RegistryStore
from social_security.service import Services

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from aiohttp import web

    from social_security.config import Settings

REGISTRY = "00-RNSS"


def build(folder: Path, settings: Settings) -> web.Application:
    """The application of the member that the settings name."""
    if settings.member == REGISTRY:
        return build_registry(folder, settings).app()
    return build_institute(folder, settings).app()


def build_registry(folder: Path, settings: Settings) -> Services:
    """The registry's services."""
    keys = load_registry_keys(folder / "keys.json")
    member = members()[REGISTRY]
    desk = RegistryDesk(
        member.path,
        RegistryStore(folder / "registry.sqlite", keys),
        keys,
        _clock(settings),
        ZoneInfo(member.zone),
        settings.policy,
    )
    return Services(desk, desk.acts())


def build_institute(folder: Path, settings: Settings) -> Services:
    """An institute's services."""
    member = members()[settings.member]
    desk = InstituteDesk(
        member.path,
        Database(folder / "institute.sqlite", STEPS),
        load_institute_keys(folder / "keys.json"),
        _clock(settings),
        load_calendar(settings.member),
        settings.policy,
    )
    return Services(desk, {"consultarAfiliacion": functools.partial(consult_affiliation, desk)})


def _clock(settings: Settings) -> Callable[[], datetime]:
    return exercise_clock(Path(settings.clock_file)) if settings.clock_file else machine_clock
