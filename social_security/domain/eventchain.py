"""Events of a case, each bound to the one before: SHA-256 over the canonical JSON, from 64 zeros on.

Pure. What differs between recipients stays out of the digest: the person's reference, the events before that a newcomer is given
(``hashAnterior`` binds them), and the histories, whose own digests are in. Everything else that is read of an event is in its digest. So every participant holds the same chain, and none sees what is not for it.

Spec: the domain reference 5.2 (hashAnterior, hash); RFC 8785 (names here are ASCII and there are no fractions).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from schemas.jsontext import dump_json
from social_security.domain.faults import DomainError

if TYPE_CHECKING:
    from collections.abc import Mapping

START = "0" * 64
_OUTSIDE = frozenset(("hash", "testigo", "pid", "historia", "antecedentes"))


def canonical(value: Any) -> bytes:
    """RFC 8785 for values without fractions."""
    return dump_json(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def event_hash(event: Mapping[str, Any]) -> str:
    """The digest that the next event names."""
    return hashlib.sha256(canonical({k: v for k, v in event.items() if k not in _OUTSIDE})).hexdigest()


def history_digest(history: Mapping[str, Any]) -> str:
    """The digest under which an event speaks of a history."""
    return hashlib.sha256(canonical(history)).hexdigest()


def check_histories(event: Mapping[str, Any]) -> None:
    """Refuse histories that are not those whose digests the event carries. Raises `DomainError` SS-401."""
    if "historia" not in event:
        return
    if [history_digest(h) for h in event["historia"]] != event.get("historiaSha256", []):
        raise DomainError(
            "SS-401", "la historia no es la de su huella", "the history is not that of its digest"
        )


def check_chain(events: Sequence[Mapping[str, Any]]) -> str:
    """Walk a whole chain; the last digest. Raises `DomainError` SS-401."""
    last = START
    for number, event in enumerate(events, 1):
        if event["hashAnterior"] != last or event["secuencia"] != number:
            raise DomainError("SS-401", f"en la secuencia {number}", f"at sequence {number}")
        last = event_hash(event)
    return last
