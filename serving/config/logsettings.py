"""Where a server's log lines go, besides standard error, and how much of each area."""

from __future__ import annotations

import logging
from typing import Annotated

import msgspec

from serving.config.setting import GIB, Setting
from serving.errors import OperatorError
from serving.language import N_

LEVELS = ("debug", "info", "warning", "error")


class LogStreamSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Standard error always has every line; the rest is for servers without a journal, and for a collector of audit records."""

    # fmt: off
    # How much single areas write, otherwise than the rest: ``gateway.peers=debug``. An area holds those below it.
    levels: Annotated[tuple[str, ...], Setting(help="Areas that write more or less than the rest: gateway.peers=debug.", live=True)] = ()
    # A file besides standard error; empty: none. Beyond its size it is put aside as FILE.1 and so on.
    file: Annotated[str, Setting(help="A log file besides standard error; empty: none.")] = ""
    file_bytes: Annotated[int, Setting(help="Size at which that file is put aside.", low=4096, high=GIB)] = 50 * 1024 * 1024
    files_kept: Annotated[int, Setting(help="How many of those put aside are kept.", low=0, high=1000)] = 10
    # Where every audit record is sent as it is written, as RFC 5424 with facility local0: HOST:PORT over UDP, or the path of a
    # local socket such as /dev/log; empty: nowhere.
    audit_syslog: Annotated[str, Setting(help="Where every audit record is sent (HOST:PORT over UDP, or a local socket); empty: nowhere.")] = ""
    # fmt: on

    def area_levels(self) -> dict[str, int]:
        """The levels by area. Raises `OperatorError`."""
        found: dict[str, int] = {}
        for text in self.levels:
            area, _sign, level = text.partition("=")
            if not area.strip() or level.strip().lower() not in LEVELS:
                raise OperatorError(
                    N_(
                        "logging.levels: {text!r} is no AREA=LEVEL; levels are {levels}, areas stand in every log line",
                        text=text,
                        levels=", ".join(LEVELS),
                    )
                )
            found[area.strip()] = logging.getLevelNamesMapping()[level.strip().upper()]
        return found
