"""The help of the commands whose texts stand in English in their docstrings, in Spanish: data, and where it is put.

A test says that no command's and no option's help is the same in both languages.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from serving.language import Language, language_of

if TYPE_CHECKING:
    from collections.abc import Iterator

HELP = {
    "A Sacbé gateway: an X-Road security server.": "Una pasarela Sacbé: un servidor de seguridad X-Road.",
    "A new key with a self-signed certificate; systems must be given the new certificate.": "Una llave nueva con certificado autofirmado; hay que dar el certificado nuevo a los sistemas.",
    "Add a description, from --url or --file; its services stay off until `enable`.": "Agrega una descripción, de --url o --file; sus servicios quedan apagados hasta `enable`.",
    "Add an endpoint to a REST service: METHOD or *, and a PATH pattern with * and **.": "Agrega una ruta a un servicio REST: METHOD o *, y un patrón PATH con * y **.",
    "Archives of the message log: verify them.": "Archivos de la bitácora de mensajes: comprobarlos.",
    "Ask a running gateway whether it can exchange messages; exit 1 when it cannot.": "Pregunta a una pasarela en marcha si puede intercambiar mensajes; termina con 1 si no puede.",
    "Certificates of this gateway's keys.": "Certificados de las llaves de esta pasarela.",
    "Change a service, named CODE or CODE.VERSION; what is left out stays.": "Cambia un servicio, CODE o CODE.VERSION; lo que no se diga se queda.",
    "Change the PIN of the software token. Keys stay as they are; a running gateway need not be restarted.": "Cambia el PIN del dispositivo de software. Las llaves siguen igual; no hay que reiniciar la pasarela.",
    "Data policies: authorities, signed documents, services under them.": "Políticas de datos: autoridades, documentos firmados, servicios bajo ellas.",
    "Delete description NUMBER with its services, endpoints and rights.": "Borra la descripción NUMBER con sus servicios, rutas y derechos.",
    "Every certificate: hash, usage, status, whether active, end of validity, subject.": "Cada certificado: resumen, uso, estado, si está activo, fin de vigencia, sujeto.",
    "Every client with its connection type and the certificates its systems may show.": "Cada cliente con su tipo de conexión y los certificados que sus sistemas pueden mostrar.",
    "Every description with its services, endpoints and rights.": "Cada descripción con sus servicios, rutas y derechos.",
    "Every key: id, kind, usage, label.": "Cada llave: identificador, clase, uso, etiqueta.",
    "Every token: id, type, PIN status, whether it is logged in (in this command, not in a running gateway), name.": "Cada dispositivo: identificador, tipo, estado del PIN, llaves, nombre.",
    "Forget a certificate, by its hash.": "Olvida un certificado, por su resumen.",
    "How the information systems of a client connect.": "Clientes, y cómo se conectan sus sistemas.",
    "Keys.": "Llaves.",
    "Let CLIENT_ID's systems connect by HTTP, HTTPS_NO_AUTH or HTTPS (with a certificate).": "Deja que los sistemas de CLIENT_ID se conecten por HTTP, HTTPS_NO_AUTH o HTTPS (con certificado).",
    "Let CLIENT_ID's systems show the certificate in FILE, as consumers and as providers.": "Deja que los sistemas de CLIENT_ID muestren el certificado de FILE, como consumidores y proveedores.",
    "Let SUBJECT call a service: a client, group:instance/code or local:code; whole, or one endpoint of it.": "Deja que SUBJECT llame a un servicio: un cliente, group:instancia/código o local:código; entero o una ruta.",
    "Let a certificate be used no more, by its hash.": "Deja de usar un certificado, por su resumen.",
    "Let a certificate be used, by its hash.": "Usa un certificado, por su resumen.",
    "Hold this gateway's own clients' requests against a policy before they leave, to fail early.": "Compara las peticiones de los clientes de esta pasarela con una política antes de que salgan, para fallar pronto.",
    "Test this machine for what a gateway needs; exit 1 when a target is not met.": "Prueba si esta máquina da lo que una pasarela necesita; termina con 1 si falta a una meta. Procesador, memoria, disco, reloj, puertos, nombres, certificados, autoridades de sellado y OCSP, y un respaldo que se hace y se restaura. Con --out el informe va firmado con la llave de firma del dueño.",
    "Make a key; prints its id.": "Hace una llave; escribe su identificador.",
    "Put services under a policy.": "Pone servicios bajo una política.",
    "Read description NUMBER again, from where it came or from --file; what would change is shown first.": "Vuelve a leer la descripción NUMBER, de donde vino o de --file; antes muestra qué cambiaría.",
    "Run the gateway until it is told to stop. Settings are read from DATA/settings.toml unless others are named.": "Corre la pasarela hasta que se le diga parar. Los ajustes se leen de DATA/settings.toml si no se nombran otros.",
    "Say what is wrong with keys, certificates, OCSP, timestamps and clocks.": "Dice qué está mal con llaves, certificados, OCSP, sellos de tiempo y relojes. Pregunta a la pasarela en marcha; si ninguna responde, lee su carpeta. Termina con 0 si nada está mal, 1 si el tráfico se detuvo o se detendrá, 3 si sólo hay avisos.",
    "Service descriptions, services and access rights of this gateway's clients.": "Descripciones, servicios y derechos de los clientes de esta pasarela.",
    "Show the certificate in FILE from now on.": "Muestra el certificado de FILE desde ahora.",
    "Signed containers: verify them.": "Contenedores firmados: comprobarlos.",
    "Switch the services of description NUMBER off, with a notice for callers.": "Apaga los servicios de la descripción NUMBER, con un aviso para quien llame.",
    "Switch the services of description NUMBER on.": "Enciende los servicios de la descripción NUMBER.",
    "Take back what `allow` granted.": "Quita lo que dio `allow`.",
    "Take certificates for the token's keys into use.": "Importa y usa certificados de las llaves.",
    "Take signed documents; what is not signed by enough authorities is refused.": "Toma documentos firmados; lo que no firmaron bastantes autoridades se niega.",
    "Take the certificate in FILE back.": "Quita el certificado de FILE.",
    "The certificate in use.": "El certificado en uso.",
    "The documents and bindings, each document with what is wrong with it.": "Los documentos y a qué se aplican, cada uno con lo que tenga mal.",
    "The internal TLS certificate, which this gateway shows to information systems.": "El certificado TLS interno, que esta pasarela muestra a los sistemas.",
    "Tokens, which hold keys.": "Dispositivos, que guardan llaves.",
    "Trust these certificates, and no others, to sign policies.": "Confía en estos certificados, y en ningún otro, para firmar políticas.",
    "Verify archives of one group, oldest first: each must follow the one before it.": "Comprueba archivos de un grupo, del más antiguo al más nuevo: cada uno debe seguir al anterior.",
    "Verify containers, each in numbered steps.": "Comprueba contenedores, cada uno en pasos numerados.",
    "Write a signing request (DER) for the internal TLS key.": "Escribe una solicitud (DER) para la llave TLS interna.",
    'Write a signing request for a key, its subject as the CA\'s profile wants it; DER when OUT ends in ".der", else PEM.': 'Escribe una solicitud para una llave, con el sujeto que pide el perfil; DER si OUT termina en ".der", si no PEM.',
    "Write the certificate for the systems' trust stores: OUT ending in .pem alone, else as .tar.gz of PEM and DER.": "Escribe el certificado para los almacenes de los sistemas: solo si OUT termina en .pem; si no, un .tar.gz de PEM y DER.",
}  # fmt: skip
OPTIONS = {
    "Show the version and exit.": "Muestra la versión y termina.",
    "address of this server": "dirección de este servidor",
    "a running gateway's health address; left out: found from --data": "dirección de salud de una pasarela en marcha; sin ella se halla por --data",
    "the gateway's health address; left out: found from --data": "dirección de salud de la pasarela; sin ella se halla por --data",
    "the health address; left out: found from --data": "la dirección de salud; sin ella se halla por --data",
    "also for a subject that nobody knows here (yet)": "también para un sujeto que aquí nadie conoce (todavía)",
    "only try settings, addresses and databases; start nothing": "sólo prueba ajustes, direcciones y bases; no arranca nada",
    "as MX/GOB/15-ISSEMYM/HIST/oss-v1": "como MX/GOB/15-ISSEMYM/HIST/oss-v1",
    "change although there are warnings": "cambia aunque haya advertencias",
    "check messages": "comprobar los mensajes",
    "compare the service's TLS certificate": "comparar el certificado TLS del servicio",
    "distinguished name, such as CN=gw.institute.mx,O=Institute": "nombre distinguido, como CN=gw.instituto.mx,O=Instituto",
    "download the configuration this anchor leads to": "descarga la configuración a la que lleva esta ancla",
    "file with the new PIN": "archivo con el PIN nuevo",
    "file with the token's PIN": "archivo con el PIN del dispositivo",
    "folder with the verification configuration": "carpeta con la configuración de comprobación",
    "for programs, with the texts in both languages": "para programas, con los textos en ambas lenguas",
    "how many authorities must have signed a document": "cuántas autoridades deben haber firmado un documento",
    "instance/class/code of the member": "instancia/clase/código del miembro",
    "instance/class/code[/subsystem] of the provider": "instancia/clase/código[/subsistema] del proveedor",
    "judge at this time (ISO 8601) instead of the timestamp's": "juzga en este momento (ISO 8601) en vez del sello de tiempo",
    "last digest of the archive before the first file": "último resumen del archivo anterior al primero",
    "name of the member": "nombre del miembro",
    "names and IPs systems connect to, comma-separated; else those of the settings": "nombres e IP a los que se conectan los sistemas, separados por comas; si no, los de los ajustes",
    "one JSON object a file": "un objeto JSON por archivo",
    "only this provider's": "sólo las de este proveedor",
    "open sealed containers with this gateway's keys too": "abre también los sellados, con las llaves de esta pasarela",
    "seconds one call may take, 0 to 1000": "segundos que puede tardar una llamada, 0 a 1000",
    "service code of a REST or OPENAPI3 service; a WSDL names its own": "código de un servicio REST u OPENAPI3; un WSDL trae los suyos",
    "the document itself": "el documento mismo",
    "the first file is the first archive of its group": "el primer archivo es el primero de su grupo",
    "the policy's id": "identificador de la política",
    "no longer": "ya no",
    "other targets, as TOML": "otras metas, en TOML",
    "where the signed report goes; left out: not signed": "a dónde va el informe firmado; si no se dice, no se firma",
    "the policy's id; left out: no policy": "identificador de la política; sin él, ninguna",
    "verify every container inside too, with the configuration in this folder": "comprueba también cada contenedor, con la configuración de esta carpeta",
    "what callers are told": "lo que se dice a quien llame",
    "what happens to answers with fields that are not granted": "qué pasa con respuestas que traen campos no concedidos",
    "where the WSDL or OpenAPI document is, or a REST service itself": "dónde está el WSDL u OpenAPI, o el servicio REST mismo",
    "where the service is": "dónde está el servicio",
}  # fmt: skip


def in_spanish(main: click.Group) -> None:
    """Put Spanish help into a command line, where the person reads Spanish."""
    if language_of(os.environ) is not Language.SPANISH:
        return
    for command in _commands(main):
        if command.help is not None:
            first = command.help.partition("\n\n")[0]
            command.help = HELP.get(" ".join(first.split()), command.help)
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.help is not None:
                parameter.help = OPTIONS.get(parameter.help, parameter.help)


def _commands(group: click.Group) -> Iterator[click.Command]:
    yield group
    for command in group.commands.values():
        if isinstance(command, click.Group):
            yield from _commands(command)
        else:
            yield command
