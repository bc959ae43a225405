"""Whether a holder of rights is somebody: a typing error in a right shows only when the consumer is refused."""

from __future__ import annotations

import difflib
import time
from typing import TYPE_CHECKING

from gateway.cli.keys import open_store, stored_configuration
from gateway.clients.desiredfile import subject_text
from gateway.server.running import running_note
from schemas.identifiers import ClientId, GlobalGroupId, LocalGroupId
from serving.language import _

# A running gateway asks for the configuration every three seconds where the central server lets it.
ARRIVAL_S = 8.0

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from certs.configuration import TrustedConfiguration
    from gateway.clients.model import Subject
    from gateway.clients.records import GroupRecord


def check_subject(
    subject: Subject,
    provider: ClientId,
    groups: Iterable[GroupRecord],
    configuration: TrustedConfiguration | None,
) -> None:
    """Refuse a subject that neither the global configuration nor the provider's local groups know. Raises `LookupError`.

    A client or group of an instance whose configuration is not here cannot be known, and is refused too: ``--force``.
    """
    if isinstance(subject, ClientId | GlobalGroupId):
        instances = () if configuration is None else configuration.instances.values()
        of_kind = (i.names if isinstance(subject, ClientId) else i.groups for i in instances)
        known = [subject_text(one) for found in of_kind for one in found]
    else:
        known = [f"local:{g.code}" for g in groups if g.owner == provider]
    text = subject_text(subject)
    if text in known:
        return
    close = nearest(text, known)
    hint = _("; do you mean {close}?", close=close) if close else ""
    raise LookupError(
        _("nobody knows {text} here{hint} (--force grants it all the same)", text=text, hint=hint)
    )


def wait_for_subject(data: Path, subject: Subject, provider: ClientId) -> None:
    """The same for a data folder. While a gateway runs on it, who has just been registered may still be on the way to it.

    Raises `LookupError`.
    """
    store = open_store(data)
    groups = store.view.groups.all()
    store.close()
    try:
        running_note(data)
        until = time.monotonic() + ARRIVAL_S
    except ProcessLookupError:
        until = 0.0
    while True:
        try:
            return check_subject(subject, provider, groups, stored_configuration(data))
        except LookupError:
            if isinstance(subject, LocalGroupId) or time.monotonic() >= until:
                raise
        time.sleep(0.5)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name most like another; None when none is alike."""
    found = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return found[0] if found else None
