"""Certificate profiles of a folder: the standard ones, and further ones from its ``profiles.toml``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from certs.profiledata import parse_profiles
from certs.profiles import STANDARD_PROFILES, CertificateProfiles

if TYPE_CHECKING:
    from pathlib import Path

PROFILES_FILE = "profiles.toml"


def load_profiles(folder: Path) -> CertificateProfiles:
    """The standard profiles and those of a folder's file, if there is one. Raises ValueError naming the file."""
    path = folder / PROFILES_FILE
    if not path.exists():
        return STANDARD_PROFILES
    try:
        return STANDARD_PROFILES.extended(parse_profiles(path.read_text(encoding="utf-8")))
    except (ValueError, OSError) as err:
        raise ValueError(f"{path}: {err}") from err
