"""Which command does what each operation of the admin API does: data only.

``ACTS`` become commands that call the running gateway's admin API (`gateway.cli.actions`); ``LOCAL`` names those that work on the
data folder; ``PAGES_ONLY`` are for a browser.
"""

from __future__ import annotations

from dataclasses import dataclass

from serving.language import N_


@dataclass(frozen=True, slots=True)
class ApiCommand:
    """A command, the operation it calls, and what it does."""

    command: str
    method: str
    path: str
    help: str

    @property
    def group(self) -> str:
        """The first word of the command, as ``client``."""
        return self.command.split()[0]

    @property
    def name(self) -> str:
        """The second word of the command, as ``list``."""
        return self.command.split()[1]


# The first words of the commands, as the help shows them.
SECTIONS = (
    (N_("Make it and run it"), "init join preflight serve signer status health backup storage"),
    (N_("Configuration"), "apply settings server globalconf user api-key api"),
    (N_("Keys and certificates"), "token key certificate tls"),
    (N_("Clients, services and rights"), "client service right group policy"),
    (N_("Messages and evidence"), "log archive container audit"),
    (N_("Help"), "diagnose explain support completion"),
)

GROUPS = {
    "server": N_(
        "This server: how far initialisation got, its address, maintenance, timestamping authorities in use."
    ),
    "globalconf": N_("What the global configuration says, and its anchor."),
    "group": N_("Local groups."),
    "right": N_("Access rights, by client, and requests for them."),
}

_SYSTEM, _TSA = "/system", "/system/timestamping-services"
_CLIENT, _DESCRIPTION = "/clients/{id}", "/service-descriptions/{id}"
_RIGHTS = "/clients/{id}/service-clients"
_KEY, _CERTIFICATE, _CA = "/keys/{id}", "/token-certificates/{hash}", "/certificate-authorities"

