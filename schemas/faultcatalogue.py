"""What every fault code means, on whose side it is mended, and how: in English and Spanish.

One row a `Kind`. The documentation's pages (errors.md, errores.md) and ``gateway explain CODE`` are made of it.
"""

from __future__ import annotations

import enum

import msgspec

from schemas.faults import Kind, snake_code


class FaultSide(enum.StrEnum):
    """The party that can mend a fault."""

    CONSUMER = "consumer"
    PROVIDER = "provider"
    OWN = "this server"
    PEER = "other server"
    CENTRAL = "central server"
    AUTHORITY = "authority"


SIDES = {
    "es": {
        FaultSide.CONSUMER: "consumidor",
        FaultSide.PROVIDER: "proveedor",
        FaultSide.OWN: "este servidor",
        FaultSide.PEER: "el otro servidor",
        FaultSide.CENTRAL: "servidor central",
        FaultSide.AUTHORITY: "autoridad",
    },
    "en": {side: side.value for side in FaultSide},
}


class Explanation(msgspec.Struct, frozen=True):
    """A code's row: who mends it, and in each language what it means and what to do."""

    kind: Kind
    side: FaultSide
    en: tuple[str, str]
    es: tuple[str, str]


def _row(kind: Kind, side: FaultSide, en: tuple[str, str], es: tuple[str, str]) -> tuple[Kind, Explanation]:
    return kind, Explanation(kind, side, en, es)


_READ_MESSAGE = ("correct the message; its text says where", "corrija el mensaje; el texto dice dónde")
_LOOK_AT_LOG = ("read the server's log of that moment", "lea el registro del servidor en ese momento")
_CONFIGURATION = (
    "ask the central operator; the configuration before stays in force until it expires",
    "pregunte al operador central; la configuración anterior vale hasta que expire",
)
_CONTAINER = (
    "the file is not what a security server made; ask for it again",
    "el archivo no es el que hizo un servidor; pídalo otra vez",
)
_EVIDENCE = (
    "do not rely on it; compare with the other side's record",
    "no se apoye en él; compare con el registro de la otra parte",
)

