"""Keys and certificates of the foreign vectors."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs12

from tests.paths import VECTORS


@cache
def load(name: str) -> tuple[Any, x509.Certificate]:
    """A key and its certificate from a PKCS#12 file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # one of the files is BER
        key, certificate, _ = pkcs12.load_key_and_certificates((VECTORS / name).read_bytes(), b"test")
    assert certificate is not None
    return key, certificate
