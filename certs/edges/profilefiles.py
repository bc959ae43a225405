"""Further certificate profiles from a data folder's ``profiles.toml``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from certs.profiledata import parse_profiles
from certs.profiles import add_profiles

if TYPE_CHECKING:
    from pathlib import Path

FILE = "profiles.toml"


def load_profiles(folder: Path) -> tuple[str, ...]:
    """Know the profiles of a folder's file in this process; their names, none without a file. Raises ValueError."""
    path = folder / FILE
    if not path.exists():
        return ()
    try:
        profiles = parse_profiles(path.read_text(encoding="utf-8"))
        add_profiles(profiles)
    except (ValueError, OSError) as err:
        raise ValueError(f"{path}: {err}") from err
    return tuple(p.name for p in profiles)
