"""Keys and requests for the certificates of a wanted file; orders from CAs by ACME."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

from certs.edges.tokenfiles import write_whole
from certs.tokens.port import SOFTWARE_TOKEN_ID
from gateway.cli.keys import opened
from gateway.desired.certificates import Missing, find_spare
from gateway.edges.acmeorders import AcmeOrders
from gateway.keys.model import KeyUsage
from gateway.keys.requesting import render_request
from gateway.server.listeners import serve
from gateway.server.running import local_client
from serving.process.devices import build_devices

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from gateway.desired.certificates import DesiredCertificate
    from gateway.keys.model import Key, SigningRequest
    from gateway.keys.operations import KeyOperations
    from gateway.keys.requesting import FieldDescription
    from gateway.settings.config import GatewaySettings


# Where the operator does not say; as `gateway key make-csr` and `gateway init` propose.
COUNTRY = "MX"


class FolderWork:
    """`gateway.desired.apply.CertificateWork` on a data folder, beside a gateway that may be running."""

    def __init__(self, data: Path, settings: GatewaySettings, pin: Callable[[], str]) -> None:
        self._data = data
        self._settings = settings
        self._pin = pin

    def prepare(self, missing: Sequence[Missing]) -> tuple[SigningRequest, ...]:
        """Requests, not kept yet, with their keys on their tokens; a key that a crash left is used."""
        return asyncio.run(self._prepare([m.desired for m in missing]))

    def finish(self, missing: Sequence[Missing], folder: Path) -> None:
        """Write the requests' files and order what is ordered. Raises `Refused` when a CA refuses."""
        asyncio.run(self._write(missing, folder))
        for one in missing:
            if one.desired.by_acme:
                self._order(one)

    async def _prepare(self, desired: Sequence[DesiredCertificate]) -> tuple[SigningRequest, ...]:
        async with self._opened(desired) as operations:
            return tuple([await self._request(operations, one) for one in desired])

    async def _request(self, operations: KeyOperations, one: DesiredCertificate) -> SigningRequest:
        fields = operations.subject_fields(one.ca, one.usage, one.member)
        given = dict(one.subject)
        values = {f.id: _value(f, given) for f in fields if not f.read_only}
        values |= {name: value for name, value in given.items() if name not in values}
        kind = one.kind or self._settings.keys.kinds()[one.usage]
        keys = [k for t in await operations.tokens() for k in t.keys]
        key: Key | None = find_spare(one, kind, keys)
        operations.draft_request("", one.usage, one.ca, one.member, values)  # refuse before a key is made
        key = key or await operations.generate_key(one.token, one.label, one.usage, kind)
        return operations.draft_request(key.id, one.usage, one.ca, one.member, values)

    async def _write(self, missing: Sequence[Missing], folder: Path) -> None:
        async with self._opened([m.desired for m in missing]) as operations:
            for one in missing:
                if one.request is None:
                    continue
                der = await operations.request_der(one.request.key_id, one.request.id)
                file = folder / one.desired.file
                await asyncio.to_thread(_write_file, file, render_request(der, "PEM"))

    def _order(self, one: Missing) -> None:
        """By the running gateway, which answers challenges already; else from here, answering them for this while."""
        assert one.request is not None  # finish is given what prepare made
        usage = "SIGNING" if one.desired.usage is KeyUsage.SIGNING else "AUTHENTICATION"
        try:
            with local_client(self._data) as client:
                from urllib.parse import quote

                body = {"csr_id": one.request.id, "key_usage_type": usage}
                client.json(
                    "POST", f"/certificate-authorities/{quote(one.desired.ca, safe='')}/acme-order", body
                )
        except ProcessLookupError:
            asyncio.run(self._order_here(one))

    async def _order_here(self, one: Missing) -> None:
        assert one.request is not None
        acme = self._settings.acme
        orders = AcmeOrders(acme, self._data / "acme", os.environ)
        runner = None
        if acme.challenge_port:
            runner = await serve(orders.board.app(), acme.challenge_host, acme.challenge_port)
        try:
            async with self._opened([one.desired]) as operations:
                await operations.order_certificate(one.request.key_id, one.request.id, orders)
        finally:
            if runner is not None:
                await runner.cleanup()

    @contextlib.asynccontextmanager
    async def _opened(self, desired: Sequence[DesiredCertificate]) -> AsyncIterator[KeyOperations]:
        """Every token of the settings; the software token is logged in to when it is wanted and is in no other process."""
        software = self._settings.keys.token(SOFTWARE_TOKEN_ID)
        needed = any(one.token == SOFTWARE_TOKEN_ID for one in desired) and not software.is_remote
        devices = build_devices(self._settings.keys, self._data)
        async with opened(self._data, self._pin if needed else None, devices=devices) as (
            operations,
            _tokens,
        ):
            yield operations


def _value(field: FieldDescription, given: dict[str, str]) -> str:
    return given.get(field.id, "") or field.default_value or {"C": COUNTRY}.get(field.id, "")


def _write_file(file: Path, content: bytes) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_whole(file, content)
