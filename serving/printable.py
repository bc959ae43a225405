"""Text that came from elsewhere, made safe to look at: what would steer a terminal or reorder a line is written as an escape."""

from __future__ import annotations

import codecs
import io
import re
from typing import IO

# C0 but tab and line break, DEL, C1; marks that turn the direction of writing or split lines; invisible ones; surrogates.
_STEERING = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)


def escape_controls(text: str) -> str:
    """The text with control, direction and other invisible characters as ``\\x1b``, ``\\u202e`` and the like."""
    return text if text.isascii() and text.isprintable() else _STEERING.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class SafeStream(io.TextIOWrapper):
    """A stream of text for a person: escapes what steers a terminal, and what the terminal's encoding cannot carry."""

    def write(self, text: str, /) -> int:
        """Write, escaped. Bytes written to ``buffer`` pass as they are."""
        super().write(escape_controls(text))
        return len(text)


def safe_stream(stream: IO[str]) -> IO[str]:
    """The stream, made safe; as it is when nothing but text goes through it."""
    buffer = getattr(stream, "buffer", None)
    if buffer is None or isinstance(stream, SafeStream):
        return stream
    stream.flush()
    encoding = getattr(stream, "encoding", None) or "utf-8"
    if (
        codecs.lookup(encoding).name == "ascii"
    ):  # what `click` does there too; it would go round this stream otherwise
        encoding = "utf-8"
    return SafeStream(buffer, encoding=encoding, errors="backslashreplace", line_buffering=True)