CATALOGUE: dict[Kind, Explanation] = dict(
    (
        # generic
        _row(Kind.IO_ERROR, FaultSide.OWN, ("Reading or writing failed", "look at disk and network; try again"), ("Falló leer o escribir", "revise disco y red; reintente")),
        _row(Kind.NETWORK_ERROR, FaultSide.PROVIDER, ("No connection to the other server or to the service", "see that it runs and that the firewall lets the port through"), ("No hay conexión con el otro servidor o con el servicio", "vea que corra y que el cortafuegos deje pasar el puerto")),
        _row(Kind.UNKNOWN_HOST, FaultSide.OWN, ("A name is in no name service", "correct the address, or the name service of this machine"), ("Un nombre no está en ningún DNS", "corrija la dirección, o el DNS de esta máquina")),
        _row(Kind.INTERNAL_ERROR, FaultSide.OWN, ("The server failed in a way nobody foresaw", f"{_LOOK_AT_LOG[0]}, and report it with the fault's id"), ("El servidor falló de un modo que nadie previó", f"{_LOOK_AT_LOG[1]}, y repórtelo con el id del fallo")),
        _row(Kind.BAD_REQUEST, FaultSide.CONSUMER, ("The HTTP request is not one of the protocol", _READ_MESSAGE[0]), ("La petición HTTP no es del protocolo", _READ_MESSAGE[1])),
        _row(Kind.NOT_FOUND, FaultSide.CONSUMER, ("There is nothing at this address", "correct the path"), ("No hay nada en esa dirección", "corrija la ruta")),
        _row(Kind.HTTP_ERROR, FaultSide.PROVIDER, ("The service answered with an HTTP error where none can be passed on", "look at the service's own log"), ("El servicio respondió con un error HTTP que no se puede pasar", "mire el registro del servicio")),
        _row(Kind.DATABASE_ERROR, FaultSide.OWN, ("The database cannot be read or written", "look at room on the disk and at the folder's owner"), ("La base no se puede leer o escribir", "revise espacio en disco y dueño de la carpeta")),
        _row(Kind.INVALID_REQUEST, FaultSide.CONSUMER, ("The request asks for what cannot be", _READ_MESSAGE[0]), ("La petición pide algo que no puede ser", _READ_MESSAGE[1])),
        # message
        _row(Kind.INVALID_CONTENT_TYPE, FaultSide.CONSUMER, ("Content-Type is missing or wrong", "send text/xml or multipart/related for SOAP"), ("Content-Type falta o es otro", "envíe text/xml o multipart/related en SOAP")),
        _row(Kind.INVALID_SOAP_ACTION, FaultSide.CONSUMER, ("The SOAPAction header cannot be read", "send it empty or in quotes"), ("El encabezado SOAPAction no se puede leer", "envíelo vacío o entre comillas")),
        _row(Kind.INVALID_HTTP_METHOD, FaultSide.CONSUMER, ("SOAP messages come by POST", "use POST"), ("Los mensajes SOAP van por POST", "use POST")),
        _row(Kind.INVALID_MESSAGE, FaultSide.CONSUMER, ("The message is not one of the protocol", _READ_MESSAGE[0]), ("El mensaje no es del protocolo", _READ_MESSAGE[1])),
        _row(Kind.MIME_PARSING_FAILED, FaultSide.CONSUMER, ("The multipart body cannot be taken apart", "see boundaries and line ends"), ("El cuerpo multipart no se puede separar", "revise fronteras y fines de línea")),
        _row(Kind.MISSING_HEADER, FaultSide.CONSUMER, ("The envelope has no header", "add X-Road's header elements"), ("El sobre no tiene encabezado", "agregue los elementos de X-Road")),
        _row(Kind.MISSING_HEADER_FIELD, FaultSide.CONSUMER, ("A header field that must be there is not", "add it; the text names it"), ("Falta un campo obligatorio del encabezado", "agréguelo; el texto lo nombra")),
        _row(Kind.DUPLICATE_HEADER_FIELD, FaultSide.CONSUMER, ("A header field is there twice", "send it once"), ("Un campo del encabezado está dos veces", "envíelo una vez")),
        _row(Kind.MISSING_BODY, FaultSide.CONSUMER, ("The envelope has no body", "add it"), ("El sobre no tiene cuerpo", "agréguelo")),
        _row(Kind.INVALID_BODY, FaultSide.CONSUMER, ("The body is not what the service's description says, or does not name the service of the header", _READ_MESSAGE[0]), ("El cuerpo no es lo que dice la descripción, o no nombra el servicio del encabezado", _READ_MESSAGE[1])),
        _row(Kind.INCONSISTENT_HEADERS, FaultSide.CONSUMER, ("Two headers contradict each other", _READ_MESSAGE[0]), ("Dos encabezados se contradicen", _READ_MESSAGE[1])),
        _row(Kind.INCONSISTENT_RESPONSE, FaultSide.PROVIDER, ("The answer is not one to this request", "the service must copy the request's header into its answer"), ("La respuesta no es a esta petición", "el servicio debe copiar el encabezado de la petición")),
        _row(Kind.MISSING_SOAP, FaultSide.CONSUMER, ("There is no SOAP part", "put the envelope first"), ("No hay parte SOAP", "ponga el sobre primero")),
        _row(Kind.INVALID_SOAP, FaultSide.CONSUMER, ("The envelope is not SOAP 1.1", _READ_MESSAGE[0]), ("El sobre no es SOAP 1.1", _READ_MESSAGE[1])),
        _row(Kind.INVALID_XML, FaultSide.CONSUMER, ("The XML is not well formed, or has what is refused (a DTD)", _READ_MESSAGE[0]), ("El XML está mal formado, o trae lo que se rechaza (un DTD)", _READ_MESSAGE[1])),
        _row(Kind.MISSING_REST, FaultSide.PEER, ("Between servers: the REST part is missing", "both servers' versions; report it"), ("Entre servidores: falta la parte REST", "versiones de ambos; repórtelo")),
        _row(Kind.MISSING_SIGNATURE, FaultSide.PEER, ("Between servers: the signature is missing", "both servers' versions; report it"), ("Entre servidores: falta la firma", "versiones de ambos; repórtelo")),
        _row(Kind.INVALID_PROTOCOL_VERSION, FaultSide.CONSUMER, ("The protocol version is not one that is spoken here", "4.0 for SOAP, r1 for REST"), ("La versión del protocolo no se habla aquí", "4.0 en SOAP, r1 en REST")),
        _row(Kind.INVALID_CLIENT_IDENTIFIER, FaultSide.CONSUMER, ("The client is none of this server", "correct X-Road-Client, or add the client here"), ("El cliente no es de este servidor", "corrija X-Road-Client, o agregue el cliente")),
        # service
        _row(Kind.ACCESS_DENIED, FaultSide.PROVIDER, ("The provider has given this client no right, or a data policy does not let the request through", "ask the provider (service allow)"), ("El proveedor no dio derecho a este cliente, o una política de datos no deja pasar la petición", "pídalo al proveedor (service allow)")),
        _row(Kind.SERVICE_DISABLED, FaultSide.PROVIDER, ("The service is switched off; the text is its notice", "wait, or ask the provider"), ("El servicio está apagado; el texto es su aviso", "espere, o pregunte al proveedor")),
        _row(Kind.SERVICE_TYPE, FaultSide.CONSUMER, ("A REST service was called by SOAP, or the other way round", "use the other protocol; listMethods and getOpenAPI are REST"), ("Se llamó por SOAP a un servicio REST, o al revés", "use el otro protocolo")),
        _row(Kind.UNKNOWN_SERVICE, FaultSide.CONSUMER, ("The provider has no such service", "ask listMethods for its codes"), ("El proveedor no tiene ese servicio", "pregunte sus códigos con listMethods")),
        _row(Kind.SERVICE_MISSING_URL, FaultSide.PROVIDER, ("The service has no address", "service set --url"), ("El servicio no tiene dirección", "service set --url")),
        _row(Kind.SERVICE_MALFORMED_URL, FaultSide.PROVIDER, ("The service's address cannot be read", "service set --url"), ("La dirección del servicio no se puede leer", "service set --url")),
        # routing
        _row(Kind.UNKNOWN_MEMBER, FaultSide.CONSUMER, ("No registered server offers this member's service", "correct the identifier; see that the provider is registered"), ("Ningún servidor registrado ofrece ese miembro", "corrija el identificador; vea que el proveedor esté registrado")),
        _row(Kind.INVALID_SECURITY_SERVER, FaultSide.CONSUMER, ("The named server does not offer the service", "leave X-Road-Security-Server out, or correct it"), ("El servidor nombrado no ofrece el servicio", "quite X-Road-Security-Server, o corríjalo")),
        _row(Kind.MAINTENANCE_MODE, FaultSide.PROVIDER, ("Every server of the provider is in maintenance", "wait; the text is its notice"), ("Todo servidor del proveedor está en mantenimiento", "espere; el texto es su aviso")),
        _row(Kind.CLIENT_PROXY_VERSION_NOT_SUPPORTED, FaultSide.OWN, ("The provider takes no server as old as this one", "install a newer version"), ("El proveedor no acepta una versión tan vieja", "instale una más nueva")),
        _row(Kind.GLOBAL_CONF_OUTDATED, FaultSide.OWN, ("The global configuration has expired", "see that this server reaches the central server, and its clock"), ("La configuración global expiró", "vea que este servidor alcance al central, y su reloj")),
        _row(Kind.MALFORMED_GLOBAL_CONF, FaultSide.CENTRAL, ("The global configuration cannot be read", _CONFIGURATION[0]), ("La configuración global no se puede leer", _CONFIGURATION[1])),
        _row(Kind.GLOBAL_CONF_MISSING_VERIFICATION_CERT, FaultSide.CENTRAL, ("The configuration is signed by a key that the anchor does not name", "get the new anchor from the central operator"), ("La configuración la firmó una llave que el ancla no nombra", "pida el ancla nueva al operador central")),
        _row(Kind.GLOBAL_CONF_MISSING_EXPIRATION_DATE, FaultSide.CENTRAL, ("The configuration does not say until when it is good", _CONFIGURATION[0]), ("La configuración no dice hasta cuándo vale", _CONFIGURATION[1])),
        _row(Kind.GLOBAL_CONF_HEADER_FIELD_MISSING, FaultSide.CENTRAL, ("A header of the configuration is missing", _CONFIGURATION[0]), ("Falta un encabezado de la configuración", _CONFIGURATION[1])),
        _row(Kind.GLOBAL_CONF_SIGNATURE_FAILURE, FaultSide.CENTRAL, ("The configuration's signature is wrong", f"somebody may have changed it on the way; {_CONFIGURATION[0]}"), ("La firma de la configuración es falsa", f"alguien pudo cambiarla en camino; {_CONFIGURATION[1]}")),
        _row(Kind.GLOBAL_CONF_DOWNLOAD_FAILED, FaultSide.OWN, ("The configuration cannot be fetched", "see name service, firewall (80, 443) and the central server"), ("La configuración no se puede bajar", "revise DNS, cortafuegos (80, 443) y servidor central")),
        # proof
        _row(Kind.SSL_AUTHENTICATION_FAILED, FaultSide.PEER, ("TLS with the other side failed: its certificate is not one registered for it, or not good by OCSP; for systems, the certificate is not registered for the client", "the text says which; register or renew the certificate"), ("Falló TLS con la otra parte: su certificado no está registrado, o no es bueno por OCSP; en sistemas, no es de los registrados para el cliente", "el texto dice cuál; registre o renueve el certificado")),
        _row(Kind.CANNOT_CREATE_SIGNATURE, FaultSide.OWN, ("This server cannot sign", "log in to the token; see gateway diagnose"), ("Este servidor no puede firmar", "abra el dispositivo; vea gateway diagnose")),
        _row(Kind.CANNOT_CREATE_CERT_PATH, FaultSide.AUTHORITY, ("A certificate leads to no approved authority", "have it issued by an approved one"), ("Un certificado no lleva a una autoridad aprobada", "pídalo a una aprobada")),
        _row(Kind.INVALID_CERT_PATH, FaultSide.AUTHORITY, ("A path of certificates is not good: expired, revoked, or broken", "renew the certificate; ask the authority"), ("Una cadena de certificados no es buena: vencida, revocada o rota", "renueve el certificado; pregunte a la autoridad")),
        _row(Kind.CERT_VALIDATION, FaultSide.AUTHORITY, ("A certificate is not good by OCSP", "gateway diagnose; ask the authority"), ("Un certificado no es bueno por OCSP", "gateway diagnose; pregunte a la autoridad")),
        _row(Kind.INCORRECT_VALIDATION_INFO, FaultSide.AUTHORITY, ("An OCSP response is stale, or not about this certificate, or not by who may", "see both clocks; ask the authority"), ("Una respuesta OCSP es vieja, de otro certificado o de quien no debe", "revise ambos relojes; pregunte a la autoridad")),
        _row(Kind.INCORRECT_CERTIFICATE, FaultSide.AUTHORITY, ("A certificate's subject does not name a member as the authority's profile says", "have it issued again with the right fields"), ("El sujeto de un certificado no nombra un miembro como dice el perfil", "pídalo otra vez con los campos correctos")),
        _row(Kind.WRONG_CERT_USAGE, FaultSide.AUTHORITY, ("A signing certificate stands where one for TLS should, or the other way round", "have it issued for the right use"), ("Un certificado de firma está donde va uno de TLS, o al revés", "pídalo para el uso correcto")),
        _row(Kind.INVALID_SIGNATURE_VALUE, FaultSide.PEER, ("A message's signature is not over this message", _EVIDENCE[0]), ("La firma no es de este mensaje", _EVIDENCE[1])),
        _row(Kind.MALFORMED_SIGNATURE, FaultSide.PEER, ("A signature document cannot be read", _EVIDENCE[0]), ("Un documento de firma no se puede leer", _EVIDENCE[1])),
        _row(Kind.INVALID_REFERENCE, FaultSide.PEER, ("A signature refers to what is not there", _EVIDENCE[0]), ("Una firma apunta a algo que no está", _EVIDENCE[1])),
        _row(Kind.INVALID_HASH_CHAIN, FaultSide.PEER, ("A hash chain does not lead to its result", _EVIDENCE[0]), ("Una cadena de resúmenes no lleva a su resultado", _EVIDENCE[1])),
        _row(Kind.MALFORMED_HASH_CHAIN, FaultSide.PEER, ("A hash chain cannot be read", _EVIDENCE[0]), ("Una cadena de resúmenes no se puede leer", _EVIDENCE[1])),
        _row(Kind.HASHCHAIN_UNUSED_INPUTS, FaultSide.PEER, ("A part of the message is in no hash chain", _EVIDENCE[0]), ("Una parte del mensaje no está en la cadena", _EVIDENCE[1])),
        _row(Kind.INVALID_HASH_CHAIN_REF, FaultSide.PEER, ("A hash chain refers to a step that is not there", _EVIDENCE[0]), ("Una cadena apunta a un paso que no está", _EVIDENCE[1])),
        # tokens and keys
        _row(Kind.KEY_NOT_FOUND, FaultSide.OWN, ("A key is not on its token", "restore a backup, or make new keys and certificates"), ("Una llave no está en su dispositivo", "restaure un respaldo, o haga llaves y certificados nuevos")),
        _row(Kind.CERT_NOT_FOUND, FaultSide.OWN, ("There is no such certificate", "import it"), ("No hay tal certificado", "impórtelo")),
        _row(Kind.UNKNOWN_CERT, FaultSide.PEER, ("A certificate is not in the configuration", "wait for the next configuration, or register it"), ("Un certificado no está en la configuración", "espere la siguiente, o regístrelo")),
        _row(Kind.TOKEN_NOT_FOUND, FaultSide.OWN, ("There is no such token", "see [[keys.tokens]] of the settings"), ("No hay tal dispositivo", "vea [[keys.tokens]] en los ajustes")),
        _row(Kind.TOKEN_NOT_ACTIVE, FaultSide.OWN, ("The token is locked", "gateway token login, or --pin-file at the start"), ("El dispositivo está cerrado", "gateway token login, o --pin-file al arrancar")),
        _row(Kind.PIN_INCORRECT, FaultSide.OWN, ("The PIN is wrong", "give the right one; a device locks after a few"), ("El PIN es otro", "dé el correcto; un dispositivo se bloquea tras algunos")),
        _row(Kind.CANNOT_SIGN, FaultSide.OWN, ("The token refused to sign", "see the device and its process; gateway diagnose"), ("El dispositivo no quiso firmar", "vea el dispositivo y su proceso; gateway diagnose")),
        # message log
        _row(Kind.LOGGING_FAILED, FaultSide.OWN, ("The message cannot be logged, so it was not exchanged", "room on the disk; the log's keys (gateway status)"), ("El mensaje no se pudo registrar, y no se intercambió", "espacio en disco; llaves de la bitácora (gateway status)")),
        _row(Kind.TIMESTAMPING_FAILED, FaultSide.AUTHORITY, ("Records get no timestamp; after log.acceptable_timestamp_failure_s nothing is exchanged", "see that the authority is reached; add a second one"), ("Los registros no reciben sello; tras log.acceptable_timestamp_failure_s se detiene el intercambio", "vea que se alcance a la autoridad; agregue otra")),
        _row(Kind.NO_TIMESTAMPING_PROVIDER, FaultSide.OWN, ("No timestamping authority is chosen", "choose one of the approved ones"), ("No hay autoridad de sellado elegida", "elija una de las aprobadas")),
        _row(Kind.TSP_CERTIFICATE_NOT_FOUND, FaultSide.CENTRAL, ("The timestamp is signed by a certificate that is not approved", "ask the central operator"), ("El sello lo firmó un certificado no aprobado", "pregunte al operador central")),
        _row(Kind.TIMESTAMP_SIGNER_VERIFICATION_FAILED, FaultSide.AUTHORITY, ("The timestamp's signature is wrong", "ask the authority"), ("La firma del sello es falsa", "pregunte a la autoridad")),
        _row(Kind.TIMESTAMP_TOKEN_SIGNER_INFO_NOT_FOUND, FaultSide.AUTHORITY, ("The timestamp does not say who signed it", "ask the authority"), ("El sello no dice quién lo firmó", "pregunte a la autoridad")),
        # signed containers
        _row(Kind.ASIC_MIME_TYPE_NOT_FOUND, FaultSide.PEER, ("The container has no mimetype", _CONTAINER[0]), ("El contenedor no tiene mimetype", _CONTAINER[1])),
        _row(Kind.ASIC_SIGNATURE_NOT_FOUND, FaultSide.PEER, ("The container has no signature", _CONTAINER[0]), ("El contenedor no tiene firma", _CONTAINER[1])),
        _row(Kind.ASIC_MESSAGE_NOT_FOUND, FaultSide.PEER, ("The container has no message", _CONTAINER[0]), ("El contenedor no tiene mensaje", _CONTAINER[1])),
        _row(Kind.ASIC_HASH_CHAIN_RESULT_NOT_FOUND, FaultSide.PEER, ("The container has no hash chain result", _CONTAINER[0]), ("El contenedor no tiene resultado de la cadena", _CONTAINER[1])),
        _row(Kind.ASIC_HASH_CHAIN_NOT_FOUND, FaultSide.PEER, ("The container has no hash chain", _CONTAINER[0]), ("El contenedor no tiene cadena de resúmenes", _CONTAINER[1])),
        _row(Kind.ASIC_TIMESTAMP_NOT_FOUND, FaultSide.PEER, ("The container has no timestamp yet", "ask again when the record has one, or with force"), ("El contenedor no tiene sello todavía", "pídalo cuando el registro lo tenga, o con force")),
        _row(Kind.ASIC_MANIFEST_NOT_FOUND, FaultSide.PEER, ("The container has no manifest", _CONTAINER[0]), ("El contenedor no tiene manifiesto", _CONTAINER[1])),
        _row(Kind.ASIC_INVALID_MIME_TYPE, FaultSide.PEER, ("The container's mimetype is another", _CONTAINER[0]), ("El mimetype del contenedor es otro", _CONTAINER[1])),
    )
)  # fmt: skip


def explain(code: str) -> Explanation | None:
    """The row of a dotted code in either spelling; None when it is no code of ours."""
    text = snake_code(code.strip())
    found = [k for k in CATALOGUE if text == k.value or text.endswith(f".{k.value}")]
    return CATALOGUE[max(found, key=lambda k: len(k.value))] if found else None


def render_catalogue(language: str) -> str:
    """The documentation's table in ``es`` or ``en`` (Markdown)."""
    head = {
        "en": ("code", "means", "mended by", "what to do"),
        "es": ("código", "significa", "lo arregla", "qué hacer"),
    }[language]
    lines = [f"| {' | '.join(head)} |", "|---|---|---|---|"]
    for row in CATALOGUE.values():
        meaning, remedy = row.es if language == "es" else row.en
        lines.append(f"| `{row.kind.value}` | {meaning} | {SIDES[language][row.side]} | {remedy} |")
    return "\n".join(lines) + "\n"
