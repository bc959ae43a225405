"""What each setting of a central server does, and its range: data only. Every one is taken at the next start."""

from __future__ import annotations

from serving.config.settingtable import Row
from serving.config.sharedrows import SHARED_ROWS

DAY_S = 86_400
PORT = 65_535

ROWS = (
    Row("node.name", "Nombre de este nodo, si varios comparten una base.", "This node's name, where several share a database."),
    Row("node.database", "Base compartida, postgresql://...; vacío: SQLite en la carpeta.", "Shared database, postgresql://...; empty: SQLite in the folder."),
    Row("listen.host", "Dirección de la configuración y del registro.", "Address of the configuration and of registration."),
    Row("listen.http_port", "Puerto HTTP de la configuración; 0 ninguno.", "HTTP port of the configuration; 0 none.", low=0, high=PORT),
    Row("listen.https_port", "Puerto HTTPS de la configuración; 0 ninguno.", "HTTPS port of the configuration; 0 none.", low=0, high=PORT),
    Row("listen.registration_port", "Puerto donde se registran certificados de autenticación; 0 ninguno.", "Port where authentication certificates are registered; 0 none.", low=0, high=PORT),
    Row("listen.management_port", "Puerto de los servicios de administración; 0 ninguno.", "Port of the management services; 0 none.", low=0, high=PORT),
    Row("listen.management_host", "Su dirección; vacía: listen.host si hay un certificado fijado, si no sólo esta máquina.", "Its address; empty: listen.host where a certificate is pinned, else this machine only."),
    Row("listen.metrics_from", "Redes que pueden leer /metrics, además de esta máquina.", "Networks that may read /metrics, beside this machine."),
    Row("approval.auto_approve_auth_cert_reg_requests", "Si los registros de certificados se aprueban solos.", "Whether registrations of certificates are approved by themselves."),
    Row("approval.auto_approve_client_reg_requests", "Si los registros de clientes se aprueban solos.", "Whether registrations of clients are approved by themselves."),
    Row("approval.auto_approve_owner_change_requests", "Si los cambios de dueño se aprueban solos.", "Whether changes of owner are approved by themselves."),
    Row("approval.four_eyes", "Si lo demás lo aprueban dos personas distintas.", "Whether two different people must approve the rest."),
    Row("management.pinned_certificates", "Archivos de la carpeta con los certificados TLS internos de la pasarela de administración.", "Files of the folder with the internal TLS certificates of the management gateway."),
    Row("management.requests_per_minute", "Solicitudes por minuto de una dirección; 0 sin límite.", "Requests a minute from one address; 0 no limit.", low=0, high=1_000_000),
    Row("publishing.minimum_version", "Versión más baja de la configuración que se genera.", "Lowest version of the configuration that is generated.", low=2, high=9),
    Row("publishing.regenerate_s", "Cada cuánto se firma un directorio nuevo si nada cambia.", "How often a new directory is signed when nothing changes.", low=1, high=DAY_S),
    Row("publishing.keep_parts_s", "Cuánto se sirven todavía las partes anteriores.", "How long parts of earlier generations are still served.", low=0, high=DAY_S),
    Row("publishing.key_kind", "Clase de las llaves de firma nuevas.", "Kind of new signing keys."),
    Row("keys.tokens", "Dispositivos de llaves además del de software.", "Tokens besides the software token."),
    Row("keys.start_signers", "Si el servidor arranca los procesos de los dispositivos.", "Whether the server starts the processes that hold tokens."),
    Row("keys.signer_patience_s", "Cuánto espera una firma a que vuelva el proceso de su llave.", "How long a signature waits for its key's process.", low=0, high=600),
    Row("keys.socket_folder", "Carpeta de los sockets de esos procesos; vacía: la de datos.", "Folder of those processes' sockets; empty: the data folder."),
    Row("notices.smtp_host", "Servidor de correo de los avisos; vacío: no hay correo.", "Mail server of notices; empty: no mail."),
    Row("notices.smtp_port", "Su puerto.", "Its port.", low=1, high=PORT),
    Row("notices.smtp_security", "none, starttls o tls.", "none, starttls or tls."),
    Row("notices.smtp_user", "Usuario, si lo pide.", "User, if it asks for one."),
    Row("notices.smtp_password", "Dónde está su contraseña.", "Where its password is."),
    Row("notices.sender", "Quién firma los avisos.", "Who notices are from."),
    Row("notices.poll_s", "Cada cuánto se miran los avisos por enviar.", "How often it is looked for notices to send.", low=0.1, high=DAY_S),
    Row("catalogue.gateway", "Pasarela por la que se reúne el catálogo; vacía: no se reúne.", "Gateway to gather the catalogue through; empty: it is not gathered."),
    Row("catalogue.client", "Cliente en cuyo nombre se pregunta.", "Client in whose name it asks."),
    Row("catalogue.interval_s", "Cada cuánto se pregunta.", "How often it asks.", low=1, high=30 * DAY_S),
    Row("catalogue.port", "Puerto de sus páginas; 0 ninguno.", "Port of its pages; 0 none.", low=0, high=PORT),
    Row("witness.follows", "Llaves de las bitácoras de las que este servidor es testigo.", "Keys of the logs this server is a witness of."),
    Row("log_level", "Cuánto se escribe en el registro del proceso.", "How much the process writes to its log."),
    *SHARED_ROWS,
)  # fmt: skip
