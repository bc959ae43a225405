"""Certificates as PEM, for files that people read and pass on."""

from __future__ import annotations

import base64
import textwrap


def certificate_pem(der: bytes) -> bytes:
    """A certificate's DER as a PEM file, whatever stands in it."""
    lines = textwrap.wrap(base64.b64encode(der).decode("ascii"), 64)
    return "\n".join(["-----BEGIN CERTIFICATE-----", *lines, "-----END CERTIFICATE-----", ""]).encode("ascii")
