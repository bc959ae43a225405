"""One log line an exchange: the operational record, in the order a person reads it. It holds no message content."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping


def report_exchange(log: logging.Logger, fields: Mapping[str, str | int | bool]) -> None:
    """Write the record; a refused or failed exchange is a warning."""
    extra = {"event": "exchange", **fields}
    if fields["succeeded"]:
        log.info("exchange", extra=extra)
    else:
        log.warning("exchange failed", extra=extra)
