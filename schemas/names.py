"""Which text may be a name, a description or a code: the one rule for every entrance.

Text that is typed, imported or asked for ends up in XML 1.0, in subjects of certificates, in paths of URLs, on terminals
and in PostgreSQL. What one of them cannot carry, or what shows otherwise than it is, is refused where it comes in:

- any text: C0 (tab and line ends only where a text has lines), DEL, C1, surrogates, noncharacters (U+FDD0..U+FDEF and the
  last two of every plane), bidirectional controls, line and paragraph separators, and characters that show nothing.
  U+200C and U+200D stay after a letter that joins (Arabic script, virama), where spelling needs them;
- names and descriptions: besides, not blank, at most 255 characters, and no blank at either end;
- codes (components of identifiers): besides, none of ``/ \\ : ; %``, no blank but U+0020, no variation selectors or
  joiners, and not only dots, for a code is a segment of a path.

The admin APIs trim space, tab and line ends before they ask, as X-Road does; every other entrance refuses them at an end.
Nothing is normalised: what is kept is what was given.

Spec: XML 1.0 2.2 (Char); RFC 3986 5.2.4; RFC 5892 A.1; X-Road's bounds on identifiers (255 characters).
"""

from __future__ import annotations

import re
import unicodedata
from ipaddress import ip_address
from typing import TYPE_CHECKING

from schemas.faults import BadMessage, Kind
from schemas.readings import normalised

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST = 255
_LONGEST_HOST = 253
_LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")

