"""XML of strangers in whatever encoding it came, as UTF-8 for those who read UTF-8 alone (`schemas.safexml`).

A provider's WSDL is written by tools of many years: ISO-8859-1 is nusoap's default, UTF-16 that of others. The encoding is
what the byte order mark says, else what the first bytes show, else what the declaration says, else UTF-8. A declaration
that contradicts the bytes is refused and not guessed around.

Spec: XML 1.0 4.3.3 and appendix F.
"""

from __future__ import annotations

import codecs
import re

from schemas.faults import BadMessage, Kind
from schemas.yamldocument import unicode_encoding

_DECLARATION = re.compile(
    r"""^<\?xml(?P<version>\s+version\s*=\s*(?:"[^"]*"|'[^']*'))\s+encoding\s*=\s*["'](?P<name>[A-Za-z][A-Za-z0-9._-]{0,40})["']"""
)
# Character sets with one meaning for every byte; what may hide characters (UTF-7, ISO-2022) or guesses is not read.
_ONE_BYTE = frozenset(
    (
        *("ascii", "cp437", "cp850", "koi8-r", "koi8-u", "mac-roman"),
        *(f"iso8859-{n}" for n in range(1, 17)),
        *(f"cp125{n}" for n in range(9)),
    )
)


def to_utf8(content: bytes, kind: Kind = Kind.INVALID_XML, what: str = "document") -> bytes:
    """The same document in UTF-8, its declaration without an encoding. Raises `BadMessage` of ``kind``."""
    encoding, skipped = unicode_encoding(content)
    marked = skipped > 0 or encoding != "utf-8"
    beginning = content[skipped : skipped + 800].decode(encoding if marked else "latin-1", "replace")
    declared = _DECLARATION.match(beginning)
    if declared is not None:
        encoding = _agreed(declared["name"], encoding, marked=marked, kind=kind, what=what)
    try:
        text = content[skipped:].decode(encoding)
    except (UnicodeDecodeError, LookupError) as err:
        where = f" (byte {err.start})" if isinstance(err, UnicodeDecodeError) else ""
        raise BadMessage(
            kind,
            f"the {what} is not {encoding.upper()}{where}; name its encoding in the XML declaration or save it as UTF-8",
        ) from None
    return _DECLARATION.sub(r"<?xml\g<version>", text, count=1).encode("utf-8")


def _agreed(declared: str, shown: str, *, marked: bool, kind: Kind, what: str) -> str:
    """The encoding that the declaration and the first bytes agree on."""
    try:
        name = codecs.lookup(declared).name
    except LookupError:
        name = ""
    if marked:  # a mark or wide characters: the declaration may name the family only
        if (
            name.partition("-")[0] + name.partition("-")[2][:2]
            == shown.partition("-")[0] + shown.partition("-")[2][:2]
        ):
            return shown
        raise BadMessage(
            kind,
            f"the {what} declares the encoding {declared!r}, but its first bytes are {shown.upper()}; save it anew",
        )
    if name == "utf-8" or name in _ONE_BYTE:
        return name
    if name.startswith(("utf-16", "utf-32")):
        raise BadMessage(
            kind,
            f"the {what} declares the encoding {declared!r} and is written in single bytes; correct the declaration to UTF-8",
        )
    raise BadMessage(
        kind, f"the {what} declares the encoding {declared!r}, which is not read here; save it as UTF-8"
    )
