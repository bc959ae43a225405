"""Fault: how a problem travels, from the line that finds it to the consumer's screen.

One exception, `Fault(kind, detail)`, carries a problem to the wire. `Kind` is the table of all codes, each with the
spelling X-Road 7.8 writes (snake_case) and the one 7.7 and before wrote (CamelCase). Raisers know only the kind.
Inner prefixes (``service_failed``, ``signature_verification`` ...) are added with ``with step(...)``, and the side
(``client``, ``server.clientproxy``, ``server.serverproxy``) once, by the exchange. Both spellings are read; the one
to write is a setting. Decisions compare kinds, never letters.

Subclasses exist only where some code catches them by type (docs/decisions/0026-exceptions.md). ``detail`` is for a person and holds no secret.

Spec: PR-MESS 2.4 and Annex; PR-REST 4.6. The snake_case spelling is that of 7.8.0's code (the documents still
show CamelCase).
"""

from __future__ import annotations

import contextlib
import enum
from functools import cache
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable


class Spelling(enum.StrEnum):
    """The spellings of fault codes: as X-Road 7.8 has them, or as 7.7 and before did."""

    SNAKE = "snake"
    CAMEL = "camel"


class Kind(enum.StrEnum):
    """The last component of a wire code, in 7.8's spelling: which problem it is, on whichever side."""

    # generic
    IO_ERROR = "io_error"
    NETWORK_ERROR = "network_error"
    UNKNOWN_HOST = "unknown_host"
    INTERNAL_ERROR = "internal_error"
    BAD_REQUEST = "bad_request"
    NOT_FOUND = "not_found"
    HTTP_ERROR = "http_error"
    DATABASE_ERROR = "database_error"
    INVALID_REQUEST = "invalid_request"
    # message
    INVALID_CONTENT_TYPE = "invalid_content_type"
    INVALID_SOAP_ACTION = "invalid_soap_action"
    INVALID_HTTP_METHOD = "invalid_http_method"
    INVALID_MESSAGE = "invalid_message"
    MIME_PARSING_FAILED = "mime_parsing_failed"
    MISSING_HEADER = "missing_header"
    MISSING_HEADER_FIELD = "missing_header_field"
    DUPLICATE_HEADER_FIELD = "duplicate_header_field"
    MISSING_BODY = "missing_body"
    INVALID_BODY = "invalid_body"
    INCONSISTENT_HEADERS = "inconsistent_headers"
    INCONSISTENT_RESPONSE = "inconsistent_response"
    MISSING_SOAP = "missing_soap"
    INVALID_SOAP = "invalid_soap"
    INVALID_XML = "invalid_xml"
    MISSING_REST = "missing_rest"
    MISSING_SIGNATURE = "missing_signature"
    INVALID_PROTOCOL_VERSION = "invalid_protocol_version"
    INVALID_CLIENT_IDENTIFIER = "invalid_client_identifier"
    # service
    ACCESS_DENIED = "access_denied"
    SERVICE_DISABLED = "service_disabled"
    SERVICE_TYPE = "service_type"
    UNKNOWN_SERVICE = "unknown_service"
    SERVICE_MISSING_URL = "service_missing_url"
    SERVICE_MALFORMED_URL = "service_malformed_url"
    # routing
    UNKNOWN_MEMBER = "unknown_member"
    INVALID_SECURITY_SERVER = "invalid_security_server"
    MAINTENANCE_MODE = "maintenance_mode"
    CLIENT_PROXY_VERSION_NOT_SUPPORTED = "client_proxy_version_not_supported"
    GLOBAL_CONF_OUTDATED = "global_conf_outdated"
    MALFORMED_GLOBAL_CONF = "malformed_global_conf"
    GLOBAL_CONF_MISSING_VERIFICATION_CERT = "global_conf_missing_verification_cert"
    GLOBAL_CONF_MISSING_EXPIRATION_DATE = "global_conf_missing_signed_data_expiration_date"
    GLOBAL_CONF_HEADER_FIELD_MISSING = "global_conf_header_field_missing"
    GLOBAL_CONF_SIGNATURE_FAILURE = "global_conf_signature_verification_failure"
    GLOBAL_CONF_DOWNLOAD_FAILED = "global_conf_download_failed"
    # proof
    SSL_AUTHENTICATION_FAILED = "ssl_authentication_failed"
    CANNOT_CREATE_SIGNATURE = "cannot_create_signature"
    CANNOT_CREATE_CERT_PATH = "cannot_create_cert_path"
    INVALID_CERT_PATH = "invalid_cert_path"
    CERT_VALIDATION = "cert_validation"
    INCORRECT_VALIDATION_INFO = "incorrect_validation_info"
    INCORRECT_CERTIFICATE = "incorrect_certificate"
    WRONG_CERT_USAGE = "wrong_cert_usage"
    INVALID_SIGNATURE_VALUE = "invalid_signature_value"
    MALFORMED_SIGNATURE = "malformed_signature"
    INVALID_REFERENCE = "invalid_reference"
    INVALID_HASH_CHAIN = "invalid_hash_chain"
    MALFORMED_HASH_CHAIN = "malformed_hash_chain"
    HASHCHAIN_UNUSED_INPUTS = "hashchain_unused_inputs"
    INVALID_HASH_CHAIN_REF = "invalid_hash_chain_ref"
    # tokens and keys
    KEY_NOT_FOUND = "key_not_found"
    CERT_NOT_FOUND = "cert_not_found"
    UNKNOWN_CERT = "unknown_cert"
    TOKEN_NOT_FOUND = "token_not_found"  # a wire code
    TOKEN_NOT_ACTIVE = "token_not_active"  # a wire code
    PIN_INCORRECT = "pin_incorrect"
    CANNOT_SIGN = "cannot_sign"
    # message log
    LOGGING_FAILED = "logging_failed"
    TIMESTAMPING_FAILED = "timestamping_failed"
    NO_TIMESTAMPING_PROVIDER = "mlog.no_timestamping_provider_found"
    TSP_CERTIFICATE_NOT_FOUND = "mlog.tsp_certificate_not_found"
    TIMESTAMP_SIGNER_VERIFICATION_FAILED = "mlog.timestamp_signer_verification_failed"
    TIMESTAMP_TOKEN_SIGNER_INFO_NOT_FOUND = "mlog.timestamp_token_signer_info_not_found"
    # signed containers
    ASIC_MIME_TYPE_NOT_FOUND = "asic_mime_type_not_found"
    ASIC_SIGNATURE_NOT_FOUND = "asic_signature_not_found"
    ASIC_MESSAGE_NOT_FOUND = "asic_message_not_found"
    ASIC_HASH_CHAIN_RESULT_NOT_FOUND = "asic_hash_chain_result_not_found"
    ASIC_HASH_CHAIN_NOT_FOUND = "asic_hash_chain_not_found"
    ASIC_TIMESTAMP_NOT_FOUND = "asic_timestamp_not_found"
    ASIC_MANIFEST_NOT_FOUND = "asic_manifest_not_found"
    ASIC_INVALID_MIME_TYPE = "asic_invalid_mime_type"


