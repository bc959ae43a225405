"""What a field of a settings struct says of itself: the one place where a setting is described.

``peer_read_s: Annotated[float, Setting(help="...", live=True, low=0, high=DAY_S)] = 1060.0``: type and default are the field's
own. Loading, commands, the admin API and the documentation read all of it by `serving.config.settingtable`. Data only.
"""

from __future__ import annotations

import msgspec

# Bounds that many settings have: seconds of a day, the highest port, bytes of a GiB.
DAY_S = 86_400
PORT = 65_535
GIB = 1024**3
# The address that listens on every interface of the machine: the default where others must reach a server.
EVERYWHERE = "0.0.0.0"


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A setting's text (English; the catalogue has the other languages) and the bounds of a number, both allowed themselves.

    ``live`` ones are taken by a running server, the others by its next start.
    """

    help: str
    live: bool = False
    low: float | None = None
    high: float | None = None
