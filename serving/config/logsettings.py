"""Where a server's log lines go, besides standard error, and how much of each area."""

from __future__ import annotations

import logging

import msgspec

from serving.errors import OperatorError

LEVELS = ("debug", "info", "warning", "error")


class LogStreamSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Standard error always has every line; the rest is for servers without a journal, and for a collector of audit records."""

    # How much single areas write, otherwise than the rest: ``gateway.peers=debug``. An area holds those below it.
    levels: tuple[str, ...] = ()
    # A file besides standard error; empty: none. Beyond its size it is put aside as FILE.1 and so on.
    file: str = ""
    file_bytes: int = 50 * 1024 * 1024
    files_kept: int = 10
    # Where every audit record is sent as it is written, as RFC 5424 with facility local0: HOST:PORT over UDP, or the path of a
    # local socket such as /dev/log; empty: nowhere.
    audit_syslog: str = ""

    def area_levels(self) -> dict[str, int]:
        """The levels by area. Raises `OperatorError`."""
        found: dict[str, int] = {}
        for text in self.levels:
            area, _, level = text.partition("=")
            if not area.strip() or level.strip().lower() not in LEVELS:
                raise OperatorError(
                    f"logging.levels: {text!r} is no AREA=LEVEL; levels are {', '.join(LEVELS)}, "
                    "areas stand in every log line"
                )
            found[area.strip()] = logging.getLevelNamesMapping()[level.strip().upper()]
        return found