class Step(enum.StrEnum):
    """The inner prefixes a code may carry between its side and its kind."""

    SERVICE_FAILED = "service_failed"
    SIGNATURE_VERIFICATION = "signature_verification"
    INVALID_CERT_PATH = "invalid_cert_path"
    SSL_AUTHENTICATION_FAILED = "ssl_authentication_failed"
    LOGGING_FAILED = "logging_failed"
    TIMESTAMPING_FAILED = "timestamping_failed"
    CANNOT_CREATE_SIGNATURE = "cannot_create_signature"
    MALFORMED_SIGNATURE = "malformed_signature"


class Origin(enum.StrEnum):
    """On whose side the problem lies."""

    CLIENT = "client"
    CLIENT_PROXY = "server.clientproxy"
    SERVER_PROXY = "server.serverproxy"


# Camel spellings that the mechanical rule does not give.
_IRREGULAR = {
    "clientproxy": "ClientProxy",
    "serverproxy": "ServerProxy",
    "opmonitor": "OpMonitor",
    "io_error": "IOError",
    "global_conf_outdated": "OutdatedGlobalConf",
    "hsm_non_operational": "HSMNonOperational",
    "hashchain_unused_inputs": "HashChainUnusedInputs",
    "token_readonly": "TokenReadOnly",
    "mlog": "mlog",
}
_FROM_IRREGULAR = {camel.lower(): snake for snake, camel in _IRREGULAR.items()}


def camel_code(code: str) -> str:
    """The 7.7 spelling of a dotted code given in the 7.8 spelling."""
    return ".".join(_camel_component(c) for c in code.split("."))


def _camel_component(component: str) -> str:
    return _IRREGULAR.get(component) or "".join(word.capitalize() for word in component.split("_"))


def snake_code(code: str) -> str:
    """The 7.8 spelling of a dotted code in either spelling; unknown components are converted by rule."""
    return ".".join(_snake_component(c) for c in code.split("."))


def _snake_component(component: str) -> str:
    known = _FROM_IRREGULAR.get(component.lower())
    if known:
        return known
    pieces: list[str] = []
    for i, c in enumerate(component):
        boundary = (
            c.isupper()
            and i > 0
            and (component[i - 1].islower() or (i + 1 < len(component) and component[i + 1].islower()))
        )
        pieces.append(f"_{c.lower()}" if boundary and component[i - 1] != "_" else c.lower())
    return "".join(pieces)


