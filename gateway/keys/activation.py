"""Activating an authentication certificate without a person, where ``keys.activate_authentication`` says so.

The wish stands on disk with the certificate from the moment the global configuration lists it (see
`gateway.keys.actions.observe`); a failure is told once a reason and tried again, since OCSP may answer later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from certs.certificates import name_text, parse_certificate
from schemas.faults import Fault
from serving.process.loops import Loop

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.keys.operations import KeyOperations
    from serving.process.pace import Pace

LOOK_S = 15.0


def activation_loop(operations: KeyOperations, notify: Callable[[str, str, str], None], pace: Pace) -> Loop:
    """The loop that activates what waits for it; ``pace`` is told when something newly does."""

    async def work() -> None:
        await activate_waiting(operations, notify)

    return Loop("activations", work, lambda: LOOK_S, pace=pace)


async def activate_waiting(operations: KeyOperations, notify: Callable[[str, str, str], None]) -> None:
    """Activate the certificates that wait for it, once; ``notify`` is given kind, subject and detail of each outcome that is new."""
    for certificate, failure in await operations.activate_waiting():
        subject = name_text(parse_certificate(certificate.der).subject)
        if failure is None:
            notify("certificate-activated", subject, certificate.hash)
            continue
        reason = failure.detail if isinstance(failure, Fault) else str(failure)
        if reason != certificate.activation_error:
            notify("activation-failed", subject, reason)
