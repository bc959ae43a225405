"""Which command does what each operation of the admin API does: data only.

``ACTS`` become commands that call the running gateway's admin API (`gateway.cli.actions`); ``LOCAL`` names those that work on the
data folder; ``PAGES_ONLY`` are for a browser.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ApiCommand:
    """A command, the operation it calls, and what it does."""

    command: str
    method: str
    path: str
    es: str
    en: str

    @property
    def group(self) -> str:
        """The first word."""
        return self.command.split()[0]

    @property
    def name(self) -> str:
        """The second word."""
        return self.command.split()[1]


GROUPS = {
    "system": ("El servidor: inicio, versión.", "The server: beginning, version."),
    "anchor": ("El ancla de configuración.", "The configuration anchor."),
    "address": ("La dirección registrada de este servidor.", "This server's registered address."),
    "timestamping": ("Autoridades de sellado de tiempo.", "Timestamping authorities."),
    "maintenance": ("Modo de mantenimiento.", "Maintenance mode."),
    "group": ("Grupos locales.", "Local groups."),
    "description": ("Descripciones de servicios.", "Service descriptions."),
    "endpoint": ("Rutas de un servicio.", "Endpoints of a service."),
    "right": ("Derechos de acceso, por cliente.", "Access rights, by client."),
    "request": ("Solicitudes de certificado guardadas.", "Signing requests that are kept."),
    "ca": ("Autoridades de certificación aprobadas.", "Approved certification authorities."),
    "registry": ("Lo que dice la configuración global.", "What the global configuration says."),
    "diagnostics": ("Estado de cada parte.", "The state of every part."),
    "notice": ("Avisos por correo.", "Notices by mail."),
    "alert": ("Lo que un operador debe atender.", "What an operator should look at."),
    "whoami": ("Quién soy para la API.", "Who I am to the API."),
}

_SYSTEM, _TSA = "/system", "/system/timestamping-services"
_CLIENT, _DESCRIPTION = "/clients/{id}", "/service-descriptions/{id}"
_RIGHTS = "/clients/{id}/service-clients"
_KEY, _CERTIFICATE, _CA = "/keys/{id}", "/token-certificates/{hash}", "/certificate-authorities"

ACTS = (
    ApiCommand("system initialize", "POST", "/initialization", "Convierte esto en un servidor de seguridad.", "Become a security server."),
    ApiCommand("system status", "GET", "/initialization/status", "Hasta dónde llegó la inicialización.", "How far initialisation got."),
    ApiCommand("system version", "GET", f"{_SYSTEM}/version", "Versiones.", "Versions."),
    ApiCommand("system node-type", "GET", f"{_SYSTEM}/node-type", "Cómo corre este servidor.", "How this server runs."),
    ApiCommand("system openapi", "GET", "/openapi.yaml", "El documento OpenAPI de esta API.", "The OpenAPI document of this API."),
    ApiCommand("anchor show", "GET", f"{_SYSTEM}/anchor", "El ancla en uso.", "The anchor in use."),
    ApiCommand("anchor add", "POST", f"{_SYSTEM}/anchor", "La primera ancla.", "The first anchor."),
    ApiCommand("anchor replace", "PUT", f"{_SYSTEM}/anchor", "Otra ancla.", "Another anchor."),
    ApiCommand("anchor preview", "POST", f"{_SYSTEM}/anchor/previews", "Sólo lee un ancla.", "Only read an anchor."),
    ApiCommand("anchor download", "GET", f"{_SYSTEM}/anchor/download", "Descarga el ancla.", "Download the anchor."),
    ApiCommand("address show", "GET", f"{_SYSTEM}/server-address", "La dirección registrada.", "The registered address."),
    ApiCommand("address change", "PUT", f"{_SYSTEM}/server-address", "Pide otra dirección.", "Ask for another address."),
    ApiCommand("timestamping list", "GET", _TSA, "Las que se usan.", "Those in use."),
    ApiCommand("timestamping add", "POST", _TSA, "Usa una aprobada.", "Use an approved one."),
    ApiCommand("timestamping remove", "POST", f"{_TSA}/delete", "Deja de usar una.", "Stop using one."),
    ApiCommand("timestamping order", "GET", f"{_TSA}/prioritization-strategy", "Orden según el costo.", "Order by cost."),
    ApiCommand("timestamping approved", "GET", "/timestamping-services", "Las aprobadas.", "Those approved."),
    ApiCommand("maintenance status", "GET", f"{_SYSTEM}/maintenance-mode", "Si hay mantenimiento.", "Whether there is maintenance."),
    ApiCommand("maintenance enable", "PUT", f"{_SYSTEM}/maintenance-mode/enable", "Anuncia mantenimiento.", "Announce maintenance."),
    ApiCommand("maintenance disable", "PUT", f"{_SYSTEM}/maintenance-mode/disable", "Termina el mantenimiento.", "End maintenance."),
    ApiCommand("client search", "GET", "/clients", "Busca clientes, también de otros servidores.", "Search clients, of other servers too."),
    ApiCommand("client add", "POST", "/clients", "Agrega un cliente.", "Add a client."),
    ApiCommand("client show", "GET", _CLIENT, "Un cliente.", "One client."),
    ApiCommand("client delete", "DELETE", _CLIENT, "Borra un cliente.", "Delete a client."),
    ApiCommand("client register", "PUT", f"{_CLIENT}/register", "Pide su registro al servidor central.", "Register it at the central server."),
    ApiCommand("client unregister", "PUT", f"{_CLIENT}/unregister", "Termina su registro.", "End its registration."),
    ApiCommand("client make-owner", "PUT", f"{_CLIENT}/make-owner", "Pide que sea el dueño.", "Ask to make it the owner."),
    ApiCommand("client disable", "PUT", f"{_CLIENT}/disable", "Lo suspende por un tiempo.", "Disable it for a while."),
    ApiCommand("client enable", "PUT", f"{_CLIENT}/enable", "Lo activa otra vez.", "Enable it again."),
    ApiCommand("client rename", "PUT", f"{_CLIENT}/rename", "Le da otro nombre.", "Give it another name."),
    ApiCommand("client servers", "GET", f"{_CLIENT}/security-servers", "Servidores donde está registrado.", "Servers it is registered on."),
    ApiCommand("client sign-certificates", "GET", f"{_CLIENT}/sign-certificates", "Certificados de firma de su miembro.", "Signing certificates of its member."),
    ApiCommand("client orphans", "GET", f"{_CLIENT}/orphans", "Si quedaron llaves suyas.", "Whether keys remain of it."),
    ApiCommand("client delete-orphans", "DELETE", f"{_CLIENT}/orphans", "Borra las llaves que quedaron.", "Delete keys that remain of it."),
    ApiCommand("client certificates", "GET", f"{_CLIENT}/tls-certificates", "Certificados de sus sistemas.", "Certificates of its systems."),
    ApiCommand("client certificate", "GET", f"{_CLIENT}/tls-certificates/{{hash}}", "Uno de ellos.", "One of them."),
    ApiCommand("client forget-certificate", "DELETE", f"{_CLIENT}/tls-certificates/{{hash}}", "Deja de confiar en uno, por su resumen.", "Trust one no longer, by its hash."),
    ApiCommand("group list", "GET", f"{_CLIENT}/local-groups", "Grupos de un cliente.", "Groups of a client."),
    ApiCommand("group add", "POST", f"{_CLIENT}/local-groups", "Hace un grupo.", "Make a group."),
    ApiCommand("group show", "GET", "/local-groups/{group_id}", "Un grupo.", "One group."),
    ApiCommand("group describe", "PATCH", "/local-groups/{group_id}", "Cambia su descripción.", "Change its description."),
    ApiCommand("group delete", "DELETE", "/local-groups/{group_id}", "Lo borra con sus derechos.", "Delete it with its rights."),
    ApiCommand("group add-members", "POST", "/local-groups/{group_id}/members", "Agrega miembros.", "Add members."),
    ApiCommand("group remove-members", "POST", "/local-groups/{group_id}/members/delete", "Quita miembros.", "Remove members."),
    ApiCommand("description list", "GET", f"{_CLIENT}/service-descriptions", "Las de un cliente.", "Those of a client."),
    ApiCommand("description add", "POST", f"{_CLIENT}/service-descriptions", "Publica una.", "Publish one."),
    ApiCommand("description show", "GET", _DESCRIPTION, "Una descripción.", "One description."),
    ApiCommand("description update", "PATCH", _DESCRIPTION, "Cambia su dirección o código.", "Change its address or code."),
    ApiCommand("description delete", "DELETE", _DESCRIPTION, "La borra con servicios y derechos.", "Delete it with services and rights."),
    ApiCommand("description disable", "PUT", f"{_DESCRIPTION}/disable", "Apaga sus servicios.", "Switch its services off."),
    ApiCommand("description enable", "PUT", f"{_DESCRIPTION}/enable", "Enciende sus servicios.", "Switch its services on."),
    ApiCommand("description refresh", "PUT", f"{_DESCRIPTION}/refresh", "Vuelve a leer el documento.", "Read the document again."),
    ApiCommand("description services", "GET", f"{_DESCRIPTION}/services", "Sus servicios.", "Its services."),
    ApiCommand("service show", "GET", "/services/{id}", "Un servicio.", "One service."),
    ApiCommand("service update", "PATCH", "/services/{id}", "Dirección, tiempo y TLS, también de todos los de su descripción.", "Address, timeout and TLS, of all of its description too."),
    ApiCommand("service callers", "GET", "/services/{id}/service-clients", "Quién puede usarlo.", "Who may use it."),
    ApiCommand("service grant", "POST", "/services/{id}/service-clients", "Lo abre entero a alguien.", "Open it whole to somebody."),
    ApiCommand("service revoke", "POST", "/services/{id}/service-clients/delete", "Lo cierra a alguien.", "Close it to somebody."),
    ApiCommand("endpoint show", "GET", "/endpoints/{id}", "Una ruta.", "One endpoint."),
    ApiCommand("endpoint update", "PATCH", "/endpoints/{id}", "La cambia.", "Change it."),
    ApiCommand("endpoint delete", "DELETE", "/endpoints/{id}", "La borra.", "Delete it."),
    ApiCommand("endpoint callers", "GET", "/endpoints/{id}/service-clients", "Quién puede usarla.", "Who may use it."),
    ApiCommand("endpoint grant", "POST", "/endpoints/{id}/service-clients", "La abre a alguien.", "Open it to somebody."),
    ApiCommand("endpoint revoke", "POST", "/endpoints/{id}/service-clients/delete", "La cierra a alguien.", "Close it to somebody."),
    ApiCommand("right holders", "GET", _RIGHTS, "Quién tiene algún derecho aquí.", "Who has any right here."),
    ApiCommand("right holder", "GET", f"{_RIGHTS}/{{sc_id}}", "Uno de ellos.", "One of them."),
    ApiCommand("right candidates", "GET", "/clients/{id}/service-client-candidates", "A quién se le podría dar acceso.", "Who could be granted access."),
    ApiCommand("right list", "GET", f"{_RIGHTS}/{{sc_id}}/access-rights", "Servicios abiertos a uno.", "Services open to one."),
    ApiCommand("right grant", "POST", f"{_RIGHTS}/{{sc_id}}/access-rights", "Le abre servicios.", "Open services to one."),
    ApiCommand("right revoke", "POST", f"{_RIGHTS}/{{sc_id}}/access-rights/delete", "Le cierra servicios.", "Close services to one."),
    ApiCommand("token show", "GET", "/tokens/{id}", "Un dispositivo con sus llaves.", "One token with its keys."),
    ApiCommand("token status", "GET", "/tokens", "Todos, como los ve la pasarela en marcha.", "All of them, as the running gateway sees them."),
    ApiCommand("token rename", "PATCH", "/tokens/{id}", "Le da otro nombre.", "Give it another name."),
    ApiCommand("token forget", "DELETE", "/tokens/{id}", "Olvida uno que ya no está.", "Forget one that is gone."),
    ApiCommand("token login", "PUT", "/tokens/{id}/login", "Da el PIN.", "Enter the PIN."),
    ApiCommand("token logout", "PUT", "/tokens/{id}/logout", "Cierra la sesión.", "Log out."),
    ApiCommand("token change-pin", "PUT", "/tokens/{id}/pin", "Cambia el PIN de cualquier dispositivo.", "Change any token's PIN."),
    ApiCommand("token add-key", "POST", "/tokens/{id}/keys", "Hace una llave en él.", "Make a key on it."),
    ApiCommand("token add-key-with-request", "POST", "/tokens/{id}/keys-with-csrs", "Hace una llave y su primera solicitud.", "Make a key and its first signing request."),
    ApiCommand("key show", "GET", _KEY, "Una llave con certificados y solicitudes.", "A key with its certificates and requests."),
    ApiCommand("key rename", "PATCH", _KEY, "Le da otro nombre.", "Give it another name."),
    ApiCommand("key delete", "DELETE", _KEY, "La borra.", "Delete it."),
    ApiCommand("key actions", "GET", f"{_KEY}/possible-actions", "Qué se puede hacer con ella.", "What may be done with it."),
    ApiCommand("request make", "POST", f"{_KEY}/csrs", "Hace otra solicitud para una llave.", "Make another request for a key."),
    ApiCommand("request download", "GET", f"{_KEY}/csrs/{{csr_id}}", "Descarga una.", "Download one."),
    ApiCommand("request delete", "DELETE", f"{_KEY}/csrs/{{csr_id}}", "La olvida.", "Drop one."),
    ApiCommand("request actions", "GET", f"{_KEY}/csrs/{{csr_id}}/possible-actions", "Qué se puede hacer con ella.", "What may be done with one."),
    ApiCommand("certificate upload", "POST", "/token-certificates", "Importa un certificado en la pasarela en marcha.", "Import a certificate into the running gateway."),
    ApiCommand("certificate show", "GET", _CERTIFICATE, "Un certificado.", "One certificate."),
    ApiCommand("certificate activate-proved", "PUT", f"{_CERTIFICATE}/activate", "Lo usa, si OCSP dice que vale.", "Use it, if it is good by OCSP."),
    ApiCommand("certificate take", "POST", f"{_CERTIFICATE}/import", "Importa el que está en un dispositivo.", "Import one that is on a token."),
    ApiCommand("certificate actions", "GET", f"{_CERTIFICATE}/possible-actions", "Qué se puede hacer con él.", "What may be done with it."),
    ApiCommand("certificate register", "PUT", f"{_CERTIFICATE}/register", "Pide su registro al servidor central.", "Send its registration to the central server."),
    ApiCommand("certificate unregister", "PUT", f"{_CERTIFICATE}/unregister", "Pide que se borre del registro.", "Send its deletion to the central server."),
    ApiCommand("certificate mark-for-deletion", "PUT", f"{_CERTIFICATE}/mark-for-deletion", "Espera su baja sin pedirla.", "Wait for its deletion without a request."),
    ApiCommand("ca list", "GET", _CA, "Las aprobadas.", "Those approved."),
    ApiCommand("ca ocsp-order", "GET", f"{_CA}/ocsp-prioritization-strategy", "Orden de los servidores OCSP que cobran.", "In which order responders that cost are asked."),
    ApiCommand("ca fields", "GET", f"{_CA}/{{ca_name}}/csr-subject-fields", "Qué quiere en una solicitud.", "What it wants in a request."),
    ApiCommand("ca account", "GET", f"{_CA}/{{ca_name}}/has-acme-eab-credentials", "Si hay cuenta externa para ACME.", "Whether there is an outside account for ACME."),
    ApiCommand("ca order", "POST", f"{_CA}/{{ca_name}}/acme-order", "Pide por ACME el certificado de una solicitud.", "Order by ACME the certificate for a kept request."),
    ApiCommand("registry member-classes", "GET", "/member-classes", "Clases de miembro.", "Member classes."),
    ApiCommand("registry member-classes-of", "GET", "/member-classes/{id}", "Las de una instancia.", "Those of an instance."),
    ApiCommand("registry member-name", "GET", "/member-names", "El nombre de un miembro.", "A member's name."),
    ApiCommand("registry servers", "GET", "/security-servers", "Servidores de seguridad.", "Security servers."),
    ApiCommand("registry server", "GET", "/security-servers/{id}", "Uno de ellos.", "One of them."),
    ApiCommand("registry instances", "GET", "/xroad-instances", "Instancias conocidas.", "Known instances."),
    ApiCommand("diagnostics findings", "GET", "/diagnostics/findings", "Qué está mal, cuándo se detiene el tráfico, qué hacer.", "What is wrong, when traffic stops, what to do."),
    ApiCommand("diagnostics globalconf", "GET", "/diagnostics/globalconf", "La configuración global.", "The global configuration."),
    ApiCommand("diagnostics ocsp", "GET", "/diagnostics/ocsp-responders", "Servidores OCSP.", "OCSP responders."),
    ApiCommand("diagnostics timestamping", "GET", "/diagnostics/timestamping-services", "Autoridades de sellado.", "Timestamping authorities."),
    ApiCommand("diagnostics addons", "GET", "/diagnostics/addon-status", "Qué hay.", "What is there."),
    ApiCommand("diagnostics backup-encryption", "GET", "/diagnostics/backup-encryption-status", "A quién se cifran los respaldos.", "To whom backups are encrypted."),
    ApiCommand("diagnostics log-encryption", "GET", "/diagnostics/message-log-encryption-status", "Cómo se guarda la bitácora de mensajes.", "How the message log is kept."),
    ApiCommand("diagnostics memory", "GET", "/diagnostics/proxy-memory-usage-status", "Memoria.", "Memory."),
    ApiCommand("diagnostics report", "GET", "/diagnostics/info/download", "Todo en un archivo.", "All of it as a file."),
    ApiCommand("diagnostics registration", "GET", "/diagnostics/auth-cert-req-status", "Si se alcanza el servicio de registro.", "Can the registration service be reached."),
    ApiCommand("diagnostics sources", "GET", "/diagnostics/global-conf-status", "Si se alcanzan las fuentes de configuración.", "Can the configuration's sources be reached."),
    ApiCommand("diagnostics server", "GET", "/diagnostics/other-security-server-status", "Si otra pasarela responde.", "Does another security server answer."),
    ApiCommand("diagnostics traffic", "GET", "/diagnostics/operational-monitoring", "Intercambios en el tiempo.", "Exchanges over time."),
    ApiCommand("notice status", "GET", "/mail/mail-notification-status", "Qué avisos salen por correo.", "Which notices go out by mail."),
    ApiCommand("notice test", "PUT", "/mail/send-test-mail", "Envía un correo de prueba.", "Send a test mail."),
    ApiCommand("alert show", "GET", "/notifications/alerts", "Avisos para el operador.", "Alerts for the operator."),
    ApiCommand("alert reset", "PUT", "/notifications/alerts/reset", "Olvida que corre un respaldo o una restauración.", "Forget that a backup or restore is running."),
    ApiCommand("backup list", "GET", "/backups", "Respaldos en la pasarela.", "Backups on the gateway."),
    ApiCommand("backup make", "POST", "/backups", "Hace uno para los destinatarios de los ajustes.", "Make one for the recipients of the settings."),
    ApiCommand("backup make-told", "POST", "/backups/ext", "Lo mismo, y dice si los ajustes van en él.", "The same, and say whether settings are in it."),
    ApiCommand("backup upload", "POST", "/backups/upload", "Sube uno.", "Upload one."),
    ApiCommand("backup download", "GET", "/backups/{filename}/download", "Descarga uno.", "Download one."),
    ApiCommand("backup delete", "DELETE", "/backups/{filename}", "Borra uno.", "Delete one."),
    ApiCommand("backup restore-here", "PUT", "/backups/{filename}/restore", "Lo restaura en la pasarela en marcha, que arranca de nuevo.", "Restore it into the running gateway, which starts anew."),
    ApiCommand("settings reload", "POST", "/settings/reload", "Vuelve a leer el archivo.", "Read the file again."),
    ApiCommand("whoami show", "GET", "/user", "Quién soy.", "Who I am."),
    ApiCommand("whoami roles", "GET", "/user/roles", "Mis roles.", "My roles."),
    ApiCommand("whoami permissions", "GET", "/user/permissions", "Mis permisos.", "My permissions."),
)  # fmt: skip

# Operation -> the command that does it in the data folder.
LOCAL = {
    ("GET", "/system/certificate"): "tls show",
    ("POST", "/system/certificate"): "tls make",
    ("GET", "/system/certificate/export"): "tls export",
    ("POST", "/system/certificate/csr"): "tls request",
    ("POST", "/system/certificate/import"): "tls import",
    ("PATCH", "/clients/{id}"): "client connect",
    ("POST", "/clients/{id}/tls-certificates"): "client trust",
    ("POST", "/services/{id}/endpoints"): "service endpoint",
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
}
# The language of the pages stands in a browser's cookie; a terminal's is SACBE_LANG.
PAGES_ONLY = frozenset({("PUT", "/language/{code}")})
