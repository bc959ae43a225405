"""Changes of service descriptions that the admin API carries out: small ones in a thread, large ones in a process of their own.

A description may have thousands of services, written by a stranger. Comparing them with the tables, writing them, saying to the audit
log what changed and showing them takes a second of Python; in a thread the event loop would wait for the interpreter all
that time. The process gets a description that was read (never a stranger's document to parse) and the place of the
database, and has no PIN and no key. A crash of it leaves the change undone or done: it is one transaction.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import msgspec

from gateway.admin.serviceviews import ServiceDescription, description_view
from gateway.clients.descriptionwriting import DescriptionContent, add_description, update_description
from gateway.clients.store import ServerConfStore
from gateway.desired.file import compare
from gateway.refusals import GatewayCode
from schemas.faults import BadMessage, Kind
from schemas.identifiers import ClientId
from serving.errors import Caution, Refused
from serving.process.childprocess import ChildLimits, bound_itself, run_child

# Services and endpoints together; a process takes half a second to begin, as long as a thread takes for thousands.
LARGE = 300
LIMITS = ChildLimits(seconds=120.0, processor_s=120, priority=10)  # not last: others wait for its transaction


class DescriptionChange(msgspec.Struct, frozen=True):
    """One change: a description of ``client`` to be added, that of ``number`` to be changed, or, without ``content``, removed."""

    client: ClientId | None = None
    number: int = 0
    content: DescriptionContent | None = None


class DescriptionChanged(msgspec.Struct, frozen=True):
    """The description as it is now, None where it was removed, and the change in lines for the audit log."""

    shown: ServiceDescription | None
    lines: list[str]


class _Refusal(msgspec.Struct, frozen=True):
    code: GatewayCode
    detail: str
    metadata: list[str]
    warnings: list[Caution]


class _Order(msgspec.Struct, frozen=True):
    where: str
    is_file: bool
    change: DescriptionChange


class _BadContent(msgspec.Struct, frozen=True):
    """A text that may be kept nowhere, as `serving.storage.database` refuses it."""

    kind: Kind
    detail: str


class _Answer(msgspec.Struct, frozen=True):
    """One of the three."""

    changed: DescriptionChanged | None = None
    refusal: _Refusal | None = None
    bad: _BadContent | None = None


def make_change(store: ServerConfStore, change: DescriptionChange) -> DescriptionChanged:
    """Carry a change out, in one transaction. Raises `Refused`, and `BadMessage` for a text that may be kept nowhere."""
    before = store.load()
    content, shown = change.content, None
    if content is None:
        with store.change() as tables:
            tables.descriptions.remove(change.number)
    elif change.client is not None:
        shown = description_view(store.view, add_description(store, change.client, content))
    else:
        shown = description_view(store.view, update_description(store, change.number, content))
    return DescriptionChanged(shown, compare(before, store.load()))


async def change_description(store: ServerConfStore, change: DescriptionChange) -> DescriptionChanged:
    """Carry a change out where it keeps nobody waiting. Raises `Refused`, and `BadMessage` for a text that may be kept nowhere."""
    if await asyncio.to_thread(_size, store, change) < LARGE:
        return await asyncio.to_thread(make_change, store, change)
    order = _Order(str(store.where), isinstance(store.where, Path), change)
    content = await asyncio.to_thread(msgspec.msgpack.encode, order)
    outcome = await run_child(__name__, [], content, LIMITS, _of_database())
    if outcome.failure:
        raise _too_much(outcome.failure)
    answer = await asyncio.to_thread(msgspec.msgpack.decode, outcome.output, type=_Answer)
    if answer.bad is not None:
        raise BadMessage(answer.bad.kind, answer.bad.detail)
    if answer.changed is None:
        raise _too_much("ended without an answer") if answer.refusal is None else _refused(answer.refusal)
    return answer.changed


def _size(store: ServerConfStore, change: DescriptionChange) -> int:
    size = 0 if change.client is not None else store.view.descriptions.size(change.number)
    if change.content is not None:
        described = change.content.described
        size += len(described.services) + len(described.operations)
    return size


def _of_database() -> dict[str, str]:
    """The part of the environment that a PostgreSQL client looks at."""
    return {name: value for name, value in os.environ.items() if name.startswith("PG") or name == "HOME"}


def _refused(refusal: _Refusal) -> Refused:
    return Refused(refusal.code, refusal.detail, *refusal.metadata, warnings=refusal.warnings)


def _too_much(reason: str) -> Refused:
    detail = f"changing the description {reason}; look whether it was done, and divide it into several"
    return Refused(GatewayCode.DESCRIPTION_TOO_LARGE, detail, detail)


def main(processor_s: str, memory_bytes: str, priority: str) -> None:
    """The process: an order on standard input, its answer on standard output."""
    bound_itself(processor_s, memory_bytes, priority, may_write=True)
    order = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=_Order)
    store = ServerConfStore(Path(order.where) if order.is_file else order.where)
    try:
        answer = _Answer(make_change(store, order.change))
    except Refused as found:
        code = GatewayCode[found.code.name]
        answer = _Answer(refusal=_Refusal(code, str(found), list(found.metadata), list(found.warnings)))
    except BadMessage as bad:
        answer = _Answer(bad=_BadContent(bad.kind, bad.detail))
    finally:
        store.close()
    sys.stdout.buffer.write(msgspec.msgpack.encode(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
