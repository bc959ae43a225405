"""What the signed configuration says of transparency logs: who cosigns this one, which logs this server cosigns, and its own keys.

The part is read once for each content; whoever asks may be any thread.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from certs.transparency import appointments_in
from gateway.transparency.witnessclient import AppointedWitness
from schemas.globalconf.parts import WITNESSES_ID
from schemas.globalconf.witnesses import Appointments
from schemas.names import host_in_url
from schemas.transparency.announcement import log_origin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from certs.configuration import TrustedConfiguration
    from schemas.globalconf.witnesses import AppointedLog
    from schemas.identifiers import ServerId
    from schemas.transparency.notes import VerifierKey


class ConfiguredWitnesses:
    """The appointments in force, for one server. ``port``: where servers serve their logs (5577)."""

    def __init__(
        self,
        current: Callable[[], TrustedConfiguration | None],
        server: Callable[[], ServerId],
        port: int,
    ) -> None:
        self._current = current
        self._server = server
        self._port = port
        self._lock = threading.Lock()
        self._read: tuple[bytes, Appointments] = (b"", Appointments())
        self._by_name: Mapping[str, AppointedLog] = {}

    def log_key(self, name: str) -> VerifierKey | None:
        """The key of the log of that name, which this server cosigns as a witness; None when no server has it."""
        self._appointments()
        found = self._by_name.get(name)
        return None if found is None else found.log_key

    def own(self) -> AppointedLog | None:
        """This server's log and witness as the configuration has them."""
        self._appointments()
        return self._by_name.get(log_origin(self._server()))

    def witnesses(self) -> tuple[AppointedWitness, ...]:
        """Those who cosign this server's log: the central server's nodes, and the servers that are appointed for it."""
        appointments, own, configuration = self._appointments(), self.own(), self._current()
        if own is None or configuration is None:
            return ()
        addresses = {server.id: server.address for server in configuration.own.shared.security_servers}
        found = [AppointedWitness(central.url, central.key) for central in appointments.central]
        for server in own.witnesses:
            host, appointed = addresses.get(server, ""), self._by_name.get(log_origin(server))
            if host and appointed is not None:
                url = f"http://{host_in_url(host)}:{self._port}/tlog"
                found.append(AppointedWitness(url, appointed.witness_key))
        return tuple(found)

    def _appointments(self) -> Appointments:
        configuration = self._current()
        raw = b"" if configuration is None else configuration.parts.get(WITNESSES_ID, b"")
        with self._lock:
            if self._read[0] != raw:
                found = appointments_in(configuration)
                self._read = (raw, found)
                self._by_name = {log_origin(log.server): log for log in found.logs}
            return self._read[1]