_C0_WITHOUT_LINES = r"\x00-\x08\x0b\x0c\x0e-\x1f"
_NONCHARACTERS = r"\ufdd0-\ufdef" + "".join(f"\\U{p:04x}fffe\\U{p:04x}ffff" for p in range(17))
_BIDI = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
# Characters without a glyph of their own: hyphens and joiners that hide, fillers that look like blanks, annotations,
# shorthand and musical format controls, tags. U+200C and U+200D are judged by what stands before them.
_INVISIBLE = (
    r"\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2065\u206a-\u206f\u2800\u3164\ufeff\uffa0\ufff0-\ufffb"
    r"\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff"
)
# The inside of a character class: what no text may hold, but line breaks and tabs.
NOWHERE = rf"{_C0_WITHOUT_LINES}\x7f-\x9f\u2028\u2029\ud800-\udfff{_NONCHARACTERS}{_BIDI}{_INVISIBLE}"
_IN_LINES = re.compile(f"[{NOWHERE}]")
_IN_TEXT = re.compile(rf"[\t\n\r{NOWHERE}]")
_JOINERS = re.compile("[\u200c\u200d]")
_IN_CODE = re.compile(
    rf"[\t\n\r{NOWHERE}/\\:;%\u200c\u200d\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
_NOT_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def unsuitable_characters(text: str, *, lines: bool = False) -> str:
    """The characters that no text may hold, in order; ``lines`` lets tab, line feed and carriage return be."""
    if text.isascii() and text.isprintable():
        return ""
    found = (_IN_LINES if lines else _IN_TEXT).findall(text)
    found += [
        m.group() for m in _JOINERS.finditer(text) if not _joins(text[max(m.start() - 1, 0) : m.start()])
    ]
    return "".join(found)


def _joins(before: str) -> bool:
    """Whether a joiner after this letter changes how it is written: Arabic script, or a virama."""
    return bool(before) and (unicodedata.bidirectional(before) == "AL" or unicodedata.combining(before) == 9)


def unsuitable_in_code(text: str) -> str:
    """The characters because of which a text can be no code; all of them when it is nothing but dots."""
    if set(normalised("NFKC", text)) == {"."}:
        return text
    return "".join(_IN_CODE.findall(text))


def not_in_xml(text: str) -> str:
    """The characters that XML 1.0 cannot carry."""
    return "".join(_NOT_XML.findall(text))


def without_unprintable(text: str) -> str:
    """The text as XML can carry it: U+FFFD where a character cannot be."""
    return _NOT_XML.sub("\ufffd", text)


def without_unsuitable(text: str) -> str:
    """The text of a stranger as it can be shown in lines: without the characters that no text may hold."""
    found = set(unsuitable_characters(text, lines=True))
    return "".join(c for c in text if c not in found) if found else text


def spelled(characters: str) -> str:
    """Characters as a person can read them in an error: ``U+0008, U+202E``, the first five of them."""
    seen = list(dict.fromkeys(characters))
    return ", ".join(f"U+{ord(c):04X}" if not c.isascii() or not c.isprintable() else c for c in seen[:5]) + (
        ", ..." if len(seen) > 5 else ""
    )


def check_text(text: str, what: str, *, longest: int | None = LONGEST, lines: bool = False) -> str:
    """The text, which may be empty. Raises `BadMessage` when it is too long or holds what no text may hold."""
    found = unsuitable_characters(text, lines=lines)
    if found:
        raise _refused(
            what, f"holds {spelled(found)}, which XML, a terminal or a database cannot carry or show"
        )
    if longest is not None and len(text) > longest:
        raise _refused(what, f"has {len(text)} characters; at most {longest} are accepted")
    return text


def check_name(text: str, what: str, *, longest: int = LONGEST) -> str:
    """The name or description of something. Raises `BadMessage` when it is blank, too long, or holds what it may not."""
    check_text(text, what, longest=longest)
    if not has_substance(text):
        raise _refused(what, "is blank")
    if text != text.strip():
        raise _refused(what, "begins or ends with a blank; leave it out")
    return text


def check_host(text: str, what: str) -> str:
    """The host of a server: a host name or an IP address, without scheme, port, path or brackets. Raises `BadMessage`.

    Whoever connects puts it before a port; what could be read as more than a host would lead elsewhere.
    """
    check_name(text, what)
    if not is_host(text):
        raise _refused(
            what, f"is {text[:80]!r}; a host name or an IP address was expected, without scheme, port or path"
        )
    return text


def is_host(text: str) -> bool:
    """Whether a text is a host name (also one with letters beyond ASCII, or underscores) or an IP address, and nothing else."""
    try:
        ip_address(text)
    except ValueError:
        pass
    else:
        return "%" not in text
    if not all(c.isalnum() or c in "._-" or unicodedata.category(c)[0] == "M" for c in text):
        return False
    try:
        ascii_only = text if text.isascii() else text.encode("idna").decode("ascii")
    except UnicodeError:
        return False
    # A last label of digits, or of a hexadecimal number, is read as part of an IPv4 address by some resolvers.
    last = ascii_only.rpartition(".")[2]
    return (
        len(ascii_only) <= _LONGEST_HOST
        and _HOST.fullmatch(ascii_only) is not None
        and _NUMBER.fullmatch(last) is None
    )


def host_in_url(host: str) -> str:
    """A host as it stands before the port of a URL: an IPv6 address in brackets (RFC 3986 3.2.2)."""
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def check_code(text: str, what: str) -> str:
    """A component of an identifier. Raises `BadMessage` when it is blank, too long, or holds what it may not."""
    found = unsuitable_in_code(text)
    if found:
        raise _refused(what, f"holds {spelled(found)}; a code has none of / \\ : ; % and is not only dots")
    return check_name(text, what)


def check_kept(values: Iterable[object]) -> None:
    """Refuse (`BadMessage`) to keep a row with a text that can be kept nowhere; lines and length are its table's affair."""
    for value in values:
        if isinstance(value, str) and unsuitable_characters(value, lines=True):
            check_text(value, f"the text {value[:60]!r}", longest=None, lines=True)


def has_substance(text: str) -> bool:
    """Whether there is anything to see: more than blanks and marks without a letter."""
    return any(not c.isspace() and unicodedata.category(c)[0] != "M" for c in text)


def _refused(what: str, reason: str) -> BadMessage:
    return BadMessage(Kind.BAD_REQUEST, f"{what} {reason}")
