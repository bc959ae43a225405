"""Compiles the catalogues of texts when a wheel is built, so that an installation has nothing to compile."""

from __future__ import annotations

import runpy
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CatalogueHook(BuildHookInterface[Any]):
    """Puts a ``.mo`` in the place of each ``.po``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile into a folder of our own; an editable installation compiles from its tree when it runs."""
        if version == "editable":
            return
        root = Path(self.root)
        # By its path: the build has none of the packages that `serving` itself needs.
        texts = runpy.run_path(str(root / "serving" / "potext.py"))
        self._made = tempfile.TemporaryDirectory(prefix="sacbe-catalogues-")
        for source in sorted((root / "serving" / "locale").glob("*/LC_MESSAGES/*.po")):
            place = source.with_suffix(".mo").relative_to(root)
            made = Path(self._made.name) / "-".join(place.parts)
            made.write_bytes(texts["render_mo"](texts["parse_po"](source.read_text(encoding="utf-8"))))
            build_data["force_include"][str(made)] = str(place)

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Take the folder away again."""
        if version != "editable":
            self._made.cleanup()
