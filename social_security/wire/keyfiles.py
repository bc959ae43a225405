"""The file, and the message, in which a member hands out its public key: who it is of, the key, and its digest. Pure but for reading.

Neither holds a secret. Both sides read the digest to each other before they trust a file; what comes by message is signed by
its sender's gateway.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from schemas.jsontext import dump_json, load_json
from social_security.domain import pack
from social_security.domain.eventchain import canonical
from social_security.wire import tokens

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT: Final = "sacbe-key/1"
_FIELDS: Final = frozenset(("kty", "crv", "x", "y"))


def key_value(member: str, public: Mapping[str, str]) -> dict[str, Any]:
    """The value in a key file: format, member, key, digest."""
    return {"format": FORMAT, "member": member, "key": dict(public), "sha256": key_digest(public)}


def render_key(member: str, public: Mapping[str, str]) -> str:
    """The file in which a member hands out its public key."""
    return dump_json(key_value(member, public), indent=1) + "\n"


def key_digest(public: Mapping[str, str]) -> str:
    """SHA-256 over the key's canonical JSON, as both sides read it to each other."""
    return hashlib.sha256(canonical({n: public[n] for n in sorted(_FIELDS)})).hexdigest()


def read_key(file: Path, member: str = "") -> dict[str, str]:
    """The public key out of a member's file; of the named member, if one is named. Raises ValueError."""
    try:
        value = load_json(file.read_bytes())
    except (OSError, ValueError) as err:
        raise ValueError(f"{file} cannot be read as a key file: {type(err).__name__}") from err
    return parse_key(value, str(file), member)


def parse_key(value: Any, where: str, member: str = "") -> dict[str, str]:
    """The public key out of a key file's value, which came from ``where``; of the named member, if one is named. Raises ValueError."""
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise ValueError(f"{where} is no key file ({FORMAT} was expected)")
    key = value.get("key")
    if (
        not isinstance(key, dict)
        or not set(key) >= _FIELDS
        or not all(isinstance(v, str) for v in key.values())
    ):
        raise ValueError(f"{where} holds no public key on P-256")
    if "d" in key:
        raise ValueError(f"{where} holds a private key: it must not leave its member; make that system anew")
    if key["kty"] != "EC" or key["crv"] != "P-256" or key_digest(key) != value.get("sha256"):
        raise ValueError(f"{where}: the key is not that of its digest, or not on P-256")
    tokens.check_public_key(key)
    if member and value.get("member") != member:
        raise ValueError(f"{where} is the key of {value.get('member')}; {member}'s was expected")
    return {str(n): str(v) for n, v in key.items()}


def read_member(file: Path) -> str:
    """Whose key a file says it is. Raises ValueError for a member that does not exist."""
    value = load_json(file.read_bytes())
    path = str(value.get("member", "")) if isinstance(value, dict) else ""
    known = pack.members().get(path.rpartition("/")[2])
    if known is None or known.path != path:
        raise ValueError(f"{file} is the key of {path[:60] or 'nobody'}, who is no member")
    return path
