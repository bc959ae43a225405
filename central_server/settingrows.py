"""What each setting of a central server does, and its range: data only. Every one is taken at the next start."""

from __future__ import annotations

from serving.config.settingtable import Row
from serving.config.sharedrows import SHARED_ROWS

DAY_S = 86_400
PORT = 65_535

ROWS = (
    Row("node.name", help="This node's name, where several share a database."),
    Row("node.database", help="Shared database, postgresql://...; empty: SQLite in the folder."),
    Row("listen.host", help="Address of the configuration and of registration."),
    Row("listen.http_port", low=0, high=PORT, help="HTTP port of the configuration; 0 none."),
    Row("listen.https_port", low=0, high=PORT, help="HTTPS port of the configuration; 0 none."),
    Row("listen.registration_port", low=0, high=PORT, help="Port where authentication certificates are registered; 0 none."),
    Row("listen.management_port", low=0, high=PORT, help="Port of the management services; 0 none."),
    Row("listen.management_host", help="Its address; empty: listen.host where a certificate is pinned, else this machine only."),
    Row("listen.metrics_from", help="Networks that may read /metrics, beside this machine."),
    Row("approval.auto_approve_auth_cert_reg_requests", help="Whether registrations of certificates are approved by themselves."),
    Row("approval.auto_approve_client_reg_requests", help="Whether registrations of clients are approved by themselves."),
    Row("approval.auto_approve_owner_change_requests", help="Whether changes of owner are approved by themselves."),
    Row("approval.four_eyes", help="Whether two different people must approve the rest."),
    Row("management.pinned_certificates", help="Files of the folder with the internal TLS certificates of the management gateway."),
    Row("management.requests_per_minute", low=0, high=1000000, help="Requests a minute from one address; 0 no limit."),
    Row("publishing.minimum_version", low=2, high=9, help="Lowest version of the configuration that is generated."),
    Row("publishing.regenerate_s", low=1, high=DAY_S, help="How often a new directory is signed when nothing changes."),
    Row("publishing.keep_parts_s", low=0, high=DAY_S, help="How long parts of earlier generations are still served."),
    Row("publishing.key_kind", help="Kind of new signing keys."),
    Row("keys.tokens", help="Tokens besides the software token."),
    Row("keys.start_signers", help="Whether the server starts the processes that hold tokens."),
    Row("keys.signer_patience_s", low=0, high=600, help="How long a signature waits for its key's process."),
    Row("keys.socket_folder", help="Folder of those processes' sockets; empty: the data folder."),
    Row("notices.smtp_host", help="Mail server of notices; empty: no mail."),
    Row("notices.smtp_port", low=1, high=PORT, help="Its port."),
    Row("notices.smtp_security", help="none, starttls or tls."),
    Row("notices.smtp_user", help="User, if it asks for one."),
    Row("notices.smtp_password", help="Where its password is."),
    Row("notices.sender", help="Who notices are from."),
    Row("notices.poll_s", low=0.1, high=DAY_S, help="How often it is looked for notices to send."),
    Row("catalogue.gateway", help="Gateway to gather the catalogue through; empty: it is not gathered."),
    Row("catalogue.client", help="Client in whose name it asks."),
    Row("catalogue.interval_s", low=1, high=30 * DAY_S, help="How often it asks."),
    Row("catalogue.port", low=0, high=PORT, help="Port of its pages; 0 none."),
    Row("witness.follows", help="Keys of the logs this server is a witness of."),
    Row("log_level", help="How much the process writes to its log."),
    *SHARED_ROWS,
)  # fmt: skip
