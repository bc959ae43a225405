"""The keys of gateways' transparency logs as they announce them, and this node's own as a witness.

``POST /tlog/keys`` on the listener of the configuration: the announcement proves itself (`schemas.transparency.announcement`),
so no TLS is needed; one that changes nothing changes nothing in the store.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp import web

from central_server.publication.generate import host_of
from central_server.store.records import Actor
from central_server.store.sources import node_address
from central_server.store.witnesses import (
    central_witness,
    keep_announcement,
    keep_central_witness,
    verify_announcement,
)
from schemas.faults import BadMessage, Fault
from schemas.globalconf.witnesses import CentralWitness
from schemas.names import host_in_url
from schemas.transparency.announcement import LONGEST_ANNOUNCEMENT, parse_announcement
from schemas.transparency.notes import COSIGNATURE_ED25519
from serving.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from central_server.store.records import CentralStore
    from serving.web.witnessing import Witness


def announcement_routes(store: CentralStore, now: Callable[[], datetime]) -> list[web.RouteDef]:
    """The route that takes announcements: 200, or 400 and 403 with the reason."""

    async def take(request: web.Request) -> web.Response:
        try:
            raw = await _read(request)
            await asyncio.to_thread(take_announcement, store, raw, now(), request.remote or "")
        except Refused as refusal:
            return web.Response(status=503, text=f"{refusal}\n")
        except BadMessage as fault:
            return web.Response(status=400, text=f"{fault.detail}\n")
        except Fault as fault:
            return web.Response(status=403, text=f"{fault.detail}\n")
        return web.Response(text="the keys are kept\n")

    return [web.post("/tlog/keys", take)]


async def _read(request: web.Request) -> bytes:
    """The body, refused by its length before more of it is read."""
    body = b""
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > LONGEST_ANNOUNCEMENT:
            raise web.HTTPRequestEntityTooLarge(LONGEST_ANNOUNCEMENT, len(body))
    return body


def take_announcement(store: CentralStore, raw: bytes, now: datetime, address: str) -> None:
    """Keep what a gateway announces, once it is proved. Raises `BadMessage` or `NotProved`."""
    signed = parse_announcement(raw)
    server = signed.announcement.server.path()
    if verify_announcement(store.read(), signed, now):
        # Proved again in the transaction: of two announcements at once the newer one stays.
        with store.change(Actor(server, address), now) as records:
            if verify_announcement(records, signed, now):
                keep_announcement(records, signed.announcement)


def keep_own_witness(store: CentralStore, witness: Witness, port: int, now: datetime) -> None:
    """Publish this node's witness if it is not published so. Raises `NotAtHand`, or `Refused` before the node has a name."""
    address = node_address(store.read())
    if address is None or not port:
        return
    shown = host_in_url(host_of(address))
    url = f"http://{shown}/tlog" if port == 80 else f"http://{shown}:{port}/tlog"
    own = CentralWitness(url, witness.signer().verifier(COSIGNATURE_ED25519))
    if central_witness(store.read()) != own:
        with store.change(Actor("central server"), now) as records:
            keep_central_witness(records, own)
