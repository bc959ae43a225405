"""A system's copy of ONIESS's publication: fetched through the gateway, verified, kept, and used until its end.

The key that it must be signed with was taken by an operator, who heard its digest read aloud; without that file a system goes
by the lists of its package. The copy is a whole file, replaced in one step: a crash leaves the one before or the new one.
"""

from __future__ import annotations

import logging
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from schemas.jsontext import dump_json, load_json
from serving.entrance import write_whole
from social_security.domain import pack
from social_security.domain.faults import DomainError
from social_security.domain.published import SignedLists, check_follows, read_public_key, verify_published
from social_security.wire.privacynotices import add_notices

if TYPE_CHECKING:
    from collections.abc import Callable

    from serving.storage.database import AnyDatabase
    from social_security.wire.gatewayclient import GatewayClient

KEY_FILE: Final = "oniess.pem"
COPY_FILE: Final = "publication.json"
ONIESS: Final = "MX/GOB/00-ONIESS"
PLACE: Final = "GOBIERNO/oss-v1/publicacion"
# The person's own rights do not wait for a list.
_HER_RIGHTS: Final = frozenset(("PUR-ARCO", "PUR-BITACORA"))
log = logging.getLogger("social_security.publication")


class PublicationCopy:
    """The publication that one system goes by; `current` is None where the package's lists count."""

    def __init__(self, folder: Path, database: AnyDatabase, clock: Callable[[], datetime]) -> None:
        self._folder = folder
        self._database = database
        self._clock = clock
        key = folder / KEY_FILE
        self._key = read_public_key(key.read_bytes()) if key.exists() else None
        self.current: SignedLists | None = None
        kept = folder / COPY_FILE
        if self._key is not None and kept.exists():
            # Its end is not held against it here: one that is over must still keep older ones out.
            self._use(verify_published(load_json(kept.read_bytes()), self._key))

    async def refresh(self, gateway: GatewayClient, subsystem: str) -> bool:
        """Fetch, verify and take what ONIESS publishes now; whether it is new. What is refused is said in the log and changes nothing."""
        if self._key is None or not gateway.is_set:
            return False
        heard = await gateway.read(subsystem, ONIESS, PLACE)
        if not heard.is_done:
            log.warning("no publication", extra={"event": "publication_silent", "status": heard.status})
            return False
        try:
            return self.take(heard.body)
        except ValueError as err:
            log.error("publication refused", extra={"event": "publication_refused", "reason": str(err)})
            return False

    def take(self, envelope: dict[str, Any]) -> bool:
        """Take a publication; whether it is another than the one before. Raises ValueError with the reason."""
        if self._key is None:
            raise ValueError(
                f"no key of ONIESS is trusted here; `social_security publication trust` writes {KEY_FILE}"
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
        pack.use_published({f"{name}.json": document for name, document in found.parts.items()})
        add_notices(self._database, [(n["uri"], n["sha256"]) for n in found.parts["notices"]["notices"]])
