"""How much a stranger's document may be, and the fault of one that cannot be read."""

from __future__ import annotations

import msgspec

from schemas.faults import BadMessage, Kind


class YamlBounds(msgspec.Struct, frozen=True):
    """The most that a document may have: levels, values, and YAML aliases."""

    depth: int = 64
    nodes: int = 400_000
    aliases: int = 0


def broken(detail: str) -> BadMessage:
    """The fault of a document that cannot be read."""
    return BadMessage(Kind.INVALID_MESSAGE, detail)


def one_line(problem: object) -> str:
    """A library's words in one line."""
    return " ".join(str(problem).split("Failed validating")[0].split())[:300]
