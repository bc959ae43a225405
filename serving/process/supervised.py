"""What a server says to whoever started it: that it is ready and that it ends, in the log and to systemd.

systemd hears it over the datagram socket named in ``NOTIFY_SOCKET`` (sd_notify(3)); without one nothing is sent.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from typing import TYPE_CHECKING

from serving.language import SOURCE_LANGUAGE, speak
from serving.process.addresses import describe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from serving.process.addresses import ListenAddress


def report_ready(
    log: logging.Logger, addresses: Sequence[ListenAddress], environ: Mapping[str, str], more: str = ""
) -> None:
    """One line with every address that is listened on. From here on this process speaks the language of logs."""
    speak(SOURCE_LANGUAGE)
    urls = {a.purpose: a.url for a in addresses if a.port}
    log.info("ready: %s%s", describe(addresses), more, extra={"event": "ready", "addresses": urls})
    notify_supervisor("READY=1", environ)


def watchdog_interval_s(environ: Mapping[str, str]) -> float | None:
    """Seconds between two notes to systemd that the event loop turns: half of its limit; None when it does not ask (sd_watchdog_enabled(3))."""
    limit = environ.get("WATCHDOG_USEC", "")
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(limit) / 2_000_000 if limit.isdigit() and int(limit) else None


def report_alive(environ: Mapping[str, str]) -> None:
    """Tell systemd's watchdog that the event loop turns."""
    notify_supervisor("WATCHDOG=1", environ)


def report_stopping(environ: Mapping[str, str]) -> None:
    """Tell systemd that the end was asked for."""
    notify_supervisor("STOPPING=1", environ)


def report_stopped(log: logging.Logger) -> None:
    """One line, the last one."""
    log.info("stopped", extra={"event": "stopped"})


def notify_supervisor(state: str, environ: Mapping[str, str]) -> None:
    """Send a state to systemd, if it asked for it; that it does not listen is no failure of ours."""
    path = environ.get("NOTIFY_SOCKET", "")
    if not path:
        return
    with (
        contextlib.suppress(OSError),
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as channel,
    ):
        channel.setblocking(False)  # a supervisor that does not read must not hold up the event loop
        # A leading @ stands for the abstract namespace's zero byte.
        channel.connect("\0" + path[1:] if path.startswith("@") else path)
        channel.sendall(state.encode())
