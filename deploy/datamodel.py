"""The data model of the servers as tables of the documentation: read from databases that are made anew, never written by hand.

`PURPOSES` says in one line a language what a table holds; a table without its line, or a line without its table, is an error.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from central_server.store.steps import STEPS as CENTRAL_STEPS
from gateway.messagelog.steps import STEPS as LOG_STEPS
from gateway.migrations.serverconf import STEPS as SERVERCONF_STEPS
from gateway.monitoring.store import STEPS as MONITORING_STEPS
from serving.login.users import LOGIN_STEPS
from serving.storage.database import open_database

if TYPE_CHECKING:
    from collections.abc import Sequence

# File, and the steps that make it.
DATABASES: tuple[tuple[str, Sequence[str]], ...] = (
    ("serverconf.sqlite", SERVERCONF_STEPS),
    ("log/messages.sqlite", LOG_STEPS),
    ("log/opmonitoring.sqlite", MONITORING_STEPS),
    ("central.sqlite", CENTRAL_STEPS),
    ("admin.sqlite", LOGIN_STEPS),
)
HEADINGS = {"en": ("table", "holds", "columns"), "es": ("tabla", "guarda", "columnas")}
# File and table: English, Spanish. ``step`` is in every file.
PURPOSES: dict[tuple[str, str], tuple[str, str]] = {
    ("serverconf.sqlite", "client"): (
        "members and subsystems of this server",
        "miembros y subsistemas de este servidor",
    ),
    ("serverconf.sqlite", "client_certificate"): (
        "certificates that systems of a client show",
        "certificados que muestran los sistemas de un cliente",
    ),
    ("serverconf.sqlite", "client_group"): ("local groups of a client", "grupos locales de un cliente"),
    ("serverconf.sqlite", "client_group_member"): ("who is in a local group", "quién está en un grupo local"),
    ("serverconf.sqlite", "described_service"): (
        "services of a description, with address, timeout and TLS",
        "servicios de una descripción, con dirección, plazo y TLS",
    ),
    ("serverconf.sqlite", "description"): (
        "service descriptions: WSDL, OpenAPI, REST",
        "descripciones de servicios: WSDL, OpenAPI, REST",
    ),
    ("serverconf.sqlite", "endpoint"): ("methods and paths of a service", "métodos y rutas de un servicio"),
    ("serverconf.sqlite", "granted_right"): ("who may call which endpoint", "quién puede llamar qué punto"),
    ("serverconf.sqlite", "key_token"): (
        "tokens and how they are called",
        "dispositivos de llaves y cómo se llaman",
    ),
    ("serverconf.sqlite", "no_timestamping"): (
        "that the last timestamping authority was removed, and since when",
        "que se quitó la última autoridad de sellos, y desde cuándo",
    ),
    ("serverconf.sqlite", "own_certificate"): (
        "certificates of this server with their status",
        "certificados de este servidor con su estado",
    ),
    ("serverconf.sqlite", "access_request"): (
        "requests for access that clients sent, and how each was decided",
        "peticiones de acceso que enviaron los clientes y qué se decidió de cada una",
    ),
    ("serverconf.sqlite", "pending_request"): (
        "management requests whose end is awaited",
        "solicitudes de gestión cuyo fin se espera",
    ),
    ("serverconf.sqlite", "policy_authority"): (
        "authorities whose data policies are obeyed",
        "autoridades cuyas políticas de datos se obedecen",
    ),
    ("serverconf.sqlite", "policy_count"): ("quotas that were used, by period", "cuotas usadas, por periodo"),
    ("serverconf.sqlite", "policy_document"): (
        "signed policies as they came",
        "políticas firmadas como llegaron",
    ),
    ("serverconf.sqlite", "policy_precheck"): (
        "rules tried without refusing",
        "reglas probadas sin rechazar",
    ),
    ("serverconf.sqlite", "policy_refusal"): ("what policies refused", "lo que las políticas rechazaron"),
    ("serverconf.sqlite", "policy_rule"): (
        "rules of the policies in force",
        "reglas de las políticas vigentes",
    ),
    ("serverconf.sqlite", "sequence"): (
        "the generation of this configuration",
        "la generación de esta configuración",
    ),
    ("serverconf.sqlite", "server"): (
        "this server's identifier and anchor",
        "el identificador y el ancla de este servidor",
    ),
    ("serverconf.sqlite", "service_policy"): (
        "which policy binds a service",
        "qué política obliga a un servicio",
    ),
    ("serverconf.sqlite", "setting"): ("settings changed at run time", "ajustes cambiados en marcha"),
    ("serverconf.sqlite", "signing_request"): (
        "certificate signing requests that were made",
        "solicitudes de certificado hechas",
    ),
    ("serverconf.sqlite", "timestamping_service"): (
        "timestamping authorities in use",
        "autoridades de sellos en uso",
    ),
    ("serverconf.sqlite", "token_key"): ("keys on tokens", "llaves en los dispositivos"),
    ("log/messages.sqlite", "archive"): (
        "archives that were written, each with its digest and chain",
        "archivos escritos, cada uno con su resumen y cadena",
    ),
    ("log/messages.sqlite", "archived"): (
        "records that are in an archive",
        "registros que están en un archivo",
    ),
    ("log/messages.sqlite", "attachment"): (
        "bodies and attachments of a record, sealed",
        "cuerpos y anexos de un registro, sellados",
    ),
    ("log/messages.sqlite", "emptied"): (
        "records whose content is being erased",
        "registros cuyo contenido se está borrando",
    ),
    ("log/messages.sqlite", "erased"): (
        "records whose content was erased",
        "registros cuyo contenido se borró",
    ),
    ("log/messages.sqlite", "erasure"): ("orders of erasure", "órdenes de borrado"),
    ("log/messages.sqlite", "record"): (
        "a message each: who, what, when, its signature, its chain",
        "un mensaje cada uno: quién, qué, cuándo, su firma, su cadena",
    ),
    ("log/messages.sqlite", "removed"): (
        "the last record that left the log for the archives",
        "el último registro que pasó de la bitácora a los archivos",
    ),
    ("log/messages.sqlite", "sealed"): (
        "how far an older log is sealed",
        "hasta dónde está sellada una bitácora anterior",
    ),
    ("log/messages.sqlite", "settled"): (
        "how far timestamping, archiving and looking for left bodies have come",
        "hasta dónde llegan el sellado de tiempo, el archivado y la búsqueda de cuerpos sin registro",
    ),
    ("log/messages.sqlite", "stamp"): ("timestamps", "sellos de tiempo"),
    ("log/messages.sqlite", "stamped"): ("which records a timestamp covers", "qué registros cubre un sello"),
    ("log/opmonitoring.sqlite", "record"): (
        "operational records of exchanges",
        "registros operativos de los intercambios",
    ),
    ("log/opmonitoring.sqlite", "traffic"): (
        "exchanges counted by service, side and minute",
        "intercambios contados por servicio, lado y minuto",
    ),
    ("central.sqlite", "approved_ca"): (
        "approved certification authorities",
        "autoridades certificadoras aprobadas",
    ),
    ("central.sqlite", "audit"): ("the hash-chained audit log", "la bitácora de auditoría encadenada"),
    ("central.sqlite", "auth_certificate"): (
        "authentication certificates of servers",
        "certificados de autenticación de servidores",
    ),
    ("central.sqlite", "central_witness"): (
        "this server's nodes as witnesses: where they are asked, and their keys",
        "los nodos de este servidor como testigos: dónde se les pregunta, y sus llaves",
    ),
    ("central.sqlite", "client"): ("members and subsystems", "miembros y subsistemas"),
    ("central.sqlite", "contact"): ("whom to write to at a member", "a quién escribir en un miembro"),
    ("central.sqlite", "described_provider"): (
        "providers in the service catalogue",
        "proveedores en el catálogo de servicios",
    ),
    ("central.sqlite", "described_service"): ("services in the catalogue", "servicios en el catálogo"),
    ("central.sqlite", "global_group"): ("global groups", "grupos globales"),
    ("central.sqlite", "group_member"): ("who is in a global group", "quién está en un grupo global"),
    ("central.sqlite", "intermediate_ca"): (
        "intermediate authorities of an approved one",
        "autoridades intermedias de una aprobada",
    ),
    ("central.sqlite", "management_request"): (
        "management requests and what became of them",
        "solicitudes de gestión y qué fue de ellas",
    ),
    ("central.sqlite", "member_class"): ("classes of members", "clases de miembros"),
    ("central.sqlite", "node"): ("central servers on this database", "servidores centrales sobre esta base"),
    ("central.sqlite", "notice"): ("notices to operators", "avisos a operadores"),
    ("central.sqlite", "ocsp_responder"): (
        "OCSP responders of an authority",
        "respondedores OCSP de una autoridad",
    ),
    ("central.sqlite", "optional_part"): (
        "optional parts of the configuration",
        "partes opcionales de la configuración",
    ),
    ("central.sqlite", "parameter"): ("parameters of the instance", "parámetros de la instancia"),
    ("central.sqlite", "seen_message"): (
        "requests that were handled, so that none is handled twice",
        "solicitudes atendidas, para que ninguna se atienda dos veces",
    ),
    ("central.sqlite", "server"): ("security servers", "servidores de seguridad"),
    ("central.sqlite", "server_client"): (
        "which client is registered at which server",
        "qué cliente está registrado en qué servidor",
    ),
    ("central.sqlite", "service_version"): (
        "versions of a catalogued service",
        "versiones de un servicio del catálogo",
    ),
    ("central.sqlite", "signing_key"): (
        "keys that sign the configuration",
        "llaves que firman la configuración",
    ),
    ("central.sqlite", "source_anchor"): ("anchors that were handed out", "anclas entregadas"),
    ("central.sqlite", "tls_certificate"): (
        "certificates of this server's own TLS",
        "certificados del TLS propio de este servidor",
    ),
    ("central.sqlite", "trusted_anchor"): (
        "anchors of federated instances",
        "anclas de instancias federadas",
    ),
    ("central.sqlite", "transparency_keys"): (
        "keys of gateways' transparency logs and witnesses, as they announced them",
        "llaves de las bitácoras de transparencia y de los testigos, como las anunciaron las pasarelas",
    ),
    ("central.sqlite", "tsa"): ("approved timestamping authorities", "autoridades de sellos aprobadas"),
    ("admin.sqlite", "admin_user"): (
        "administrators, with a hash of the password",
        "administradores, con un resumen de la contraseña",
    ),
    ("admin.sqlite", "api_key"): (
        "API keys as hashes, with roles and end",
        "llaves de API como resúmenes, con roles y fin",
    ),
    ("admin.sqlite", "audit"): (
        "the hash-chained audit log of the gateway",
        "la bitácora de auditoría encadenada de la pasarela",
    ),
}


def render_data_model(language: str) -> str:
    """A table of every table of every file. Raises `LookupError` when one has no line in `PURPOSES` or a line has none."""
    rows, found = [], set()
    with tempfile.TemporaryDirectory() as folder:
        for name, steps in DATABASES:
            database = open_database(Path(folder) / name.replace("/", "-"), steps)
            for (table,) in database.query(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name <> 'step' ORDER BY name"
            ):
                found.add((name, table))
                columns = database.query(
                    "SELECT name, type, pk FROM pragma_table_info(?) ORDER BY cid", (table,)
                )
                listed = ", ".join(
                    f"{'**' if pk else ''}{column}{'**' if pk else ''} {kind}" for column, kind, pk in columns
                )
                purpose = PURPOSES.get((name, table), ("", ""))[language == "es"]
                rows.append(f"| `{name}` {table} | {purpose} | {listed} |\n")
            database.close()
    if missing := found ^ set(PURPOSES):
        raise LookupError(
            f"deploy/datamodel.py: tables without a line, or lines without a table: {sorted(missing)}"
        )
    head = HEADINGS[language]
    return f"| {' | '.join(head)} |\n|---|---|---|\n" + "".join(rows)
