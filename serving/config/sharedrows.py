"""What is said of the settings that every server with an admin API has: data only."""

from __future__ import annotations

from serving.config.settingtable import Row

DAY_S = 86_400
PORT = 65_535
GIB = 1024**3

SHARED_ROWS = (
    Row("admin.host", "Dirección de la API de administración; vacía: sólo esta máquina.", "Address of the admin API; empty: this machine only."),
    Row("admin.port", "Su puerto; 0 ninguno.", "Its port; 0 none.", low=0, high=PORT),
    Row("admin.allowed_hostnames", "Nombres por los que se le puede llamar; vacío: cualquiera.", "Host names it may be called by; empty: any."),
    Row("admin.api_addresses", "Redes desde las que valen las llaves de API.", "Networks that may use API keys."),
    Row("admin.key_management_addresses", "Redes que pueden administrar llaves de API.", "Networks that may manage API keys."),
    Row("admin.requests_per_second", "Peticiones por segundo de una dirección; 0 sin límite.", "Requests a second from one address; 0 no limit.", low=0, high=1_000_000),
    Row("admin.requests_per_minute", "Lo mismo por minuto.", "The same a minute.", low=0, high=1_000_000),
    Row("admin.request_bytes", "Petición más grande.", "Largest request.", low=1024, high=GIB),
    Row("admin.upload_bytes", "Archivo más grande que se sube.", "Largest file that is uploaded.", low=1024, high=GIB),
    Row("admin.session_idle_s", "Cuándo termina una sesión que nadie usa.", "When a session that nobody uses ends.", low=1, high=DAY_S),
    Row("admin.login_attempts", "Contraseñas equivocadas antes de cerrar el paso.", "Wrong passwords before a name is locked.", low=1, high=1000),
    Row("admin.login_lock_s", "Por cuánto tiempo.", "For how long.", low=1, high=DAY_S),
    Row("admin.api_key_days", "Días que vive una llave de API; 0 siempre.", "Days an API key lives; 0 for ever.", low=0, high=36_500),
    Row("admin.public_openapi", "Si la descripción de la API se da sin sesión.", "Whether the API's description is given without a login."),
    Row("admin.oidc", "Entrada con un proveedor OpenID.", "Logging in with an OpenID provider."),
    Row("backup.recipients", "Destinatarios age (age1...) a los que se cifran los respaldos.", "age recipients (age1...) that backups are encrypted to.", True),
    Row("seal.secret", "Dónde está el secreto que sella las llaves TLS y la de respaldos; vacío: las sella el token.", "Where the secret is that seals TLS keys and the key of backups; empty: the token seals them."),
    Row("seal.previous", "Dónde está el secreto anterior, mientras se cambia.", "Where the secret before it is, while it changes."),
    Row("logging.levels", "Áreas que escriben más o menos que las demás: gateway.peers=debug.", "Areas that write more or less than the rest: gateway.peers=debug.", True),
    Row("logging.file", "Archivo del registro, además de la salida de errores; vacío: ninguno.", "A log file besides standard error; empty: none."),
    Row("logging.file_bytes", "Tamaño con que ese archivo se aparta.", "Size at which that file is put aside.", low=4096, high=GIB),
    Row("logging.files_kept", "Cuántos de los apartados se conservan.", "How many of those put aside are kept.", low=0, high=1000),
    Row("logging.audit_syslog", "A dónde se envía cada registro de auditoría (HOST:PUERTO por UDP, o un socket local); vacío: a ninguna parte.", "Where every audit record is sent (HOST:PORT over UDP, or a local socket); empty: nowhere."),
)  # fmt: skip
