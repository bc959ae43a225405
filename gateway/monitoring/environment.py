"""What this machine and this software are like right now, as metrics. Read from /proc; what is not there is left out."""

from __future__ import annotations

import os
import platform
import resource
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509

from certs.algorithms import SHA1
from gateway.monitoring.processes import package_metrics, process_metrics
from schemas.monitoring import Metric

if TYPE_CHECKING:
    from collections.abc import Iterable

_PROC = Path("/proc")


def version_metric() -> Metric:
    """The version of this software."""
    return Metric("proxyVersion", f"sacbe {version('sacbe')}")


def machine_metrics(certificates: Iterable[tuple[bytes, str, bool]], folder: Path) -> tuple[Metric, ...]:
    """Operating system, memory, files, disk, processes, packages and this server's certificates (DER, kind, active)."""
    return (
        Metric("OperatingSystem", f"{platform.system()} {platform.release()}"),
        *_memory(),
        *_files(),
        Metric("SystemCpuLoad", round(os.getloadavg()[0] / (os.cpu_count() or 1), 3)),
        *_disk(folder),
        *process_metrics(),
        package_metrics(),
        Metric("Certificates", tuple(_certificate(*c) for c in certificates)),
    )


def _memory() -> tuple[Metric, ...]:
    names = {
        "MemTotal": "TotalPhysicalMemory",
        "MemAvailable": "FreePhysicalMemory",
        "SwapTotal": "TotalSwapSpace",
        "SwapFree": "FreeSwapSpace",
        "Committed_AS": "CommittedVirtualMemory",
    }
    try:
        lines = (_PROC / "meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return ()
    found = dict(line.split(":", 1) for line in lines if ":" in line)
    return tuple(
        Metric(name, int(found[key].split()[0]) * 1024) for key, name in names.items() if key in found
    )


def _files() -> tuple[Metric, ...]:
    try:
        opened = len(list((_PROC / "self" / "fd").iterdir()))
    except OSError:
        return ()
    return (
        Metric("OpenFileDescriptorCount", opened),
        Metric("MaxFileDescriptorCount", resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
    )


def _disk(folder: Path) -> tuple[Metric, ...]:
    found: list[Metric] = []
    for mount in dict.fromkeys((Path("/"), folder)):
        usage = shutil.disk_usage(mount)
        label = "/" if mount == Path("/") else "data"
        found += [
            Metric(f"DiskSpaceTotal_{label}", usage.total),
            Metric(f"DiskSpaceFree_{label}", usage.free),
        ]
    return tuple(found)


def _certificate(der: bytes, kind: str, active: bool) -> Metric:
    certificate = x509.load_der_x509_certificate(der)
    sha1 = certificate.fingerprint(SHA1).hex()  # the name X-Road gives
    return Metric(
        f"certificate-{sha1}",
        (
            Metric("sha1Hash", sha1),
            Metric("notBefore", certificate.not_valid_before_utc.isoformat()),
            Metric("notAfter", certificate.not_valid_after_utc.isoformat()),
            Metric("certificateType", kind),
            Metric("active", str(active).lower()),
        ),
    )
