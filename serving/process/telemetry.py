"""Log lines as JSON, one object a line: time, level, area, message, and the fields the caller adds; and where they go."""

from __future__ import annotations

import logging
import os
import socket
import sys
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler, SysLogHandler
from typing import IO, Any

from schemas.jsontext import encode_json
from serving.config.logsettings import LogStreamSettings
from serving.printable import escape_controls

log = logging.getLogger("logging")
# Whole audit records go here, and from here to a collector if one is named.
AUDIT_RECORDS = "audit.records"

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its line break."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "area": record.name,
            "message": record.getMessage(),
        }
        for name, value in record.__dict__.items():
            if name not in _STANDARD:
                line[name] = value
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return encode_json(_printable(line), enc_hook=str).decode()


def _printable(value: Any) -> Any:
    """The same with every text escaped, and what JSON has no form for as text."""
    if isinstance(value, str):
        return escape_controls(value)
    if isinstance(value, dict):
        return {escape_controls(str(k)): _printable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_printable(v) for v in value]
    if value is None or isinstance(value, (bool, float)) or (isinstance(value, int) and abs(value) < 1 << 63):
        return value
    return escape_controls(str(value))


def configure(
    level: str = "info", stream: IO[str] | None = None, settings: LogStreamSettings | None = None
) -> None:
    """Send every log line of this process to ``stream`` (standard error) as JSON, and to where ``settings`` say besides.

    Raises OSError for a file or socket that cannot be opened, `OperatorError` for an area's level that is none.
    """
    settings = settings or LogStreamSettings()
    handlers: list[logging.Handler] = [logging.StreamHandler(stream or sys.stderr)]
    if settings.file:
        handlers.append(
            _PrivateFile(settings.file, maxBytes=settings.file_bytes, backupCount=settings.files_kept)
        )
    for handler in handlers:
        handler.setFormatter(JsonFormatter())
    logging.getLogger().handlers[:] = handlers
    records = logging.getLogger(AUDIT_RECORDS)
    records.handlers[:] = [build_syslog(settings.audit_syslog)] if settings.audit_syslog else []
    set_levels(level, settings, LogStreamSettings())


def set_levels(level: str, settings: LogStreamSettings, before: LogStreamSettings) -> None:
    """Write as much as these settings say from now on, where ``before`` said how much until now."""
    areas = settings.area_levels()
    logging.getLogger().setLevel(level.upper())
    for area in before.area_levels().keys() - areas.keys():
        logging.getLogger(area).setLevel(logging.NOTSET)
    for area, value in areas.items():
        logging.getLogger(area).setLevel(value)


class _PrivateFile(RotatingFileHandler):
    """A log file that its owner alone reads, put aside when it has grown."""

    def _open(self) -> Any:
        return open(
            self.baseFilename,
            self.mode,
            encoding="utf-8",
            opener=lambda path, flags: os.open(path, flags, 0o600),
        )


def build_syslog(where: str) -> logging.Handler:
    """A handler that sends audit records to a collector. A host's name is looked up once, now. Raises OSError."""
    address: str | tuple[str, int] = where
    if not where.startswith("/"):
        host, _, port = where.rpartition(":")
        found = socket.getaddrinfo(host.strip("[]"), int(port or 514), type=socket.SOCK_DGRAM)
        address = (str(found[0][4][0]), int(port or 514))
    handler = _Syslog(address, facility=SysLogHandler.LOG_LOCAL0)
    handler.setFormatter(_SyslogFormatter())
    return handler


class _Syslog(SysLogHandler):
    """A record that cannot be sent is told in the log and not tried again: it stands in the audit log."""

    append_nul = False

    def handleError(self, record: logging.LogRecord) -> None:  # the name of the class above
        """Say so, without the record."""
        log.warning(
            "audit record not forwarded",
            extra={"event": "audit_forwarding", "reason": str(sys.exc_info()[1]), "of": record.msg},
        )


class _SyslogFormatter(logging.Formatter):
    """RFC 5424: version, time, host, program, process, message id, no structured data, then the record as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """The message after its priority."""
        at = (
            datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z")
        )
        return f"1 {at} {socket.gethostname() or '-'} sacbe {os.getpid()} audit - {record.getMessage()}"
