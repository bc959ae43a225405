"""The words of a report for a court, in English and Spanish, and the standards that its steps go by."""

from __future__ import annotations

import re
from typing import Any

STANDARDS = {
    1: "ETSI TS 102 918 (ASiC-E), ISO/IEC 21320-1 (zip)",
    2: "X-Road PR-REST, PR-MESS",
    3: "W3C XML-DSig, X-Road PR-SIGDOC",
    4: "RFC 3161, RFC 5652",
    5: "ETSI EN 319 132-1 (XAdES), W3C XML-DSig",
    6: "RFC 5280, RFC 6960",
    7: "X-Road PR-SIGDOC (hash chains), FIPS 180-4",
}
TEXTS: dict[str, dict[str, Any]] = {
    "en": {
        "title": "Report on signed messages",
        "made": "Made",
        "tool": "Tool",
        "configuration": "Trusted configuration",
        "judged": "Containers",
        "valid_count": "valid",
        "preface": "Each message below was taken from a signed container. “Valid” says that the member named as signer signed exactly "
        "this message, no later than the time of the timestamp, with a certificate that was good then.",
        "message": "Message",
        "request": "Request",
        "response": "Answer",
        "container": "Container",
        "verdict": "Verdict",
        "is_valid": "VALID",
        "is_proved": "PROVED BY DIGESTS, CONTENT WITHHELD",
        "is_invalid": "INVALID",
        "is_unchecked": "COULD NOT BE CHECKED",
        "client": "Client",
        "service": "Provider and service",
        "method": "Protocol and method",
        "status": "Status of the answer",
        "signer": "Signed by",
        "timestamp": "Timestamp",
        "record": "Record number",
        "file": "File",
        "step": "Step",
        "outcome": "Outcome",
        "found": "What was found",
        "standard": "By",
        "outcomes": {"valid": "holds", "invalid": "does not hold", "warning": "holds, with a remark"},
        "steps": {
            1: "container complete",
            2: "who must have signed",
            3: "what the signature is over",
            4: "timestamp",
            5: "signature and signer",
            6: "certificate path and revocation",
            7: "bodies",
        },
        "repeat": "To repeat it with other tools",
        "repeat_text": "Every step can be repeated without this software, with openssl, xmlsec1, coreutils and unzip. Run the commands "
        "below first, in an empty folder, then those of each container, in the same folder: each ends without an error. "
        "docs/evidence.md says what they leave out.",
        "commands": "Commands",
        "signed_at": "Signed at, says its signer",
        "no_fault": "SOAP, no fault",
        "as_said": "{0}",
        "pair": "request and answer are both here",
        "request_only": "the answer is not among these containers",
        "response_only": "the request is not among these containers",
        "other": "what the container says of its message could not be read",
    },
    "es": {
        "title": "Informe sobre mensajes firmados",
        "made": "Hecho",
        "tool": "Herramienta",
        "configuration": "Configuración de confianza",
        "judged": "Contenedores",
        "valid_count": "válidos",
        "preface": "Cada mensaje se tomó de un contenedor firmado. «Válido» dice que el miembro nombrado como firmante firmó exactamente "
        "este mensaje, a más tardar en la hora del sello de tiempo, con un certificado que entonces era bueno.",
        "message": "Mensaje",
        "request": "Solicitud",
        "response": "Respuesta",
        "container": "Contenedor",
        "verdict": "Dictamen",
        "is_valid": "VÁLIDO",
        "is_proved": "PROBADO POR RESÚMENES, CONTENIDO OMITIDO",
        "is_invalid": "NO VÁLIDO",
        "is_unchecked": "NO SE PUDO COMPROBAR",
        "client": "Cliente",
        "service": "Proveedor y servicio",
        "method": "Protocolo y método",
        "status": "Estado de la respuesta",
        "signer": "Firmado por",
        "timestamp": "Sello de tiempo",
        "record": "Número de registro",
        "file": "Archivo",
        "step": "Paso",
        "outcome": "Resultado",
        "found": "Lo que se encontró",
        "standard": "Según",
        "outcomes": {
            "valid": "se sostiene",
            "invalid": "no se sostiene",
            "warning": "se sostiene, con observación",
        },
        "steps": {
            1: "contenedor completo",
            2: "quién debió firmar",
            3: "qué cubre la firma",
            4: "sello de tiempo",
            5: "firma y firmante",
            6: "cadena del certificado y revocación",
            7: "cuerpos",
        },
        "repeat": "Para repetirlo con otras herramientas",
        "repeat_text": "Cada paso puede repetirse sin este programa, con openssl, xmlsec1, coreutils y unzip. Ejecute primero, en una "
        "carpeta vacía, las órdenes que siguen, y luego, en la misma carpeta, las de cada contenedor: todas terminan sin error. "
        "docs/evidence.md dice lo que dejan fuera.",
        "commands": "Órdenes",
        "signed_at": "Firmado a las, dice el firmante",
        "no_fault": "SOAP, sin fallo",
        "as_said": "el programa lo dice en inglés: «{0}»",
        "pair": "están la solicitud y la respuesta",
        "request_only": "la respuesta no está entre estos contenedores",
        "response_only": "la solicitud no está entre estos contenedores",
        "other": "no se pudo leer lo que el contenedor dice de su mensaje",
    },
}

# What each step found, as `certs.verify.container` says it, by the step's number; and how that is said in Spanish.
_FOUND_IN_SPANISH: dict[int, tuple[tuple[str, str], ...]] = {
    1: ((r"complete, with (\d+) bodies", r"completo; cuerpos: \1"),),
    2: (
        (r"(.*), to be signed by (.*)", r"\1; debía firmarlo \2"),
        (r"(.*), said to be signed by (.*); withheld: (.*)", r"\1; se dice firmado por \2; omitido: \3"),
    ),
    3: ((r"the signature is over .*", "la firma cubre el mensaje o su cadena de resúmenes"),),
    4: ((r"(.* UTC) by (.*)", r"\1, por \2"),),
    5: ((r"by ([^;]*)", r"por \1"),),
    6: (
        (r"good, says the OCSP response produced (.*)", r"vigente, según la respuesta OCSP producida el \1"),
    ),
    7: (
        (r"none", "ninguno"),
        (r"(\d+) are what was signed", r"son los que se firmaron: \1"),
        (r"(\d+) are what was signed; not included: (.*)", r"son los que se firmaron: \1; no incluidos: \2"),
        (r"(\d+) directly signed", r"firmados directamente: \1"),
        (
            r"the digests are what was signed; not proved by content: (.*)",
            r"los resúmenes son los que se firmaron; sin probar por su contenido: \1",
        ),
    ),
}


def finding_text(number: int, detail: str, language: str) -> str:
    """The words for what a step found, in the report's language; a text that has no other is quoted, and said to be in English."""
    if language != "es":
        return detail
    for pattern, spanish in _FOUND_IN_SPANISH[number]:
        found = re.fullmatch(pattern, detail, re.DOTALL)
        if found is not None:
            return found.expand(spanish)
    return str(TEXTS[language]["as_said"]).format(detail)
