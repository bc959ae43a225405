"""Pairwise pseudonyms and the blind index: what stands for a person outside the registry.

Pure; keys are arguments. The RID goes into the HMAC as lower-case hex. A PID is the first 16 bytes of an HMAC in Crockford's Base32 plus one ISO 7064 MOD 37,36 check
character: 27 characters, checkable without any key. PID-I belongs to one institute, PID-P to one client, provider and
purpose. Two institutes' PIDs of one person have nothing in common without the registry's key.

Spec: the domain reference 2.5 and 2.7.
"""

from __future__ import annotations

import hmac
import re
from typing import Final, NewType

from social_security.domain.faults import DomainError

Rid = NewType("Rid", bytes)
Pid = NewType("Pid", str)

LENGTH = 27
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_CHECK: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PID: Final = re.compile(r"[0-9A-HJKMNP-TV-Z]{25}[048CGMRW][0-9A-Z]", re.ASCII)
_SEPARATOR: Final = b"\x1f"


def institute_pid(key: bytes, version: str, rid: Rid, institute: str) -> Pid:
    """PID-I: the person as one institute knows her. ``institute`` is the member, as ``MX/GOB/15-ISSEMYM``."""
    return _encode(_mac(key, b"OSSMX-PID-I", version.encode(), rid.hex().encode(), institute.encode()))


def pair_pid(key: bytes, version: str, rid: Rid, client: str, provider: str, purpose: str) -> Pid:
    """PID-P: the person between two members (``MX/GOB/15-ISSEMYM``), in that direction, for one purpose."""
    return _encode(
        _mac(
            key,
            b"OSSMX-PID",
            version.encode(),
            rid.hex().encode(),
            client.encode(),
            provider.encode(),
            purpose.encode(),
        )
    )


def curp_index(key: bytes, version: str, curp: str) -> str:
    """The blind index under which the registry finds a CURP. Without the key it tells nothing."""
    return _mac(key, b"OSSMX-CURP-IDX", version.encode(), curp.encode()).hex()


def parse_pid(text: str, field: str = "pid") -> Pid:
    """The pseudonym. Raises `DomainError` SS-104 when its form or its check character is wrong."""
    if _PID.fullmatch(text) is None or not _is_checked(text):
        raise DomainError("SS-104", field=field)
    return Pid(text)


def check_character(body: str) -> str:
    """The ISO 7064 MOD 37,36 check character."""
    check = 36
    for c in body:
        check = (check + _CHECK.index(c)) % 36 or 36
        check = check * 2 % 37
    return _CHECK[(1 - check) % 36]


def _is_checked(text: str) -> bool:
    return check_character(text[:-1]) == text[-1]


def _mac(key: bytes, *parts: bytes) -> bytes:
    return hmac.digest(key, _SEPARATOR.join(parts), "sha256")


def _encode(digest: bytes) -> Pid:
    # 128 bits and two zero bits on the right make 26 characters of five bits.
    value = int.from_bytes(digest[:16], "big") << 2
    body = "".join(_CROCKFORD[(value >> shift) & 31] for shift in range(125, -1, -5))
    return Pid(body + check_character(body))
