"""What of a central server's data folder belongs into a backup."""

from __future__ import annotations

from serving.backup import Content

BACKUP_CONTENT = Content(
    kind="central-server",
    databases=("central.sqlite", "admin.sqlite"),
    files=("settings.toml", "backup.key"),
    folders=("token", "tls"),
    keep=("published", "backups"),
)
