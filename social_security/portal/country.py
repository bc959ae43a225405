"""The 32 states as tiles: who of them is in. One square a state, placed roughly where it lies; no geometry, no outside map.

Pure. What a tile shows by its colour it shows by a sign too, and everything stands in the table beside it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from social_security.domain import pack

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SIDE: Final = 60
# State by its number in the catalogue -> column and row.
_PLACES: Final = {
    "02": (0, 0), "26": (1, 0), "08": (2, 0),
    "03": (0, 1), "25": (1, 1), "10": (2, 1), "05": (3, 1), "19": (4, 1), "28": (5, 1),
    "18": (1, 2), "32": (2, 2), "01": (3, 2), "24": (4, 2),
    "14": (1, 3), "11": (2, 3), "22": (3, 3), "13": (4, 3), "30": (5, 3), "31": (8, 3),
    "06": (1, 4), "16": (2, 4), "15": (3, 4), "09": (4, 4), "29": (5, 4), "04": (7, 4), "23": (8, 4),
    "12": (3, 5), "17": (4, 5), "21": (5, 5), "27": (6, 5), "20": (5, 6), "07": (6, 6),
}  # fmt: skip
WIDTH: Final = (max(c for c, _ in _PLACES.values()) + 1) * SIDE
HEIGHT: Final = (max(r for _, r in _PLACES.values()) + 1) * SIDE


class Presence(enum.StrEnum):
    """The states of a federal entity's institutes on the map: in service, coming, not there."""

    IN = "en servicio"
    COMING = "en camino"
    OUT = "fuera"


@dataclass(frozen=True, slots=True)
class Tile:
    """One state: its short name, how far it is, and its institutes with the state of each."""

    number: str
    short: str
    name: str
    presence: Presence
    institutes: tuple[tuple[str, str], ...]
    x: int
    y: int

    @property
    def sign(self) -> str:
        """The colour's meaning as a sign, for readers who do not see colours."""
        return {Presence.IN: "●", Presence.COMING: "◐", Presence.OUT: "○"}[self.presence]


def draw_country(console: Mapping[str, Any]) -> list[Tile]:
    """Every state, by number, out of what ONIESS publishes of members and applications (``/consola``)."""
    found: dict[str, dict[str, str]] = {number: {} for number in _PLACES}
    for application in console.get("altas", ()):
        code = str(application["codigo"])
        if code[:2] in found:
            found[code[:2]][code] = str(application["estado"])
    for member in console.get("miembros", ()):
        code = str(member["miembro"]).rpartition("/")[2]
        is_institute = str(member["miembro"]).split("/")[1] == "GOB"
        if code[:2] in found and is_institute:
            found[code[:2]][code] = str(member["estado"])
    return [_tile(number, found[number]) for number in sorted(_PLACES)]


def _tile(number: str, institutes: Mapping[str, str]) -> Tile:
    state = next(e for e in pack.codes()["entities"] if e["number"] == number)
    states = {s for s in institutes.values() if s != "BAJA"}
    presence = Presence.IN if "ACTIVA" in states else Presence.COMING if states else Presence.OUT
    column, row = _PLACES[number]
    return Tile(
        number,
        state["iso"].rpartition("-")[2],
        state["name"],
        presence,
        tuple(sorted(institutes.items())),
        column * SIDE,
        row * SIDE,
    )


def render_rows(tiles: Sequence[Tile]) -> list[tuple[str, ...]]:
    """The picture as a table: state's number and name, presence, its institutes; the first row is the header."""
    return [
        ("clave", "entidad", "presencia", "institutos"),
        *(
            (t.number, t.name, str(t.presence), "; ".join(f"{code} {state}" for code, state in t.institutes))
            for t in tiles
        ),
    ]
