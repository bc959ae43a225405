"""The certificates of the management security server, in files of the data folder.

A file that the settings name and that is not there yet is none that anybody can show: the management service stays closed
until the operator puts it there (``central-server management-gateway`` does), which a running server sees at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from certs.certificatefiles import read_certificate_der

if TYPE_CHECKING:
    from pathlib import Path

    from central_server.config import Management


def read_pinned(data: Path, management: Management) -> frozenset[bytes] | None:
    """The certificates (DER) that are there; None when the settings name no file. Raises `Fault` for a file that is none."""
    if not management.pinned_certificates:
        return None
    files = (data / name for name in management.pinned_certificates)
    return frozenset(read_certificate_der(file.read_bytes()) for file in files if file.is_file())
