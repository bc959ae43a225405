"""One log line an exchange: the operational record, in the order a person reads it. It holds no message content."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from certs.certificates import name_text, parse_certificate
from schemas.faults import NotProved

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from gateway.exchange.record import ExchangeRecord


def report_exchange(log: logging.Logger, fields: Mapping[str, str | int | bool]) -> None:
    """Write the record; a refused or failed exchange is a warning."""
    extra = {"event": "exchange", **fields}
    if fields["succeeded"]:
        log.info("exchange", extra=extra)
    else:
        log.warning("exchange failed", extra=extra)


def report_certificate(log: logging.Logger, record: ExchangeRecord, certificate: bytes | None) -> None:
    """Write with which TLS certificate (DER) a consumer system came for an exchange; nothing where it showed none.

    Subject, serial number, SHA-256 of the whole certificate, and the message's id, by which it is found beside its record.
    """
    if certificate is None:
        return
    fields = {"sha256": hashlib.sha256(certificate).hexdigest()}
    try:
        shown = parse_certificate(certificate)
        fields |= {"subject": name_text(shown.subject), "serial": f"{shown.serial_number:x}"}
    except NotProved as fault:
        fields["subject"] = f"unreadable: {fault.detail}"
    named = {n: v for n in ("messageId", "xRequestId") if (v := record.fields.get(n))}
    log.info("client certificate", extra={"event": "client_certificate", **fields, **named})