class Fault(Exception):
    """A problem with a kind and a detail for a person; steps and origin are added on its way out."""

    def __init__(self, kind: Kind, detail: str) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.steps: tuple[Step, ...] = ()
        self.origin: Origin | None = None
        self.id = ""

    @property
    def code(self) -> str:
        """The dotted code in 7.8's spelling; a step that the code already starts with is not repeated."""
        parts: list[str] = [self.kind.value]
        for step_ in self.steps:
            if parts[0] != step_.value:
                parts.insert(0, step_.value)
        if self.origin is not None:
            parts.insert(0, self.origin.value)
        return ".".join(parts)

    def identify(self, new_id: Callable[[], str]) -> str:
        """The id that ties the answer to the log line: given once, by the edge that answers; another party's stays."""
        self.id = self.id or new_id()
        return self.id

    def code_in(self, spelling: Spelling) -> str:
        """The dotted code in the spelling asked for."""
        return camel_code(self.code) if spelling is Spelling.CAMEL else self.code

    def __str__(self) -> str:
        return f"{self.code}: {self.detail}"


class BadMessage(Fault):
    """A message or document is not of the form that its protocol gives it."""


class NotProved(Fault):
    """A signature, certificate, OCSP response, timestamp or hash chain does not prove what it must.

    Of a certificate that its OCSP responder says is not good: ``is_revoked``, and ``is_on_hold`` where that is for a time.
    """

    is_revoked: bool = False
    is_on_hold: bool = False


class TokenFailed(Fault):
    """A key could not be used; ``is_lost`` when its device is gone and the process that holds it must be started anew."""

    def __init__(self, kind: Kind, detail: str, *, is_lost: bool = False) -> None:
        super().__init__(kind, detail)
        self.is_lost = is_lost


class UnexpectedStatus(ValueError):
    """An answer whose HTTP status is not the one that was expected; ``expected`` says which, in words."""

    def __init__(self, status: int, expected: str = "200 was expected") -> None:
        super().__init__(f"HTTP {status} where {expected}")
        self.status = status


class WireFault(msgspec.Struct, frozen=True):
    """A fault as it stands in an envelope: code in the sender's spelling, untrusted text."""

    code: str
    string: str
    actor: str = ""
    detail: str = ""


class PeerFault(Fault):
    """A fault another party sent, passed on as it came: ``wire``, and its whole envelope in ``raw`` when it had one."""

    def __init__(self, wire: WireFault, raw: bytes | None = None) -> None:
        super().__init__(_kind_of(wire.code), wire.string)
        self.wire = wire
        self.raw = raw
        if wire.detail:
            self.id = wire.detail

    @property
    def code(self) -> str:
        """The code in 7.8's spelling, whatever the peer wrote."""
        return snake_code(self.wire.code)

    def identify(self, new_id: Callable[[], str]) -> str:
        """The id that ties the answer to the log line: given once, by the edge that answers; another party's stays."""
        self.id = self.id or new_id()
        return self.id

    def code_in(self, spelling: Spelling) -> str:
        """The code exactly as the peer wrote it; X-Road passes faults on verbatim."""
        return self.wire.code


def _kind_of(code: str) -> Kind:
    components = snake_code(code).split(".")
    for start in range(len(components)):
        with contextlib.suppress(ValueError):
            return Kind(".".join(components[start:]))
    return Kind.INTERNAL_ERROR


class _FaultMark:
    """A ``with`` block that tells a fault on its way out something, once. A class, as every message passes a dozen."""

    __slots__ = ("_mark",)

    def __init__(self, mark: Callable[[Fault], None]) -> None:
        self._mark = mark

    def __enter__(self) -> None:
        """Enter the step; it does nothing until a fault leaves it."""

    def __exit__(self, kind: object, raised: BaseException | None, trace: object) -> None:
        if isinstance(raised, Fault) and not isinstance(raised, PeerFault) and raised.origin is None:
            self._mark(raised)


@cache
def step(prefix: Step) -> _FaultMark:
    """Add an inner prefix to any fault raised inside. A `PeerFault` is passed on untouched."""

    def mark(fault: Fault) -> None:
        fault.steps = (*fault.steps, prefix)

    return _FaultMark(mark)


@cache
def origin(side: Origin) -> _FaultMark:
    """Say on which side a fault raised inside lies, unless that has been said already."""

    def mark(fault: Fault) -> None:
        fault.origin = side

    return _FaultMark(mark)
