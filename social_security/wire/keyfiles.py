"""The file, and the message, in which a member hands out its public key: who it is of, the key, and its digest. Pure but for reading.

Neither holds a secret. Both sides read the digest to each other before they trust a file; what comes by message is signed by
its sender's gateway.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

from schemas.jsontext import dump_json, load_json
from serving.errors import OperatorError
from serving.language import N_
from social_security.domain.eventchain import canonical
from social_security.wire import tokens

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from social_security.domain.edition import Edition

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
        raise OperatorError(
            N_("{file} cannot be read as a key file: {name}", file=file, name=type(err).__name__)
        ) from err
    return parse_key(value, str(file), member)


def parse_key(value: Any, where: str, member: str = "") -> dict[str, str]:
    """The public key out of a key file's value, which came from ``where``; of the named member, if one is named. Raises ValueError."""
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise OperatorError(N_("{where} is no key file ({format} was expected)", where=where, format=FORMAT))
    key = value.get("key")
    if (
        not isinstance(key, dict)
        or not set(key) >= _FIELDS
        or not all(isinstance(v, str) for v in key.values())
    ):
        raise OperatorError(N_("{where} holds no public key on P-256", where=where))
    if "d" in key:
        raise OperatorError(
            N_(
                "{where} holds a private key: it must not leave its member; make that system anew",
                where=where,
            )
        )
    if key["kty"] != "EC" or key["crv"] != "P-256" or key_digest(key) != value.get("sha256"):
        raise OperatorError(N_("{where}: the key is not that of its digest, or not on P-256", where=where))
    tokens.check_public_key(key)
    if member and value.get("member") != member:
        raise OperatorError(
            N_(
                "{where} is the key of {found}; {member}'s was expected",
                where=where,
                found=value.get("member"),
                member=member,
            )
        )
    return {str(n): str(v) for n, v in key.items()}


def read_member(file: Path, edition: Edition) -> str:
    """Whose key a file says it is. Raises ValueError for a member that does not exist."""
    value = load_json(file.read_bytes())
    path = str(value.get("member", "")) if isinstance(value, dict) else ""
    known = edition.members.get(path.rpartition("/")[2])
    if known is None or known.path != path:
        raise OperatorError(
            N_("{file} is the key of {found}, who is no member", file=file, found=path[:60] or N_("nobody"))
        )
    return path
