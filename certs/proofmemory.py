"""What was proved under one configuration, so that it need not be proved again: a memory that the configuration owns.

It ends with the configuration, so no proof outlives the trust that it was made under. A memory of each kind of proof is
bounded; when it is full it is emptied whole, for what is in use comes back at once. Whoever remembers still holds the proof
against the time that is asked about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Hashable

P = TypeVar("P")


class Remembered(Generic[P]):
    """Proofs of one kind by whatever they are proofs of, at most ``most``."""

    __slots__ = ("_found", "_most")

    def __init__(self, most: int) -> None:
        self._found: dict[Hashable, P] = {}
        self._most = most

    def get(self, key: Hashable) -> P | None:
        """The proof kept under a key, or None."""
        return self._found.get(key)

    def keep(self, key: Hashable, proof: P) -> None:
        """Keep a proof under a key."""
        if len(self._found) >= self._most:
            self._found.clear()
        self._found[key] = proof


class ProofMemory:
    """The proofs made under one configuration, by their kind; a copy in another process begins empty."""

    __slots__ = ("_kinds",)

    def __init__(self) -> None:
        self._kinds: dict[type, Remembered[Any]] = {}

    def of(self, kind: type[P], most: int) -> Remembered[P]:
        """The proofs of one kind, each a value of that class; ``most`` counts where it is named first."""
        found = self._kinds.get(kind)
        if found is None:
            found = self._kinds.setdefault(kind, Remembered(most))
        return cast("Remembered[P]", found)

    def __reduce__(self) -> tuple[type[ProofMemory], tuple[()]]:
        return ProofMemory, ()
