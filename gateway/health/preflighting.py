"""The facts of a preflight: this machine, its network, its certificates, and a backup that comes back.

Edge. Ports are looked at from outside: one that answers while the gateway is up is taken for the gateway's own.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import urllib.error
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gateway.health.preflight import PreflightFacts
from gateway.settings.datafolder import BACKUP_CONTENT
from serving.config.setting import EVERYWHERE
from serving.errors import OperatorError
from serving.language import language_of
from serving.process.failing import reason_of
from serving.process.httpget import open_url, read_json_object
from serving.storage.backup import Lock, Opener, make_backup, restore_backup

if TYPE_CHECKING:
    from collections.abc import Iterable

    from certs.configuration import TrustedConfiguration
    from gateway.settings.config import GatewaySettings

TIMEOUT_S = 5.0
_MIB = 1024 * 1024


def gather_facts(
    data: Path,
    settings: GatewaySettings,
    configuration: TrustedConfiguration | None,
    health_url: str,
    server: str,
) -> PreflightFacts:
    """Measure and try everything; what fails is a fact, not an error."""
    diagnosis = read_json_object(f"{health_url.rstrip('/')}/diagnosis", TIMEOUT_S)
    tsa = [] if configuration is None else [t.url for t in configuration.approved_tsas]
    ocsp = _responders(configuration)
    return PreflightFacts(
        cores=os.cpu_count() or 0,
        memory_mib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // _MIB,
        disk_mib=shutil.disk_usage(data).free // _MIB,
        clock_offset_s=_clock([*tsa, *ocsp]),
        ports={
            f"{host}:{port}": _port(host, port, diagnosis is not None) for host, port in _listeners(settings)
        },
        names={host: _resolves(host) for host in sorted(_hosts([*tsa, *ocsp], configuration))},
        authorities={url: _reaches(url) for url in tsa},
        responders={url: _reaches(url) for url in ocsp},
        findings=_findings(diagnosis),
        backup=_backup(data, server),
    )


def _findings(diagnosis: dict[str, Any] | None) -> list[str]:
    if diagnosis is None:
        return ["the gateway is not running, so its certificates were not looked at"]
    return [f["en"]["what"] for f in diagnosis["findings"] if f["severity"] != "notice"]


def _listeners(settings: GatewaySettings) -> list[tuple[str, int]]:
    where = settings.listen
    return [
        (where.consumer_host, where.http_port),
        (where.consumer_host, where.https_port),
        (where.peer_host, where.peer_port),
        (where.peer_host, where.ocsp_port),
    ]


def _port(host: str, port: int, is_running: bool) -> str:
    if is_running:
        reach = "127.0.0.1" if host == EVERYWHERE else host
        return _connects(reach, port)
    try:
        with socket.create_server((host, port)):
            return ""
    except OSError as err:
        return _in_words(err)


def _responders(configuration: TrustedConfiguration | None) -> list[str]:
    if configuration is None:
        return []
    urls = [
        i.url
        for c in configuration.signing_ca_certificates(configuration.instance)
        for i in configuration.ocsp_infos(c)
    ]
    return list(dict.fromkeys(urls))


def _hosts(urls: Iterable[str], configuration: TrustedConfiguration | None) -> set[str]:
    servers = () if configuration is None else configuration.own.shared.security_servers
    return {h for h in (*(urlsplit(u).hostname for u in urls), *(s.address for s in servers)) if h}


def _clock(urls: Iterable[str]) -> float | None:
    """Seconds that this clock is ahead of the first authority that answers, to the second, as its Date has it; None when none does."""
    for url in urls:
        try:
            with open_url(url, TIMEOUT_S) as answer:
                date = answer.headers.get("Date")
        except urllib.error.HTTPError as err:
            date = err.headers.get("Date")
        except (OSError, ValueError):
            continue
        if date:
            theirs = parsedate_to_datetime(date) + timedelta(milliseconds=500)
            return (datetime.now(UTC) - theirs).total_seconds()
    return None


def _in_words(error: Exception) -> str:
    return reason_of(error).into(language_of(os.environ))


def _resolves(host: str) -> str:
    try:
        socket.getaddrinfo(host, None)
    except OSError as err:
        return _in_words(err)
    return ""


def _reaches(url: str) -> str:
    parts = urlsplit(url)
    return _connects(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))


def _connects(host: str, port: int) -> str:
    try:
        with socket.create_connection((host, port), timeout=TIMEOUT_S):
            return ""
    except OSError as err:
        return _in_words(err)


def _backup(data: Path, server: str) -> str:
    """Make a backup and restore it beside the folder, never over it: the reason why it failed, empty when it came back."""
    passphrase, now = os.urandom(16).hex(), datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="preflight-", dir=data.parent) as beside:
        try:
            made = make_backup(data, BACKUP_CONTENT, server, Lock(passphrase=passphrase), now, "preflight")
            restore_backup(
                Path(beside) / "restored", made, BACKUP_CONTENT, Opener(passphrase=passphrase), now
            )
        except (OperatorError, OSError) as err:
            return _in_words(err)
    return ""
