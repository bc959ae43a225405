"""SoftHSM tokens for tests, each in a folder of its own."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.programs import lack

_PLACES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)


def module() -> str:
    """SoftHSM's PKCS#11 module. Without it a test is skipped, in CI failed."""
    found = next((p for p in _PLACES if Path(p).exists()), None)
    if found is None:
        lack("SoftHSM", "softhsm2")
    return found


@dataclass(frozen=True)
class SoftHsm:
    """One token of SoftHSM; `environment` is what processes that use it need."""

    folder: Path
    label: str = "firma"
    pin: str = "4321"

    @property
    def environment(self) -> dict[str, str]:
        return {"SOFTHSM2_CONF": str(self.folder / "softhsm2.conf")}

    def make(self) -> SoftHsm:
        module()
        (self.folder / "tokens").mkdir(parents=True)
        (self.folder / "softhsm2.conf").write_text(
            f"directories.tokendir = {self.folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
        subprocess.run(
            [
                "softhsm2-util",
                "--init-token",
                "--free",
                "--label",
                self.label,
                "--so-pin",
                "87654321",
                "--pin",
                self.pin,
            ],
            env={**os.environ, **self.environment},
            check=True,
            capture_output=True,
        )
        return self
