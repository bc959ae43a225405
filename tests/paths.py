"""Where tests find foreign data files."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("SACBE_SHARED", PROJECT.parent / "shared"))
VECTORS = SHARED / "vectors" / "x-road"
