"""The words of a diagnosis: for every code what is wrong and what to do, in Spanish and in English."""

from __future__ import annotations

from collections.abc import Mapping

_OCSP_ES = (
    "certificado {certificate}; respondedor {responder} ({urls}); thisUpdate {this_update}; nextUpdate {next_update}; "
    "vale hasta {good_until}"
)
_OCSP_EN = (
    "certificate {certificate}; responder {responder} ({urls}); thisUpdate {this_update}; nextUpdate {next_update}; "
    "good until {good_until}"
)

TEXTS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "no-configuration": {
        "es": (
            "No hay configuración global. Último fallo: {reason}",
            "Revise la red hacia el servidor central y que el ancla sea la vigente.",
        ),
        "en": (
            "There is no global configuration. Last failure: {reason}",
            "Check the network to the central server and that the anchor is the present one.",
        ),
    },
    "configuration-expired": {
        "es": (
            "La configuración global venció el {expires}. Último fallo al descargarla: {reason}",
            "Revise la red hacia el servidor central; si otros servidores también fallan, avise a su operador.",
        ),
        "en": (
            "The global configuration expired on {expires}. Last failure to download it: {reason}",
            "Check the network to the central server; if other servers fail too, tell its operator.",
        ),
    },
    "configuration-not-fetched": {
        "es": (
            "La configuración global no se puede renovar y vence el {expires}: {reason}",
            "Revise la red hacia el servidor central antes de esa hora.",
        ),
        "en": (
            "The global configuration cannot be renewed and expires on {expires}: {reason}",
            "Check the network to the central server before then.",
        ),
    },
    "loop-failing": {
        "es": (
            "Una tarea de fondo de este servidor falla y se reintenta: {reason}",
            "Revise la bitácora de este servidor, el disco y la memoria, y reporte el fallo.",
        ),
        "en": (
            "A background task of this server fails and is tried again: {reason}",
            "Look at this server's log, its disk and its memory, and report the failure.",
        ),
    },
    "token": {
        "es": (
            "El token {subject} no se puede usar: {reason}",
            "Conecte el dispositivo o inicie su proceso, y entre con su PIN (PUT /tokens/{subject}/login). "
            "Un PIN bloqueado lo restablece el oficial de seguridad del token.",
        ),
        "en": (
            "The token {subject} cannot be used: {reason}",
            "Connect the device or start its process, and log in with its PIN (PUT /tokens/{subject}/login). "
            "A locked PIN is reset by the token's security officer.",
        ),
    },
    "clock": {
        "es": (
            "El reloj de este servidor va {direction_es} {seconds} s respecto de {subject}",
            "Sincronice el reloj (chrony o systemd-timesyncd) y vuelva a diagnosticar.",
        ),
        "en": (
            "This server's clock is {seconds} s {direction_en} of {subject}",
            "Synchronise the clock (chrony or systemd-timesyncd) and diagnose again.",
        ),
    },
    "timestamps-failing": {
        "es": (
            "No se obtiene sello de tiempo desde {since}; el tráfico se detiene el {until}. Último fallo: {reason}",
            "Revise la red hacia la autoridad de sellado, o agregue otra en el servidor central.",
        ),
        "en": (
            "No timestamp could be had since {since}; traffic stops on {until}. Last failure: {reason}",
            "Check the network to the timestamping authority, or add another at the central server.",
        ),
    },
    "no-certificate": {
        "es": (
            "No hay certificado activo para {subject}",
            "Genere una llave y una solicitud, importe el certificado, regístrelo si es de autenticación, y actívelo.",
        ),
        "en": (
            "There is no active certificate for {subject}",
            "Generate a key and a request, import the certificate, register it if it is for authentication, activate it.",
        ),
    },
    "certificate-not-yet-valid": {
        "es": (
            "El certificado {subject} ({purpose}, serie {serial}, de {issuer}) vale a partir de {since}",
            "Revise el reloj de este servidor; si es correcto, espere o use otro certificado.",
        ),
        "en": (
            "The certificate {subject} ({purpose}, serial {serial}, of {issuer}) is valid only from {since}",
            "Check this server's clock; if it is right, wait or use another certificate.",
        ),
    },
    "certificate-expired": {
        "es": (
            "El certificado {subject} ({purpose}, serie {serial}, de {issuer}) venció el {until}",
            "Importe y active su renovación; si ya está, desactive el vencido.",
        ),
        "en": (
            "The certificate {subject} ({purpose}, serial {serial}, of {issuer}) expired on {until}",
            "Import and activate its renewal; if that is done, disable the expired one.",
        ),
    },
    "certificate-expires": {
        "es": (
            "El certificado {subject} ({purpose}, serie {serial}, de {issuer}) vence el {until}, en {days} días",
            "Pida su renovación ahora: llave nueva, solicitud, importar, registrar, activar.",
        ),
        "en": (
            "The certificate {subject} ({purpose}, serial {serial}, of {issuer}) expires on {until}, in {days} days",
            "Order its renewal now: new key, request, import, register, activate.",
        ),
    },
    "certificate-unusable": {
        "es": (
            "El certificado {subject} ({purpose}, serie {serial}, de {issuer}) no se puede usar: {reason}",
            "Compruebe que su CA siga aprobada en la configuración global, o use un certificado de una CA aprobada.",
        ),
        "en": (
            "The certificate {subject} ({purpose}, serial {serial}, of {issuer}) cannot be used: {reason}",
            "Check that its CA is still approved in the global configuration, or use a certificate of an approved CA.",
        ),
    },
    "ocsp-refused": {
        "es": (
            f"La respuesta OCSP niega el certificado: {_OCSP_ES}. {{reason}}",
            "Si fue revocado a propósito, active otro certificado; si no, hable con la CA.",
        ),
        "en": (
            f"The OCSP response denies the certificate: {_OCSP_EN}. {{reason}}",
            "If it was revoked on purpose, activate another certificate; if not, talk to the CA.",
        ),
    },
    "ocsp-missing": {
        "es": (
            f"No hay respuesta OCSP: {_OCSP_ES}. Último fallo: {{reason}}",
            "Revise la red hacia el respondedor OCSP; pregunte a la CA si está en servicio.",
        ),
        "en": (
            f"There is no OCSP response: {_OCSP_EN}. Last failure: {{reason}}",
            "Check the network to the OCSP responder; ask the CA whether it is in service.",
        ),
    },
    "ocsp-stale": {
        "es": (
            f"La respuesta OCSP ya no vale: {_OCSP_ES}. Último fallo: {{reason}}",
            "Revise la red hacia el respondedor OCSP y el reloj; pregunte a la CA si está en servicio.",
        ),
        "en": (
            f"The OCSP response is too old: {_OCSP_EN}. Last failure: {{reason}}",
            "Check the network to the OCSP responder and the clock; ask the CA whether it is in service.",
        ),
    },
    "ocsp-not-renewed": {
        "es": (
            f"La respuesta OCSP no se puede renovar: {_OCSP_ES}. Último fallo: {{reason}}",
            "El tráfico sigue hasta esa hora: antes, revise la red hacia el respondedor o hable con la CA.",
        ),
        "en": (
            f"The OCSP response cannot be renewed: {_OCSP_EN}. Last failure: {{reason}}",
            "Traffic goes on until then: before that, check the network to the responder or talk to the CA.",
        ),
    },
    "renewal-failed": {
        "es": (
            "La renovación automática de {subject} falló: {reason}",
            "Corrija la causa, o renueve a mano; se vuelve a intentar sola.",
        ),
        "en": (
            "The automatic renewal of {subject} failed: {reason}",
            "Remove the cause, or renew by hand; it is tried again by itself.",
        ),
    },
}
