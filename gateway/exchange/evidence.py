"""The evidence of a message that is kept on either side: appended to the message log before anything that it proves goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.messagelog.record import LogEntry
from schemas.faults import Step, step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.exchange.ports import ExchangeContext
    from gateway.exchange.wire import Body, SignatureLike
    from schemas.identifiers import ClientId
    from schemas.message import Message, Side


async def log_message(
    context: ExchangeContext,
    side: Side,
    message: Message,
    owner: ClientId,
    signature: SignatureLike,
    bodies: Sequence[Body],
) -> None:
    """Return once the signed message is on the disk, as evidence of the client ``owner``. Raises `Fault` (step ``LoggingFailed``)."""
    entry = LogEntry(
        side=side,
        message=message,
        owner=owner,
        signature=signature.signature,
        hash_chain_result=signature.hash_chain_result,
        hash_chain=signature.hash_chain,
        attachments=tuple(b.spool for b in bodies),
        at=context.now(),
    )
    with step(Step.LOGGING_FAILED):
        await context.log.append(entry)
