"""One error for everything that stops a call: its code, its words, on which side it lies, and what to do.

A gateway marks its own errors with the header ``X-Road-Error``; an error of the provider's system is an ordinary answer and
raises nothing. Codes are read in both spellings, that of X-Road 7.8 (``server.serverproxy.access_denied``) and the one before
(``Server.ServerProxy.AccessDenied``).

Spec: PR-REST 4.6, PR-MESS 2.4.
"""

from __future__ import annotations

import enum
import re
from typing import Final


class Side(enum.StrEnum):
    """Where the problem lies, from the caller's system to the provider's."""

    CONSUMER_SYSTEM = "consumer system"
    NETWORK = "network to the own gateway"
    CONSUMER_GATEWAY = "consumer gateway"
    PROVIDER_GATEWAY = "provider gateway"
    PROVIDER_SYSTEM = "provider system"


# The last component of a code -> what to do, English and Spanish.
_REMEDIES: Final = {
    "access_denied": (
        "ask the provider's administrator for the right to this service (and to this method and path)",
        "pida al administrador del proveedor el derecho a este servicio (y a este método y ruta)",
    ),
    "unknown_member": (
        "check the identifiers: this member or subsystem is not in the global configuration",
        "revise los identificadores: este miembro o subsistema no está en la configuración global",
    ),
    "unknown_service": (
        "check the service code; the provider's catalogue (listMethods) names what it offers",
        "revise el código del servicio; el catálogo del proveedor (listMethods) dice qué ofrece",
    ),
    "service_disabled": (
        "the provider has switched this service off; try later or ask its administrator",
        "el proveedor desactivó este servicio; intente más tarde o pregunte a su administrador",
    ),
    "maintenance_mode": (
        "the provider's gateway is in maintenance; try later",
        "el gateway del proveedor está en mantenimiento; intente más tarde",
    ),
    "ssl_authentication_failed": (
        "check the connection type of this client at the own gateway and the certificate of this system",
        "revise el tipo de conexión de este cliente en el gateway propio y el certificado de este sistema",
    ),
    "network_error": (
        "the other side could not be reached; try later, then tell its administrator",
        "no se alcanzó al otro lado; intente más tarde y luego avise a su administrador",
    ),
    "global_conf_outdated": (
        "the gateway has no valid global configuration; its administrator runs `gateway diagnose`",
        "el gateway no tiene configuración global vigente; su administrador ejecuta `gateway diagnose`",
    ),
    "token_not_active": (
        "the gateway's signing token is locked; its administrator enters the PIN",
        "el token de firma del gateway está bloqueado; su administrador introduce el PIN",
    ),
    "logging_failed": (
        "the gateway cannot write its message log, so it sends nothing; tell its administrator",
        "el gateway no puede escribir su bitácora, por eso nada envía; avise a su administrador",
    ),
    "no_connection": (
        "check the gateway's address and that it runs",
        "revise la dirección del gateway y que esté en marcha",
    ),
    "timeout": (
        "the answer did not come in time: whether the service acted is not known; ask before repeating what changes data",
        "la respuesta no llegó a tiempo: no se sabe si el servicio actuó; pregunte antes de repetir lo que cambia datos",
    ),
}
_DEFAULT: Final = {
    Side.CONSUMER_SYSTEM: (
        "correct the request: headers, identifiers, path or body",
        "corrija la petición: encabezados, identificadores, ruta o cuerpo",
    ),
    Side.NETWORK: _REMEDIES["no_connection"],
    Side.CONSUMER_GATEWAY: (
        "tell the administrator of the own gateway, with the detail",
        "avise al administrador del gateway propio, con el detalle",
    ),
    Side.PROVIDER_GATEWAY: (
        "tell the administrator of the provider's gateway, with the detail",
        "avise al administrador del gateway del proveedor, con el detalle",
    ),
    Side.PROVIDER_SYSTEM: (
        "the provider's system failed; try later, then tell the provider, with the detail",
        "el sistema del proveedor falló; intente más tarde y luego avise al proveedor, con el detalle",
    ),
}
_IRREGULAR: Final = {
    "clientproxy": "clientproxy",
    "serverproxy": "serverproxy",
    "ioerror": "io_error",
    "hashchainunusedinputs": "hashchain_unused_inputs",
    "outdatedglobalconf": "global_conf_outdated",
}


class CallError(Exception):
    """A call that a gateway refused or that did not come through.

    ``type`` is the dotted code in 7.8's spelling, ``message`` the gateway's words, ``detail`` the id under which both gateways'
    logs have it, ``status`` the HTTP status (None when no answer came), ``message_ids`` the ids of all attempts, first to last.
    """

    def __init__(
        self,
        type_: str,
        message: str,
        *,
        detail: str = "",
        status: int | None = None,
        side: Side | None = None,
    ) -> None:
        self.type = normalize_code(type_)
        self.message = message
        self.detail = detail
        self.status = status
        self.side = side or side_of(self.type)
        self.message_ids: tuple[str, ...] = ()
        super().__init__(f"{self.type}: {message} ({self.side}; {self.remedy()})")

    @property
    def kind(self) -> str:
        """The last component of the code, as ``access_denied``."""
        return self.type.rpartition(".")[2]

    def remedy(self, language: str = "en") -> str:
        """What to do, in ``en`` or ``es``."""
        english, spanish = _REMEDIES.get(self.kind) or _DEFAULT[self.side]
        return spanish if language == "es" else english


def normalize_code(code: str) -> str:
    """A dotted code in 7.8's spelling, from either spelling: ``Server.ServerProxy.IOError`` -> ``server.serverproxy.io_error``."""
    return ".".join(_component(part) for part in code.split("."))


def _component(part: str) -> str:
    known = _IRREGULAR.get(part.lower())
    return known or re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", part).lower()


def side_of(code: str) -> Side:
    """The side that a normalized code blames; a code without a known side is the own gateway's."""
    if code.startswith("client."):
        return Side.CONSUMER_SYSTEM
    if code.startswith("server.serverproxy.service_failed"):
        return Side.PROVIDER_SYSTEM
    if code.startswith("server.serverproxy"):
        return Side.PROVIDER_GATEWAY
    return Side.CONSUMER_GATEWAY
