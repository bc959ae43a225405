"""Ports for what must be told its own before it listens: two runs on one machine are never given the same."""

from __future__ import annotations

import atexit
import secrets
import socket

HOST = "127.0.0.1"
# Below those that outgoing connections are given, one of which could take a port between the look at it and its use.
FIRST, COUNT = 20_000, 12_000


def free_port() -> int:
    """A port at which nobody listens on loopback, this process's until it ends. Raises RuntimeError."""
    for _ in range(200):
        port = FIRST + secrets.randbelow(COUNT)
        # Other runs are kept away by the UDP port of that number, which nobody needs.
        claim = socket.socket(type=socket.SOCK_DGRAM)
        try:
            claim.bind((HOST, port))
            with socket.socket() as probe:
                probe.bind((HOST, port))
        except OSError:
            claim.close()
            continue
        atexit.register(claim.close)
        return port
    raise RuntimeError("no free port was found in 200 tries")
