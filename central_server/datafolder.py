"""What of a central server's data folder belongs into a backup."""

from __future__ import annotations

from urllib.parse import quote

from certs.edges.profilefiles import PROFILES_FILE
from serving.storage.backup import Content
from serving.storage.backupkey import CLEAR, PUBLIC, SEALED

WITNESS = "witness"
BACKUP_CONTENT = Content(
    kind="central-server",
    databases=("central.sqlite", "admin.sqlite"),
    files=("settings.toml", PROFILES_FILE, SEALED, PUBLIC),
    folders=("token", "tls"),
    # What was witnessed is not of the past: a restored copy that forgot it could cosign a fork.
    keep=("published", "backups", WITNESS),
    formerly=(CLEAR,),
    # The certificates that `management.pinned_certificates` names: without them the management service lets nobody in.
    patterns=("*.pem",),
)


def witness_name(instance: str) -> str:
    """The name of an instance's central server as a witness."""
    return f"{quote(instance, safe='')}/central/witness"
