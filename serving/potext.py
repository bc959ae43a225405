"""gettext catalogues as text: ``.po`` read and written, ``.mo`` written. Pure, and nothing but the standard library: a build
loads this file by itself.

Spec: the GNU gettext manual, "The Format of PO Files" and "The Format of GNU MO Files".
"""

from __future__ import annotations

import ast
import struct
from dataclasses import dataclass

MAGIC = 0x950412DE


@dataclass(frozen=True, slots=True)
class Translation:
    """One text: its English and its translation; ``plural`` and a second translation where a number decides."""

    message: str
    translations: tuple[str, ...]
    plural: str | None = None
    comments: tuple[str, ...] = ()


def parse_po(text: str) -> tuple[Translation, ...]:
    """The entries of a catalogue; the first, of the empty message, is its header.

    Raises `ValueError` with the number of the line that is no line of a catalogue.
    """
    found: list[Translation] = []
    for start, block in _blocks(text):
        comments = tuple(line for line in block if line.startswith("#"))
        if any(line.startswith("#~") for line in comments):
            raise ValueError(f"line {start}: an obsolete entry; take it out")
        fields = _fields([line for line in block if not line.startswith("#")], start)
        if not fields:
            continue
        if "msgid" not in fields:
            raise ValueError(f"line {start}: expected an entry with msgid; came {block[0]!r}")
        translations = tuple(value for name, value in fields.items() if name.startswith("msgstr"))
        found.append(Translation(fields["msgid"], translations, fields.get("msgid_plural"), comments))
    return tuple(found)


def render_po(entries: tuple[Translation, ...]) -> str:
    """A catalogue as the text of a ``.po`` file."""
    return "\n".join("\n".join(_entry_lines(entry)) + "\n" for entry in entries)


def render_mo(entries: tuple[Translation, ...]) -> bytes:
    """A catalogue compiled, as the standard library reads it. Entries without a translation are left out."""
    pairs = sorted(_pair(entry) for entry in entries if all(entry.translations))
    ids, texts = (b"", b"")
    places: list[tuple[int, int, int, int]] = []
    for name, text in pairs:
        places.append((len(name), len(ids), len(text), len(texts)))
        ids += name + b"\0"
        texts += text + b"\0"
    names_at = 28
    texts_at = names_at + 8 * len(pairs)
    ids_from = texts_at + 8 * len(pairs)
    texts_from = ids_from + len(ids)
    head = struct.pack("<7I", MAGIC, 0, len(pairs), names_at, texts_at, 0, 0)
    names = b"".join(struct.pack("<2I", size, ids_from + at) for size, at, _, _ in places)
    saids = b"".join(struct.pack("<2I", size, texts_from + at) for _, _, size, at in places)
    return head + names + saids + ids + texts


def _pair(entry: Translation) -> tuple[bytes, bytes]:
    name = entry.message if entry.plural is None else f"{entry.message}\0{entry.plural}"
    return name.encode(), "\0".join(entry.translations).encode()


def _blocks(text: str) -> list[tuple[int, list[str]]]:
    found: list[tuple[int, list[str]]] = []
    block: list[str] = []
    for number, line in enumerate([*text.splitlines(), ""], 1):
        if line.strip():
            block.append(line.strip())
        elif block:
            found.append((number - len(block), block))
            block = []
    return found


def _fields(lines: list[str], start: int) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in lines:
        word, _, rest = line.partition(" ")
        if line.startswith('"'):
            rest = line
        else:
            name = word
        try:
            value = ast.literal_eval(rest)
        except (SyntaxError, ValueError) as err:
            raise ValueError(f"the entry at line {start}: {line!r} is no quoted text") from err
        fields[name] = fields.get(name, "") + value
    return fields


def _entry_lines(entry: Translation) -> list[str]:
    lines = [*entry.comments, *_quoted("msgid", entry.message)]
    if entry.plural is None:
        return [*lines, *_quoted("msgstr", entry.translations[0])]
    lines += _quoted("msgid_plural", entry.plural)
    for number, translation in enumerate(entry.translations):
        lines += _quoted(f"msgstr[{number}]", translation)
    return lines


def _quoted(name: str, text: str) -> list[str]:
    lines = text.splitlines(keepends=True)
    if len(lines) <= 1:
        return [f"{name} {_quote(text)}"]
    return [f'{name} ""', *(_quote(line) for line in lines)]


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return f'"{escaped}"'
