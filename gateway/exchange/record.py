"""The operational record of one exchange: filled as it goes, written once at its end, whatever happened.

Field names are those of X-Road's operational monitoring (see the globalconf reference of the docs, PR-OPMON 2),
so that the record can feed it unchanged. It holds no message content.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from schemas.faults import Spelling

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from schemas.faults import Fault
    from schemas.identifiers import ClientId, ServiceId
    from schemas.message import Message


class MessageHead(Protocol):
    """The identifiers that the monitoring record takes from a message, REST or SOAP."""

    @property
    def client(self) -> ClientId:
        """The client that sends the request."""
        ...

    @property
    def service(self) -> ServiceId:
        """The service that the request is for."""
        ...

    @property
    def message_id(self) -> str:
        """The consumer's id of the request."""
        ...

    @property
    def request_id(self) -> str:
        """The consumer gateway's id of this very exchange."""
        ...


class ExchangeRecord:
    """One record; ``server_type`` is ``Client`` on the consumer side and ``Producer`` on the provider side."""

    __slots__ = ("_fields", "head", "response")

    def __init__(self, server_type: str, at: datetime) -> None:
        self._fields: dict[str, str | int | bool] = {
            "securityServerType": server_type,
            "requestInTs": _milliseconds(at),
        }
        self.head: MessageHead | None = None
        self.response: Message | None = None

    @property
    def fields(self) -> Mapping[str, str | int | bool]:
        """The fields that are known so far, by their names in PR-OPMON."""
        return self._fields

    def message(self, head: MessageHead) -> None:
        """Say which message it is, as soon as that is known, and again once its bodies are."""
        self.head = head
        self._fields["client"] = head.client.path()
        self._fields["service"] = head.service.path()
        self._fields["messageId"] = head.message_id
        self._fields["xRequestId"] = head.request_id

    def request_out(self, at: datetime) -> None:
        """The request goes on: to the other gateway, or to the provider's system."""
        self._fields["requestOutTs"] = _milliseconds(at)

    def response_in(self, at: datetime, status: int) -> None:
        """The response has come, with its HTTP status."""
        self._fields["responseInTs"] = _milliseconds(at)
        self._fields["statusCode"] = status

    def answer(self, response: Message) -> None:
        """The response with its bodies."""
        self.response = response

    def finish(self, at: datetime, fault: Fault | None = None) -> dict[str, str | int | bool]:
        """Close the record and give its fields."""
        self._fields["responseOutTs"] = _milliseconds(at)
        self._fields["succeeded"] = fault is None
        if fault is not None:
            self._fields["faultCode"] = fault.code_in(Spelling.SNAKE)
            self._fields["faultString"] = fault.detail[:2048]
            self._fields["faultId"] = fault.id
        return self._fields


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