ACTS = (
    ApiCommand("server initialize", "POST", "/initialization", help="Become a security server."),
    ApiCommand("server initialization", "GET", "/initialization/status", help="How far initialisation got."),
    ApiCommand("server version", "GET", f"{_SYSTEM}/version", help="Versions."),
    ApiCommand("server node-type", "GET", f"{_SYSTEM}/node-type", help="How this server runs."),
    ApiCommand("server address", "GET", f"{_SYSTEM}/server-address", help="The registered address."),
    ApiCommand("server change-address", "PUT", f"{_SYSTEM}/server-address", help="Ask for another address."),
    ApiCommand("server timestamping", "GET", _TSA, help="Timestamping authorities in use."),
    ApiCommand("server add-timestamping", "POST", _TSA, help="Use an approved timestamping authority."),
    ApiCommand("server remove-timestamping", "POST", f"{_TSA}/delete", help="Stop using a timestamping authority."),
    ApiCommand("server timestamping-order", "GET", f"{_TSA}/prioritization-strategy", help="In which order timestamping authorities that cost are asked."),
    ApiCommand("server maintenance", "GET", f"{_SYSTEM}/maintenance-mode", help="Whether there is maintenance."),
    ApiCommand("server enable-maintenance", "PUT", f"{_SYSTEM}/maintenance-mode/enable", help="Announce maintenance."),
    ApiCommand("server disable-maintenance", "PUT", f"{_SYSTEM}/maintenance-mode/disable", help="End maintenance."),
    ApiCommand("globalconf anchor", "GET", f"{_SYSTEM}/anchor", help="The anchor in use."),
    ApiCommand("globalconf add-anchor", "POST", f"{_SYSTEM}/anchor", help="The first anchor."),
    ApiCommand("globalconf replace-anchor", "PUT", f"{_SYSTEM}/anchor", help="Another anchor."),
    ApiCommand("globalconf preview-anchor", "POST", f"{_SYSTEM}/anchor/previews", help="Only read an anchor."),
    ApiCommand("globalconf download-anchor", "GET", f"{_SYSTEM}/anchor/download", help="Download the anchor."),
    ApiCommand("globalconf timestamping", "GET", "/timestamping-services", help="Approved timestamping authorities."),
    ApiCommand("globalconf authorities", "GET", _CA, help="Approved certification authorities."),
    ApiCommand("globalconf ocsp-order", "GET", f"{_CA}/ocsp-prioritization-strategy", help="In which order responders that cost are asked."),
    ApiCommand("globalconf member-classes", "GET", "/member-classes", help="Member classes."),
    ApiCommand("globalconf member-classes-of", "GET", "/member-classes/{id}", help="Those of an instance."),
    ApiCommand("globalconf member-name", "GET", "/member-names", help="A member's name."),
    ApiCommand("globalconf servers", "GET", "/security-servers", help="Security servers."),
    ApiCommand("globalconf server", "GET", "/security-servers/{id}", help="One security server."),
    ApiCommand("globalconf instances", "GET", "/xroad-instances", help="Known instances."),
    ApiCommand("settings reload", "POST", "/settings/reload", help="Read the file again."),
    ApiCommand("user whoami", "GET", "/user", help="Who I am."),
    ApiCommand("user my-roles", "GET", "/user/roles", help="My roles."),
    ApiCommand("user my-permissions", "GET", "/user/permissions", help="My permissions."),
    ApiCommand("backup forget-running", "PUT", "/notifications/alerts/reset", help="Forget that a backup or restore is running."),
    ApiCommand("backup list", "GET", "/backups", help="Backups on the gateway."),
    ApiCommand("backup upload", "POST", "/backups/upload", help="Upload one."),
    ApiCommand("backup download", "GET", "/backups/{filename}/download", help="Download a backup."),
    ApiCommand("backup delete", "DELETE", "/backups/{filename}", help="Delete one."),
    ApiCommand("token show", "GET", "/tokens/{id}", help="One token with its keys."),
    ApiCommand("token rename", "PATCH", "/tokens/{id}", help="Give it another name."),
    ApiCommand("token forget", "DELETE", "/tokens/{id}", help="Forget one that is gone."),
    ApiCommand("token login", "PUT", "/tokens/{id}/login", help="Enter the PIN."),
    ApiCommand("token logout", "PUT", "/tokens/{id}/logout", help="Log out."),
    ApiCommand("token add-key", "POST", "/tokens/{id}/keys", help="Make a key on it."),
    ApiCommand("token add-key-with-request", "POST", "/tokens/{id}/keys-with-csrs", help="Make a key and its first signing request."),
    ApiCommand("key show", "GET", _KEY, help="A key with its certificates and requests."),
    ApiCommand("key rename", "PATCH", _KEY, help="Give it another name."),
    ApiCommand("key delete", "DELETE", _KEY, help="Delete it."),
    ApiCommand("key actions", "GET", f"{_KEY}/possible-actions", help="What may be done with this key."),
    ApiCommand("key download-csr", "GET", f"{_KEY}/csrs/{{csr_id}}", help="Download a signing request."),
    ApiCommand("key delete-csr", "DELETE", f"{_KEY}/csrs/{{csr_id}}", help="Drop a signing request."),
    ApiCommand("key csr-actions", "GET", f"{_KEY}/csrs/{{csr_id}}/possible-actions", help="What may be done with a signing request."),
    ApiCommand("certificate show", "GET", _CERTIFICATE, help="One certificate."),
    ApiCommand("certificate import-from-token", "POST", f"{_CERTIFICATE}/import", help="Import one that is on a token."),
    ApiCommand("certificate actions", "GET", f"{_CERTIFICATE}/possible-actions", help="What may be done with this certificate."),
    ApiCommand("certificate register", "PUT", f"{_CERTIFICATE}/register", help="Send its registration to the central server."),
    ApiCommand("certificate unregister", "PUT", f"{_CERTIFICATE}/unregister", help="Send its deletion to the central server."),
    ApiCommand("certificate mark-for-deletion", "PUT", f"{_CERTIFICATE}/mark-for-deletion", help="Wait for its deletion without a request."),
    ApiCommand("certificate fields", "GET", f"{_CA}/{{ca_name}}/csr-subject-fields", help="What a certification authority wants in a signing request."),
    ApiCommand("certificate acme-account", "GET", f"{_CA}/{{ca_name}}/has-acme-eab-credentials", help="Whether there is an outside account for ACME."),
    ApiCommand("certificate order", "POST", f"{_CA}/{{ca_name}}/acme-order", help="Order by ACME the certificate for a kept request."),
    ApiCommand("client search", "GET", "/clients", help="Search clients, of other servers too."),
    ApiCommand("client add", "POST", "/clients", help="Add a client."),
    ApiCommand("client show", "GET", _CLIENT, help="One client."),
    ApiCommand("client delete", "DELETE", _CLIENT, help="Delete a client."),
    ApiCommand("client register", "PUT", f"{_CLIENT}/register", help="Register it at the central server."),
    ApiCommand("client unregister", "PUT", f"{_CLIENT}/unregister", help="End its registration."),
    ApiCommand("client make-owner", "PUT", f"{_CLIENT}/make-owner", help="Ask to make it the owner."),
    ApiCommand("client disable", "PUT", f"{_CLIENT}/disable", help="Disable it for a while."),
    ApiCommand("client enable", "PUT", f"{_CLIENT}/enable", help="Enable it again."),
    ApiCommand("client rename", "PUT", f"{_CLIENT}/rename", help="Give it another name."),
    ApiCommand("client servers", "GET", f"{_CLIENT}/security-servers", help="Servers it is registered on."),
    ApiCommand("client sign-certificates", "GET", f"{_CLIENT}/sign-certificates", help="Signing certificates of its member."),
    ApiCommand("client orphans", "GET", f"{_CLIENT}/orphans", help="Whether keys remain of it."),
    ApiCommand("client delete-orphans", "DELETE", f"{_CLIENT}/orphans", help="Delete keys that remain of it."),
    ApiCommand("client certificates", "GET", f"{_CLIENT}/tls-certificates", help="Certificates of its systems."),
    ApiCommand("client certificate", "GET", f"{_CLIENT}/tls-certificates/{{hash}}", help="One of them."),
    ApiCommand("service description", "GET", _DESCRIPTION, help="One service description."),
    ApiCommand("service update-description", "PATCH", _DESCRIPTION, help="Change the address or the code of a description."),
    ApiCommand("service show", "GET", "/services/{id}", help="One service."),
    ApiCommand("service callers", "GET", "/services/{id}/service-clients", help="Who may use it."),
    ApiCommand("service endpoint", "GET", "/endpoints/{id}", help="One endpoint."),
    ApiCommand("service update-endpoint", "PATCH", "/endpoints/{id}", help="Change an endpoint."),
    ApiCommand("service delete-endpoint", "DELETE", "/endpoints/{id}", help="Delete an endpoint."),
    ApiCommand("service endpoint-callers", "GET", "/endpoints/{id}/service-clients", help="Who may use this endpoint."),
    ApiCommand("right holders", "GET", _RIGHTS, help="Who has any right here."),
    ApiCommand("right holder", "GET", f"{_RIGHTS}/{{sc_id}}", help="One of them."),
    ApiCommand("right candidates", "GET", "/clients/{id}/service-client-candidates", help="Who could be granted access."),
    ApiCommand("right list", "GET", f"{_RIGHTS}/{{sc_id}}/access-rights", help="Services open to one."),
    ApiCommand("right matrix", "GET", f"{_CLIENT}/access-rights", help="Every right to a client's services."),
    ApiCommand("right check", "GET", f"{_CLIENT}/access-check", help="Would a client's call be let through."),
    ApiCommand("right requests", "GET", "/access-requests", help="Who asks for access, and how it was decided."),
    ApiCommand("right approve", "PUT", "/access-requests/{id}/approve", help="Grant what a request for access asks."),
    ApiCommand("right decline", "PUT", "/access-requests/{id}/decline", help="Decline a request for access; the client reads why."),
    ApiCommand("right ask", "POST", f"{_CLIENT}/access-requests", help="Ask another member for access to a service."),
    ApiCommand("right standing", "GET", f"{_CLIENT}/access-requests", help="How a request for access stands at its provider."),
    ApiCommand("right offered", "GET", f"{_CLIENT}/offered-services", help="REST services that another member offers."),
    ApiCommand("group list", "GET", f"{_CLIENT}/local-groups", help="Groups of a client."),
    ApiCommand("group add", "POST", f"{_CLIENT}/local-groups", help="Make a group."),
    ApiCommand("group show", "GET", "/local-groups/{group_id}", help="One group."),
    ApiCommand("group describe", "PATCH", "/local-groups/{group_id}", help="Change its description."),
    ApiCommand("group delete", "DELETE", "/local-groups/{group_id}", help="Delete it with its rights."),
    ApiCommand("group add-members", "POST", "/local-groups/{group_id}/members", help="Add members."),
    ApiCommand("group remove-members", "POST", "/local-groups/{group_id}/members/delete", help="Remove members."),
    ApiCommand("log newest", "GET", "/message-log/newest-records", help="Records that match, the newest first, some thousands looked at in one go."),
    ApiCommand("log show", "GET", "/message-log/records/{id}", help="One record: who, when, digests, status."),
    ApiCommand("log verify-record", "GET", "/message-log/records/{id}/verdict", help="Verify the container of a record, step by step."),
    ApiCommand("log container", "POST", "/message-log/records/{id}/container", help="The signed container of a record; the audit log says why."),
    ApiCommand("log containers", "POST", "/message-log/containers", help="The signed containers of records as a zip; the audit log says why."),
    ApiCommand("diagnose globalconf", "GET", "/diagnostics/globalconf", help="The global configuration."),
    ApiCommand("diagnose ocsp", "GET", "/diagnostics/ocsp-responders", help="OCSP responders."),
    ApiCommand("diagnose timestamping", "GET", "/diagnostics/timestamping-services", help="Timestamping authorities."),
    ApiCommand("diagnose addons", "GET", "/diagnostics/addon-status", help="What is there."),
    ApiCommand("diagnose backup-encryption", "GET", "/diagnostics/backup-encryption-status", help="To whom backups are encrypted."),
    ApiCommand("diagnose log-encryption", "GET", "/diagnostics/message-log-encryption-status", help="How the message log is kept."),
    ApiCommand("diagnose memory", "GET", "/diagnostics/proxy-memory-usage-status", help="Memory."),
    ApiCommand("diagnose report", "GET", "/diagnostics/info/download", help="All of it as a file."),
    ApiCommand("diagnose registration", "GET", "/diagnostics/auth-cert-req-status", help="Can the registration service be reached."),
    ApiCommand("diagnose sources", "GET", "/diagnostics/global-conf-status", help="Can the configuration's sources be reached."),
    ApiCommand("diagnose server", "GET", "/diagnostics/other-security-server-status", help="Does another security server answer."),
    ApiCommand("diagnose traffic", "GET", "/diagnostics/operational-monitoring", help="Exchanges over time."),
    ApiCommand("diagnose traffic-summary", "GET", "/diagnostics/traffic-summary", help="Exchanges by service, peer and outcome, with latencies."),
    ApiCommand("diagnose mail", "GET", "/mail/mail-notification-status", help="Which notices go out by mail."),
    ApiCommand("diagnose test-mail", "PUT", "/mail/send-test-mail", help="Send a test mail."),
    ApiCommand("diagnose alerts", "GET", "/notifications/alerts", help="Alerts for the operator."),
)  # fmt: skip

