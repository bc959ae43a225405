"""Certificates ordered by ACME from the admin API: the running gateway's orders, as the key resources want them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.admin.context import AdminContext
    from schemas.identifiers import ClientId


class GatewayOrders:
    """`gateway.admin.keycontext.CertificateOrders` of whichever gateway runs when it is called."""

    def __init__(self, context: AdminContext) -> None:
        self._context = context

    async def order(self, key_id: str, request_id: str) -> None:
        """Have a kept request's certificate issued by its CA, and import it. Raises `Refused` (``acme.*``)."""
        await self._context.keys.order_certificate(key_id, request_id, self._context.gateway.acme)

    async def account_state(self, ca_name: str, member: ClientId | None) -> tuple[bool, bool]:
        """Whether the CA binds accounts to outside ones, and whether the settings name one for the member."""
        ca = self._context.keys.approved_ca(ca_name)
        return await self._context.gateway.acme.account_state(ca, member)
