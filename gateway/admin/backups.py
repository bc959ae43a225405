"""``/backups``: the operations every server has, and the gateway's own that says whether settings went in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from gateway.admin.context import row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.api.backupoperations import BackupResource
    from serving.api.operations import Call, Operation

LOCAL_SETTINGS = "settings.toml"


class BackupExt(msgspec.Struct, frozen=True):
    """A backup, and whether this server's own settings file is in it."""

    filename: str
    created_at: str
    local_conf_present: bool


@dataclass(frozen=True, slots=True)
class Backups:
    """The handlers of ``/backups``, those of every server and ``/backups/ext``."""

    context: BackupResource

    def rows(self) -> Sequence[Operation]:
        """The rows of these handlers: path, right, input, answer."""
        return [
            *self.context.operations(),
            row("POST", "/backups/ext", self.make, "Make a backup, and say whether settings are in it",
                "BACKUP_CONFIGURATION", answer=BackupExt, status=201, event="BACKUP", errors=(500,)),
        ]  # fmt: skip

    async def make(self, call: Call) -> BackupExt:
        made = await self.context.make(call)
        present = (
            LOCAL_SETTINGS in self.context.content.files and (self.context.data / LOCAL_SETTINGS).is_file()
        )
        return BackupExt(made.filename, made.created_at, present)
