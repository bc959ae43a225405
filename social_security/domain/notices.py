"""The privacy notices of the fixture: one text a member, registered by address and digest.

Pure. A transfer names the notice under which it is made (LGPDPPSO 63); both ends know its digest.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from social_security.domain.edition import Edition

_TEXT = (
    "Aviso de privacidad simplificado de {name}. Sus datos se transfieren únicamente a institutos de seguridad social, "
    "para los propósitos del catálogo de la política vigente y conforme a la LGPDPPSO. Usted puede ejercer sus "
    "derechos ARCO y ver quién consultó sus datos.\n"
)


def notice_of(edition: Edition, member_code: str) -> tuple[str, str]:
    """The address and the SHA-256 of a member's notice, as ONIESS published it, or of the fixture."""
    for notice in edition.published.get("notices", {}).get("notices", ()):
        if notice["member"] == member_code:
            return str(notice["uri"]), str(notice["sha256"])
    member = edition.members[member_code]
    host = (member_code if member.member_class == "GAR" else member_code.partition("-")[2]).lower()
    return f"https://{host}.example/aviso/v3", hashlib.sha256(
        notice_text(edition, member_code).encode()
    ).hexdigest()


def notice_text(edition: Edition, member_code: str) -> str:
    """The notice itself, as its digest was taken."""
    return _TEXT.format(name=edition.members[member_code].name)


def all_notices(edition: Edition) -> list[tuple[str, str]]:
    """The privacy notices of all members, each as `notice_of` gives it."""
    return [notice_of(edition, code) for code in edition.members]
