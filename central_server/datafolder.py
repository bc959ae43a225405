"""What of a central server's data folder belongs into a backup."""

from __future__ import annotations

from serving.storage.backup import Content
from serving.storage.backupkey import CLEAR, PUBLIC, SEALED

BACKUP_CONTENT = Content(
    kind="central-server",
    databases=("central.sqlite", "admin.sqlite"),
    files=("settings.toml", SEALED, PUBLIC),
    folders=("token", "tls"),
    keep=("published", "backups"),
    formerly=(CLEAR,),
)
