"""Text of strangers, made fit to be shown: what a terminal, a log or a reader's eye would obey is escaped."""

from __future__ import annotations

import re

from schemas.jsontext import dump_json
from schemas.names import NOWHERE

# What no text may hold, where there is one that does; joiners and line breaks too.
CONTROLS = re.compile(rf"[\x00-\x1f\u200c\u200d{NOWHERE}]")
_LONGEST = 300


def shown(text: str, longest: int = _LONGEST) -> str:
    r"""The text in one line, its controls as ``\x1b`` or ``\u202e``, cut with ``...`` where it is longer than ``longest``."""
    cut = text if len(text) <= longest else f"{text[: longest - 3]}..."
    return CONTROLS.sub(_escaped, cut)


def shown_json(value: object) -> str:
    """The value as JSON in one line that a terminal shows as it is: controls are escaped, other letters are not."""
    return escape_json(dump_json(value, ensure_ascii=False))


def escape_json(text: str) -> str:
    """A JSON text with every such character in it as JSON escapes it (``\\u202e``): it says the same, and steers nothing."""
    return text if text.isascii() and text.isprintable() else CONTROLS.sub(_as_json, text)


def _as_json(found: re.Match[str]) -> str:
    return dump_json(found[0])[1:-1]


def _escaped(found: re.Match[str]) -> str:
    return escape(found[0])


def escape(character: str) -> str:
    r"""A character as ``\x1b``, ``\u202e`` or ``\U000e0041``."""
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
