"""The lists that one system goes by: those that ONIESS published signed, or the package's own where none came.

Pure. An edition is a value of the system that owns it, handed to whatever decides by it: two systems of one process may go by
different editions.

Spec: the domain reference 5.2.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from social_security.domain import pack
from social_security.domain.faults import DomainError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from social_security.domain.pack import PackMember


@dataclass(frozen=True, slots=True)
class Edition:
    """Members by code, and the documents that ONIESS published by the name of their part; none where the package's lists count."""

    members: Mapping[str, PackMember]
    published: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def part(self, name: str) -> Mapping[str, Any]:
        """A part, as ``calendars``: as ONIESS published it, or the package's own."""
        return self.published[name] if name in self.published else pack.document(f"{name}.json")

    def is_guarantor(self, code: str) -> bool:
        """Whether a member is a guarantor: it asks, and serves nothing."""
        return self.members[code].member_class == "GAR"

    def named(self, path: str) -> str:
        """The name of the member with a path, an institute's with its state; the path itself when no list knows it."""
        code = path.rpartition("/")[2]
        return self.members[code].full_name if code in self.members else path

    def heir(self, path: str) -> str:
        """Who holds the persons of the member with a path: itself, or the last of its successors once it has left."""
        known = self.members.get(path.rpartition("/")[2])
        while known is not None and known.successor:
            known = self.members[known.successor]
            path = known.path
        return path

    def left_among(self, paths: Iterable[str]) -> str:
        """The first of these members that has left; empty when none has."""
        return next((p for p in paths if self.heir(p) != p), "")

    def check_present(self, paths: Iterable[str], field: str) -> None:
        """Refuse what asks something of a member that has left, naming who holds its persons now (SS-603)."""
        gone = self.left_among(paths)
        if gone:
            heir = self.heir(gone)
            raise DomainError(
                "SS-603",
                f"{gone} salió; sus personas, historias y solicitudes las tiene {heir}: pídalo ahí",
                f"{gone} has left; {heir} holds its persons, histories and requests: ask there",
                field=field,
            )

    def institutes(self) -> list[str]:
        """The paths of all members that are institutions, the registry and ONIESS among them."""
        return [m.path for m in self.members.values() if m.member_class == "GOB"]


def edition_of(published: Mapping[str, Mapping[str, Any]]) -> Edition:
    """The edition of a publication's parts."""
    return Edition(pack.parse_members(published["members"]), published)


@functools.cache
def package_edition() -> Edition:
    """The package's own lists, by which a system goes until it trusts a key of ONIESS."""
    return Edition(pack.members())
