"""What the resources around keys are given, and how a refusal of theirs becomes an answer.

`Refused` carries the API's code already; here it gets its HTTP status. What the path names and is not there is 404, what
the body names is 400. A fault of a token or of a proof is ``core.`` and its code, as X-Road says such things.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Protocol

from gateway.keys.model import KeyUsage
from schemas.faults import BadMessage, Fault, TokenFailed
from schemas.identifiers import ClientId
from serving.api.operations import Call, Operation
from serving.api.problems import Problem, bad_request
from serving.errors import Refused
from serving.process.failing import reason_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from cryptography import x509

    from certs.configuration import TrustedConfiguration
    from certs.tokens.port import KeyId
    from certs.verify.ocsp import OcspStatus
    from gateway.keys.operations import KeyOperations
    from gateway.management.requests import SentRequest
    from schemas.identifiers import ServerId
    from schemas.management import ManagementRequest

    Handler = Callable[[Call], Awaitable[object]]


class CertificateOrders(Protocol):
    """Certificates ordered from a CA by machine (ACME)."""

    async def order(self, key_id: str, request_id: str) -> None:
        """Have a kept request's certificate issued and imported. Raises `Refused` (``acme.*``)."""
        ...

    async def account_state(self, ca_name: str, member: ClientId | None) -> tuple[bool, bool]:
        """Whether the CA demands external account credentials, and whether they are configured."""
        ...


@dataclass(frozen=True, slots=True)
class KeyAdminContext:
    """The part of the gateway that deals with keys, as its admin API needs it."""

    # Operations on the keys of the gateway that runs when they are called. Refused while none does.
    running_keys: Callable[[], KeyOperations]
    server_id: Callable[[], ServerId]
    configuration: Callable[[], TrustedConfiguration | None]
    # The OCSP response in hand for a certificate, checked now. Raises `NotProved` when there is none that holds.
    ocsp_status: Callable[[x509.Certificate, datetime], OcspStatus]
    send: Callable[[ManagementRequest, KeyId | None], Awaitable[SentRequest]]
    # How responders that cost are ordered: the API's word.
    ocsp_strategy: Callable[[], str]
    orders: CertificateOrders

    @property
    def keys(self) -> KeyOperations:
        """Operations on tokens, keys and certificates of the running gateway."""
        return self.running_keys()


def row(method: str, path: str, handler: Handler, summary: str, *permissions: str, **more: Any) -> Operation:
    """A row of the table; refusals of the rules become answers."""

    @wraps(handler)
    async def guarded(call: Call) -> object:
        try:
            return await handler(call)
        except Refused as refused:
            raise refusal(refused, call) from refused
        except TokenFailed as fault:
            raise Problem(409, f"core.{fault.code}", [fault.detail], words=reason_of(fault)) from fault
        except Fault as fault:
            status = 400 if isinstance(fault, BadMessage) else 500
            raise Problem(status, f"core.{fault.code}", [fault.detail], words=reason_of(fault)) from fault

    tag = more.pop("tag", path.split("/")[1])
    errors = tuple({404, 409, *more.pop("errors", ())})
    return Operation(method, path, guarded, summary, permissions, tag=tag, errors=errors, **more)


def refusal(refused: Refused, call: Call) -> Problem:
    """A refusal as an answer, by its code; what is not there is 404 when the path names it, 400 when the body does."""
    status = refused.code.status
    if status == 404 and not any(value in str(refused) for value in call.path.values()):
        status = 400
    return Problem(status, refused.code, list(refused.metadata) or [str(refused)])


def usage_of(name: str) -> KeyUsage:
    """A key usage by the API's name. Raises `Problem` (``invalid_key_usage``)."""
    try:
        return KeyUsage[name]
    except KeyError as err:
        raise bad_request("invalid_key_usage", f"{name!r} is neither SIGNING nor AUTHENTICATION") from err


def member_of(encoded: str | None) -> ClientId | None:
    """A member by its encoded identifier, ``INSTANCE:CLASS:CODE[:SUBSYSTEM]``. Raises `Problem` (``invalid_encoded_id``)."""
    if encoded is None:
        return None
    parts = encoded.split(":")
    if len(parts) not in (3, 4) or not all(parts):
        raise bad_request("invalid_encoded_id", f"{encoded!r} is no INSTANCE:CLASS:CODE[:SUBSYSTEM]")
    return ClientId(*parts)


def encoded(client: ClientId) -> str:
    """A client's identifier as the admin API spells it, with colons."""
    return client.path().replace("/", ":")


def check_may_request(call: Call, usage: KeyUsage, *, ordering: bool) -> None:
    """Refuse unless the caller may ask for a certificate of this usage, and import it where the CA is asked at once."""
    kind = "AUTH" if usage is KeyUsage.AUTHENTICATION else "SIGN"
    call.check_may(f"GENERATE_{kind}_CERT_REQ")
    if ordering:
        call.check_may(f"IMPORT_{kind}_CERT")
