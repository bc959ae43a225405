"""What is said of the settings that every server with an admin API has: data only."""

from __future__ import annotations

from serving.config.settingtable import Row

DAY_S = 86_400
PORT = 65_535
GIB = 1024**3

SHARED_ROWS = (
    Row("admin.host", help="Address of the admin API; empty: this machine only."),
    Row("admin.port", low=0, high=PORT, help="Its port; 0 none."),
    Row("admin.allowed_hostnames", help="Host names it may be called by; empty: any."),
    Row("admin.api_addresses", help="Networks that may use API keys."),
    Row("admin.key_management_addresses", help="Networks that may manage API keys."),
    Row("admin.requests_per_second", low=0, high=1000000, help="Requests a second from one address; 0 no limit."),
    Row("admin.requests_per_minute", low=0, high=1000000, help="The same a minute."),
    Row("admin.request_bytes", low=1024, high=GIB, help="Largest request."),
    Row("admin.upload_bytes", low=1024, high=GIB, help="Largest file that is uploaded."),
    Row("admin.session_idle_s", low=1, high=DAY_S, help="When a session that nobody uses ends."),
    Row("admin.login_attempts", low=1, high=1000, help="Wrong passwords before a name is locked."),
    Row("admin.login_lock_s", low=1, high=DAY_S, help="For how long."),
    Row("admin.api_key_days", low=0, high=36500, help="Days an API key lives; 0 for ever."),
    Row("admin.public_openapi", help="Whether the API's description is given without a login."),
    Row("admin.oidc", help="Logging in with an OpenID provider."),
    Row("backup.recipients", live=True, help="age recipients (age1...) that backups are encrypted to."),
    Row("seal.secret", help="Where the secret is that seals TLS keys and the key of backups; empty: the token seals them."),
    Row("seal.previous", help="Where the secret before it is, while it changes."),
    Row("logging.levels", live=True, help="Areas that write more or less than the rest: gateway.peers=debug."),
    Row("logging.file", help="A log file besides standard error; empty: none."),
    Row("logging.file_bytes", low=4096, high=GIB, help="Size at which that file is put aside."),
    Row("logging.files_kept", low=0, high=1000, help="How many of those put aside are kept."),
    Row("logging.audit_syslog", help="Where every audit record is sent (HOST:PORT over UDP, or a local socket); empty: nowhere."),
)  # fmt: skip
