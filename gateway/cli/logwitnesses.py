"""Who cosigned a checkpoint, by the keys that the signed configuration and the settings name, and what witnesses have seen last."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING
from urllib.parse import quote

import aiohttp
import click

from certs.edges.configurationfiles import load_configuration_folder
from certs.edges.fetch import read_answer
from certs.edges.profilefiles import load_profiles
from certs.transparency import appointments_in, verify_cosignatures
from gateway.clients.store import ServerConfStore
from gateway.server.partsettings import log_loop_settings
from gateway.settings import config
from gateway.settings.datafolder import DataFolder, find_folder
from gateway.transparency.appointed import ConfiguredWitnesses
from schemas.faults import Fault
from schemas.transparency.notes import LONGEST_NOTE, parse_note
from serving.language import _
from serving.process.outward import outward_session

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from certs.configuration import TrustedConfiguration
    from gateway.transparency.witnessclient import AppointedWitness
    from schemas.transparency.notes import SignedNote, VerifierKey

_TIMEOUT = aiohttp.ClientTimeout(total=15)


class KnownWitnesses:
    """The witnesses that a gateway's folder and settings name."""

    def __init__(self, data: Path, settings_file: Path | None) -> None:
        """Raises `Fault` for settings that name a witness which is none."""
        self._data = data
        self._settings = config.load(settings_file, os.environ)
        self._named = log_loop_settings(self._settings).witnesses
        self._configuration = _configuration(data)

    def keys(self) -> tuple[VerifierKey, ...]:
        """The verifier key of each witness."""
        return (*(w.key for w in self._named), *appointments_in(self._configuration).keys())

    def cosigned(self, note: SignedNote) -> dict[str, str]:
        """Who cosigned a checkpoint, and when (UTC). Raises `NotProved` when a known witness's signature fails."""
        return {
            name: f"{at:%Y-%m-%dT%H:%M:%SZ}" for name, at in verify_cosignatures(note, self.keys()).items()
        }

    def newest(self, origin: str) -> list[SignedNote]:
        """The newest checkpoint each appointed witness has seen of a log. One that cannot be had is said on standard error."""
        return asyncio.run(self._ask(origin))

    async def _ask(self, origin: str) -> list[SignedNote]:
        appointed = self._appointed()
        async with outward_session() as session:
            found = await asyncio.gather(
                *(_newest(session, witness, origin) for witness in appointed), return_exceptions=True
            )
        notes = []
        for witness, one in zip(appointed, found, strict=True):
            if isinstance(one, BaseException):
                reason = one.detail if isinstance(one, Fault) else f"{type(one).__name__} {one}"
                click.echo(
                    _("{name} cannot be asked: {reason}", name=witness.key.name, reason=reason), err=True
                )
            else:
                notes.append(one)
        return notes

    def _appointed(self) -> Sequence[AppointedWitness]:
        store = ServerConfStore(find_folder(self._data, os.environ).serverconf)
        try:
            server = store.load().server_id
        finally:
            store.close()
        configured = ConfiguredWitnesses(
            lambda: self._configuration, lambda: server, self._settings.listen.ocsp_port
        )
        return (*self._named, *configured.witnesses())


async def _newest(session: aiohttp.ClientSession, witness: AppointedWitness, origin: str) -> SignedNote:
    async with session.get(
        f"{witness.url}/witnessed/{quote(origin, safe='/')}", timeout=_TIMEOUT, allow_redirects=False
    ) as answer:
        raw = await read_answer(answer, LONGEST_NOTE)
        if answer.status != 200:
            raise ValueError(f"{answer.status} {raw[:100]!r}")
    note = parse_note(raw)
    if witness.key.name not in verify_cosignatures(note, [witness.key]):
        raise ValueError(_("what it answered is not signed with the key it is appointed with"))
    return note


def _configuration(data: Path) -> TrustedConfiguration | None:
    try:
        return load_configuration_folder(
            DataFolder(data).globalconf, strict=False, profiles=load_profiles(data)
        )
    except Fault:
        return None
