"""Text that came from elsewhere, made safe to look at: what would steer a terminal or reorder a line is written as an escape."""

from __future__ import annotations

import codecs
import errno
import io
from typing import TYPE_CHECKING, Any

from schemas.showing import CONTROLS, escape
from serving.language import _

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


class ClosedStream(io.TextIOBase):
    """Stands for a standard output that was closed before the process began: every write to it fails."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def writable(self) -> bool:
        """It is there to be written to, and says that it cannot be."""
        return True

    def write(self, text: str, /) -> int:
        """Raises OSError (EBADF) unless there is nothing to write."""
        if text:
            raise OSError(errno.EBADF, _("standard output is closed; open it, or lead it to /dev/null"))
        return 0


def safe_stream(stream: Any) -> Any:
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
