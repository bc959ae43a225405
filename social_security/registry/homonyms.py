"""Persons whose CURPs say the same of name, birth date, sex and place: homonyms, or one person who has two CURPs.

The registry keeps no names. The CURPs that a homonym can have are few, so each is looked for by its keyed digest.

Spec: the domain reference 2.1 (positions 17 and 18), 5.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from social_security.domain.curp import homonyms
from social_security.domain.pseudonyms import Rid

if TYPE_CHECKING:
    from social_security.domain.curp import Curp
    from social_security.registry.store import RegistryStore


def find_homonyms(store: RegistryStore, curp: Curp) -> list[Rid]:
    """The other persons in the registry, each once; who has had both CURPs is no homonym of herself."""
    indexes = [store.index_of(other) for other in homonyms(curp)]
    rows = store.database.query(
        f"SELECT DISTINCT rid FROM curp_index WHERE idx IN ({', '.join('?' * len(indexes))}) "
        "AND rid NOT IN (SELECT rid FROM curp_index WHERE idx = ?) ORDER BY rid",
        (*indexes, store.index_of(curp.value)),
    )
    return [Rid(bytes(r[0])) for r in rows]
