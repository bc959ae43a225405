"""Path patterns: ``*`` is any run without ``/``, ``**`` anything, ``\\*`` and ``\\\\`` are the characters themselves.

Whoever may call a service chooses the paths, so matching takes no turn twice: a regular expression would try every way in which
several stars can share a path of thousands of characters. Between two ``**`` the leftmost place is as good as any, since what
follows may begin anywhere after it; so is, between two ``*``, the leftmost place of what stands between them.
"""

from __future__ import annotations

from functools import lru_cache

import msgspec

# What stands between two ``**``: the texts between its ``*``, one more than there are of these.
Chunk = tuple[str, ...]


class Glob(msgspec.Struct, frozen=True):
    """A path pattern, taken apart at its ``**``."""

    chunks: tuple[Chunk, ...]

    def fits(self, path: str) -> bool:
        """Whether the whole of a path is as the pattern says."""
        first, *others = self.chunks
        if not path.startswith(first[0]):
            return False
        if not others:
            return _fits_alone(first, path)
        end = _follow(first[1:], path, len(first[0]))
        *middle, last = others
        for chunk in middle:
            if end is None:
                return False
            end = _find(chunk, path, end)
        return end is not None and _fits_at_end(last, path, end)


@lru_cache(maxsize=4096)
def compile_glob(pattern: str) -> Glob:
    """A path pattern, ready to be asked."""
    chunks: list[list[str]] = [[""]]
    i = 0
    while i < len(pattern):
        if pattern[i] == "\\" and pattern[i + 1 : i + 2] in ("*", "\\"):
            chunks[-1][-1] += pattern[i + 1]
            i += 2
        elif pattern.startswith("**", i):
            chunks.append([""])
            i += 2
        elif pattern[i] == "*":
            chunks[-1].append("")
            i += 1
        else:
            chunks[-1][-1] += pattern[i]
            i += 1
    return Glob(tuple(tuple(chunk) for chunk in chunks))


def _follow(texts: Chunk, path: str, begin: int) -> int | None:
    """The offset at which the last of ``texts`` ends, each after a run without ``/``, the first one's from ``begin``; None: they do not fit."""
    for text in texts:
        at = path.find(text, begin)
        if at < 0 or "/" in path[begin:at]:
            return None
        begin = at + len(text)
    return begin


def _find(chunk: Chunk, path: str, begin: int) -> int | None:
    """The offset at which a chunk ends that may begin anywhere from ``begin`` on; None when it is nowhere."""
    first, *others = chunk
    texts = tuple(others)
    # A text that never comes ends the search at once, not at each place where the first one does.
    if any(path.find(text, begin) < 0 for text in texts):
        return None
    within_segment = not any("/" in text for text in chunk)
    at = path.find(first, begin)
    while at >= 0:
        end = _follow(texts, path, at + len(first))
        if end is not None:
            return end
        # Where no text holds a ``/`` the whole chunk stands between two of them, and the rest of this segment was tried.
        slash = path.find("/", at) if within_segment else at
        at = -1 if slash < 0 else path.find(first, slash + 1)
    return None


def _fits_alone(chunk: Chunk, path: str) -> bool:
    """Whether a pattern without ``**`` fits; its first text is known to stand at the beginning."""
    if len(chunk) == 1:
        return path == chunk[0]
    *inner, last = chunk[1:]
    end = _follow(tuple(inner), path, len(chunk[0]))
    begin = len(path) - len(last)
    return end is not None and end <= begin and path.endswith(last) and "/" not in path[end:begin]


def _fits_at_end(chunk: Chunk, path: str, begin: int) -> bool:
    """Whether a chunk ends where the path does and begins at ``begin`` or later: the rightmost places, from the end."""
    *others, last = chunk
    at = len(path) - len(last)
    if at < begin or not path.endswith(last):
        return False
    for text in reversed(others):
        found = path.rfind(text, begin, at)
        if found < 0 or "/" in path[found + len(text) : at]:
            return False
        at = found
    return True
