"""Text that came from elsewhere, made safe to look at: what would steer a terminal or reorder a line is written as an escape."""

from __future__ import annotations

import codecs
import io
from typing import IO, TYPE_CHECKING

from schemas.showing import CONTROLS, escape

if TYPE_CHECKING:
    import re

# As for any text of strangers, but a tab and a line break are what the writer means.
_ALLOWED = frozenset("\t\n")


def escape_controls(text: str) -> str:
    """The text with control, direction and other invisible characters as ``\\x1b``, ``\\u202e`` and the like."""
    return text if text.isascii() and text.isprintable() else CONTROLS.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return found[0] if found[0] in _ALLOWED else escape(found[0])


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
