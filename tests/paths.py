"""Where tests find foreign data files."""

from __future__ import annotations

import os
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("SACBE_SHARED", PROJECT.parent / "shared"))
VECTORS = SHARED / "vectors" / "x-road"


def readable_by_others(folder: Path) -> list[str]:
    """Whatever at and below a folder its group or others may read, write or enter, with its mode."""
    return [
        f"{path} {path.lstat().st_mode & 0o777:o}"
        for path in (folder, *folder.rglob("*"))
        if not path.is_symlink() and path.lstat().st_mode & 0o077
    ]
