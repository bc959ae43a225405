"""A system's copy of ONIESS's publication: fetched through the gateway, verified, kept, and used until its end.

The key that it must be signed with was taken by an operator, who heard its digest read aloud; without that file a system goes
by the lists of its package. The copy is a whole file, replaced in one step: a crash leaves the one before or the new one.
"""

from __future__ import annotations

import functools
import logging
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from schemas.jsontext import dump_json, load_json
from serving.entrance import write_whole
from serving.errors import OperatorError
from serving.language import N_
from serving.process.loops import Loop
from social_security.domain.calendars import load_calendar
from social_security.domain.edition import edition_of, package_edition
from social_security.domain.faults import DomainError
from social_security.domain.published import (
    SignedLists,
    check_follows,
    key_id,
    read_public_key,
    verify_published,
)
from social_security.wire.privacynotices import add_notices

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from serving.storage.database import AnyDatabase
    from social_security.domain.calendars import Calendar
    from social_security.domain.edition import Edition
    from social_security.wire.gatewayclient import GatewayClient

KEY_FILE: Final = "oniess.pem"
COPY_FILE: Final = "publication.json"
# A member's own calendar document (`social_security.domain.calendars`), where its state publishes other days.
CALENDAR: Final = "calendar.json"
ONIESS: Final = "MX/GOB/00-ONIESS"
PLACE: Final = "GOBIERNO/oss-v1/publicacion"
# As which subsystem a member reads it: a guarantor as the one it has, an institute as the one that reads conventions too.
_READS_AS: Final = {"00-RNSS": "IDENT", "00-ONIESS": "ALTA"}
# The person's own rights do not wait for a list.
_HER_RIGHTS: Final = frozenset(("PUR-ARCO", "PUR-BITACORA"))
log = logging.getLogger("social_security.publication")


class PublicationCopy:
    """The lists that one system goes by: `current` is None where they are the package's. A portal, which has no books, has no ``database``."""

    def __init__(
        self, folder: Path, code: str, database: AnyDatabase | None, clock: Callable[[], datetime]
    ) -> None:
        self._folder = folder
        self._code = code
        self._database = database
        self._clock = clock
        self._key = _trusted_key(folder)
        self._edition = package_edition()
        self._calendars: dict[str, Calendar] = {}
        self.current: SignedLists | None = None
        # Its end is not held against it here: one that is over must still keep older ones out.
        kept = _kept(folder)
        if kept is not None:
            self._use(kept)

    def edition(self) -> Edition:
        """The lists in force at this moment; a value, for one decision."""
        return self._edition

    def calendar(self, code: str) -> Calendar:
        """The calendar of a member; this system's own by the document in its folder, where there is one. Raises ValueError."""
        if code not in self._calendars:
            file = self._folder / CALENDAR if code == self._code else None
            self._calendars[code] = load_calendar(self._edition, code, file)
        return self._calendars[code]

    def loop(self, gateway: GatewayClient, every_s: float) -> Loop:
        """The loop that takes what ONIESS publishes; it counts from then on."""
        reads_as = "SUPERV" if self._edition.is_guarantor(self._code) else _READS_AS.get(self._code, "PORT")
        return Loop(
            "publication",
            functools.partial(self.refresh, gateway, reads_as),
            lambda: every_s,
            event="publication_failed",
            discreet=True,
        )

    async def refresh(self, gateway: GatewayClient, subsystem: str) -> bool:
        """Fetch, verify and take what ONIESS publishes now; whether it is new. What is refused is said in the log and changes nothing."""
        if self._key is None or not gateway.is_set:
            return False
        response = await gateway.read(subsystem, ONIESS, PLACE)
        if not response.is_done:
            log.warning("no publication", extra={"event": "publication_silent", "status": response.status})
            return False
        try:
            return self.take(response.body)
        except ValueError as err:
            log.error("publication refused", extra={"event": "publication_refused", "reason": str(err)})
            return False

    def take(self, envelope: dict[str, Any]) -> bool:
        """Take a publication; whether it is another than the one before. Raises ValueError with the reason."""
        if self._key is None:
            raise OperatorError(
                N_(
                    "no key of ONIESS is trusted here; `social_security publication trust` writes {file}",
                    file=KEY_FILE,
                )
            )
        found = verify_published(envelope, self._key)
        check_follows(found, self.current, self._clock())
        if self.current is not None and found.version == self.current.version:
            return False
        # On disk before it is gone by: a crash after this line starts with the new lists, one before with those that were.
        write_whole(self._folder / COPY_FILE, dump_json(envelope).encode())
        self._use(found)
        log.info("publication taken", extra={"event": "publication_taken", "version": found.version})
        return True

    def check(self, purpose: str) -> None:
        """Refuse to decide by a publication whose end has passed (SS-901); a person's own rights go on."""
        found = self.current
        if found is None or purpose in _HER_RIGHTS or not found.is_over(self._clock()):
            return
        until = found.until.isoformat()
        raise DomainError(
            "SS-901",
            f"la publicación {found.version} de ONIESS venció el {until} y no ha llegado otra",
            f"ONIESS's publication {found.version} ended on {until} and no other has come",
        )

    def _use(self, found: SignedLists) -> None:
        self.current = found
        self._edition = edition_of(found.parts)
        self._calendars = {}
        if self._database is not None:
            add_notices(self._database, [(n["uri"], n["sha256"]) for n in found.parts["notices"]["notices"]])


def check_digest(pem: bytes, digest: str) -> Ed25519PublicKey:
    """ONIESS's public key in PEM, which has the digest that was read aloud. Raises ValueError."""
    key = read_public_key(pem)
    if key_id(key) != digest.strip().lower():
        raise OperatorError(
            N_("the file's digest is {key_digest}, not the one that was read aloud", key_digest=key_id(key))
        )
    return key


def read_publication(publication: bytes, pem: bytes, digest: str, now: datetime) -> Edition:
    """The lists of a publication that came as a file, before there is a system to take it. Raises ValueError."""
    found = verify_published(load_json(publication), check_digest(pem, digest))
    check_follows(found, None, now)
    return edition_of(found.parts)


def keep_publication(folder: Path, publication: bytes, pem: bytes) -> None:
    """Leave a publication that was read, and the key that it is trusted by, in the folder of a new system."""
    # On disk after it: the copy, then its key. A crash between them leaves a copy without key, which counts as none.
    write_whole(folder / COPY_FILE, publication)
    write_whole(folder / KEY_FILE, pem)


def edition_in(folder: Path) -> Edition:
    """The lists that the system in a folder goes by, for a command beside it. Raises ValueError."""
    kept = _kept(folder)
    return package_edition() if kept is None else edition_of(kept.parts)


def _trusted_key(folder: Path) -> Ed25519PublicKey | None:
    key = folder / KEY_FILE
    return read_public_key(key.read_bytes()) if key.exists() else None


def _kept(folder: Path) -> SignedLists | None:
    """The publication that is kept in a folder, verified with the key that is trusted there."""
    key, kept = _trusted_key(folder), folder / COPY_FILE
    return None if key is None or not kept.exists() else verify_published(load_json(kept.read_bytes()), key)
