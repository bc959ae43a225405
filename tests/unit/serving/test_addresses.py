"""An address that cannot be listened on is said with the setting that names it, before anything is changed."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING

import pytest

from serving.process.addresses import ListenAddress, _explain, check_addresses, describe
from serving.process.supervised import notify_supervisor

if TYPE_CHECKING:
    from pathlib import Path


def at(host: str, port: int, purpose: str = "consumers") -> ListenAddress:
    return ListenAddress(purpose, "http", host, port, "listen.consumer_host", "listen.http_port")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "0.0.0.0", ""])
def test_a_free_address_is_let_go_again(host: str) -> None:
    with socket.socket(socket.AF_INET6 if host == "::1" else socket.AF_INET) as probe:
        probe.bind(("::1" if host == "::1" else "127.0.0.1", 0))
        port = probe.getsockname()[1]
    for _ in range(2):
        check_addresses([at(host, port)])


def test_every_address_in_use_is_named_with_its_settings() -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = [s.getsockname()[1] for s in (one, two)]
        with pytest.raises(OSError, match="in use") as raised:
            check_addresses([at("127.0.0.1", p) for p in ports])
    said = str(raised.value).split("; 127")
    assert all(
        f".0.0.1:{p}" in one and "set listen.http_port" in one for p, one in zip(ports, said, strict=True)
    )


@pytest.mark.parametrize("host", ["203.0.113.7", "no such host", "a" * 300, "[::1", "host.invalid", "ñ" * 70])
def test_an_address_this_machine_has_not_names_the_host_setting(host: str) -> None:
    with pytest.raises(OSError, match=r"listen\.consumer_host"):
        check_addresses([at(host, 8080)])


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_low_port_without_the_right_names_the_capability(number: int) -> None:
    said = _explain(at("0.0.0.0", 80), OSError(number, os.strerror(number)))
    assert "CAP_NET_BIND_SERVICE" in said
    assert "listen.http_port" in said


def test_port_zero_is_no_listener() -> None:
    check_addresses([at("no such host", 0)])
    assert describe([at("127.0.0.1", 0), at("::1", 80)]) == "consumers http://[::1]:80"


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("0.0.0.0", "http://127.0.0.1:1"),
        ("::", "http://[::1]:1"),
        ("", "http://127.0.0.1:1"),
        ("10.0.0.1", "http://10.0.0.1:1"),
    ],
)
def test_this_machine_reaches_a_listener_on_every_address_at_loopback(host: str, local: str) -> None:
    assert at(host, 1).local_url == local


def test_systemd_is_told_when_it_asked_and_nothing_breaks_when_it_is_gone(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        notify_supervisor("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert listening.recv(64) == b"READY=1"
    notify_supervisor("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "notify")})
    notify_supervisor("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "none")})
    notify_supervisor("READY=1", {})