# Operation -> the command that does it in the data folder.
LOCAL = {
    ("GET", "/openapi.yaml"): "api",
    ("GET", "/service-descriptions/{id}/services"): "service list",
    ("POST", "/keys/{id}/csrs"): "key make-csr",
    ("GET", "/diagnostics/findings"): "diagnose",
    ("GET", "/audit-log/entries"): "audit list",
    ("GET", "/message-log/records"): "log find",
    ("POST", "/message-log/verdicts"): "container verify",
    ("GET", "/clients/{id}/service-descriptions"): "service list",
    ("POST", "/clients/{id}/service-descriptions"): "service add",
    ("DELETE", "/service-descriptions/{id}"): "service remove",
    ("PUT", "/service-descriptions/{id}/disable"): "service disable",
    ("PUT", "/service-descriptions/{id}/enable"): "service enable",
    ("PUT", "/service-descriptions/{id}/refresh"): "service refresh",
    ("PATCH", "/services/{id}"): "service set",
    ("POST", "/services/{id}/service-clients"): "service allow",
    ("POST", "/services/{id}/service-clients/delete"): "service deny",
    ("POST", "/endpoints/{id}/service-clients"): "service allow",
    ("POST", "/endpoints/{id}/service-clients/delete"): "service deny",
    ("POST", "/clients/{id}/service-clients/{sc_id}/access-rights"): "service allow",
    ("POST", "/clients/{id}/service-clients/{sc_id}/access-rights/delete"): "service deny",
    ("GET", "/tokens"): "token list",
    ("PUT", "/tokens/{id}/pin"): "token change-pin",
    ("POST", "/token-certificates"): "certificate import",
    ("PUT", "/token-certificates/{hash}/activate"): "certificate activate",
    ("DELETE", "/clients/{id}/tls-certificates/{hash}"): "client distrust",
    ("POST", "/backups"): "backup create",
    ("POST", "/backups/ext"): "backup create",
    ("PUT", "/backups/{filename}/restore"): "backup restore",
    ("GET", "/system/certificate"): "tls show",
    ("POST", "/system/certificate"): "tls make",
    ("GET", "/system/certificate/export"): "tls export",
    ("POST", "/system/certificate/csr"): "tls request",
    ("POST", "/system/certificate/import"): "tls import",
    ("PATCH", "/clients/{id}"): "client connect",
    ("POST", "/clients/{id}/tls-certificates"): "client trust",
    ("POST", "/services/{id}/endpoints"): "service add-endpoint",
    ("DELETE", "/token-certificates/{hash}"): "certificate delete",
    ("PUT", "/token-certificates/{hash}/disable"): "certificate disable",
    ("GET", "/settings"): "settings list",
    ("GET", "/settings/{name}"): "settings get",
    ("PUT", "/settings/{name}"): "settings set",
    ("DELETE", "/settings/{name}"): "settings unset",
    ("POST", "/api-keys"): "api-key make",
    ("GET", "/api-keys"): "api-key list",
    ("GET", "/api-keys/{id}"): "api-key list",
    ("PUT", "/api-keys/{id}"): "api-key roles",
    ("DELETE", "/api-keys/{id}"): "api-key revoke",
    ("GET", "/users"): "user list",
    ("POST", "/users"): "user add",
    ("PUT", "/users/{name}/roles"): "user add",
    ("PUT", "/users/{name}/password"): "user add",
    ("DELETE", "/users/{name}"): "user remove",
}
# The language of the pages stands in a browser's cookie; a terminal's is SACBE_LANG.
# Sessions are of people at pages; switching a user off by command is removing it, or giving it another password.
PAGES_ONLY = frozenset(
    {
        ("PUT", "/language/{code}"),
        ("PUT", "/users/{name}/disable"),
        ("PUT", "/users/{name}/enable"),
        ("GET", "/sessions"),
        ("DELETE", "/sessions/{name}"),
        ("PUT", "/user/password"),
    }
)
