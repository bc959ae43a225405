"""Why something failed, in the words of whoever found it and in those of its reader: the kinds of failure beneath an exception.

A library says in English what went wrong, and so do faults. `reason_of` is called where an exception is caught: it keeps that text and
the *causes* beneath it, found by the types in the chain of exceptions (what each was raised from; all of a group), never by their words.
A cause is a word of `CAUSES` or ``fault=KIND`` (`schemas.faultcatalogue`), with ``=VALUE`` behind what has one, so it can be stored and
sent as text. Logs and faults say the text; pages and commands say `FailureReason.into`: the causes in the reader's language, then the
text in parentheses.
"""

from __future__ import annotations

import errno
import smtplib
import socket
import sqlite3
import ssl
from typing import TYPE_CHECKING, Final

import aiohttp
import msgspec

from schemas.faultcatalogue import CATALOGUE
from schemas.faults import Fault, Kind, UnexpectedStatus
from serving.errors import OperatorError, Refused
from serving.language import N_, SOURCE_LANGUAGE, Text, Translated, as_it_is

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from serving.language import Translatable

_FAULT: Final = "fault"
CAUSES: Final[dict[str, Text]] = {
    "connection_refused": N_("the connection was refused: nothing listens there, or a firewall forbids it"),
    "timed_out": N_("no answer came in time"),
    "name_not_found": N_("the server's name is not known (DNS)"),
    "no_route": N_("the network has no way there"),
    "broken_off": N_("the connection was broken off"),
    "no_connection": N_("no connection could be made"),
    "certificate_not_trusted": N_("the other side's certificate is not trusted"),
    "certificate_expired": N_("the other side's certificate has expired, or is not valid yet"),
    "certificate_of_another": N_("the other side's certificate is for another name"),
    "no_tls": N_("the two sides do not agree on TLS"),
    "network_denied": N_("the address lies in a network that is never connected to"),
    "no_address": N_("what is set is no address"),
    "http_status": N_("it answered with HTTP {value} where another status was expected"),
    "unexpected_content": N_("what came is not of the form that was expected"),
    "mail_refused": N_("the mail server refused it"),
    "file_missing": N_("a file is missing"),
    "not_permitted": N_("the operating system does not permit it"),
    "disk_full": N_("the disk is full"),
    "too_many_files": N_("too many files are open"),
    "system_error": N_("the operating system reports {value}"),
    "database": N_("the database failed"),
    "out_of_memory": N_("there is not enough memory"),
    "rule": N_("a rule forbids it"),
    "unexpected": N_("a failure that was not foreseen"),
    "other_node": N_("the node whose turn it is does not do it"),
    "not_running": N_("the server is not running"),
    "clocks_apart": N_("the clocks of the two sides differ"),
    "token_without_device": N_("no device is set up for the token"),
    "token_without_pin": N_("the token has no PIN yet"),
    "token_locked": N_("the token is locked"),
    "token_logged_out": N_("nobody has logged in to the token"),
    "token_fails": N_("the token's device or its process fails"),
    "configuration_expired": N_("the configuration in force has expired"),
    "approved_no_longer": N_("the global configuration approves it no longer"),
    "not_in_configuration": N_("the global configuration names none"),
}  # fmt: skip
# OpenSSL's numbers (X509_V_ERR_*): not yet valid and expired; another host's, another address's.
_VERIFY: Final = {
    9: "certificate_expired",
    10: "certificate_expired",
    62: "certificate_of_another",
    64: "certificate_of_another",
}
_ERRNO: Final = {
    errno.ECONNREFUSED: "connection_refused",
    errno.ETIMEDOUT: "timed_out",
    errno.ENETUNREACH: "no_route",
    errno.EHOSTUNREACH: "no_route",
    errno.ECONNRESET: "broken_off",
    errno.ECONNABORTED: "broken_off",
    errno.EPIPE: "broken_off",
    errno.ENOENT: "file_missing",
    errno.EACCES: "not_permitted",
    errno.EPERM: "not_permitted",
    errno.EROFS: "not_permitted",
    errno.ENOSPC: "disk_full",
    errno.EDQUOT: "disk_full",
    errno.EMFILE: "too_many_files",
    errno.ENFILE: "too_many_files",
}
# The first type that an exception is of decides, so each stands before what it is a kind of.
_TYPES: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (aiohttp.ServerFingerprintMismatch, "certificate_not_trusted"),
    (aiohttp.InvalidURL, "no_address"),
    (socket.gaierror, "name_not_found"),
    (aiohttp.ClientConnectorDNSError, "name_not_found"),
    (TimeoutError, "timed_out"),
    (ssl.SSLError, "no_tls"),
    (smtplib.SMTPException, "mail_refused"),
    (sqlite3.Error, "database"),
    (MemoryError, "out_of_memory"),
)
# What is said of an exception beneath which nothing more exact was found.
_ROUGHLY: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (aiohttp.ClientConnectionError, "no_connection"),
    (ConnectionError, "broken_off"),
    (aiohttp.ClientError, "unexpected_content"),
    (Refused, "rule"),
    (OperatorError, "rule"),
    (ValueError, "unexpected_content"),
)


_VAGUE: Final = frozenset(cause for _, cause in _ROUGHLY)


class FailureReason(msgspec.Struct, frozen=True):
    """Why something failed: ``detail`` as it was found (English, for logs), ``causes`` beneath it as this module names them."""

    detail: str
    causes: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.detail

    def into(self, language: str) -> str:
        """The causes in a language, and the text as it was found in parentheses; the text alone where no cause is known."""
        words = tuple(_words(cause) for cause in self.causes)
        if not words or not self.detail:
            return "; ".join(w.into(language) for w in words) or self.detail
        return N_("{causes} ({detail})", causes=words, detail=self.detail).into(language)

    def __bool__(self) -> bool:
        """Whether it says anything."""
        return bool(self.detail or self.causes)


NO_REASON: Final = FailureReason("")


def reason_of(error: BaseException, before: str = "") -> FailureReason:
    """Why what was caught failed; ``before`` is said in front of its text, with a colon."""
    text = text_of(error)
    return FailureReason(f"{before}: {text}" if before else text, causes_of(error))


def wording_of(error: BaseException) -> Translatable:
    """Why what was caught failed, for a reader of any language: the words of who refused it, else what is beneath it."""
    return error.text if isinstance(error, Refused | OperatorError) else reason_of(error)


def gathered(failures: Sequence[tuple[str, Exception]]) -> tuple[str, ExceptionGroup[Exception] | None]:
    """The text of several failures, each behind the name of who failed, and what a fault that says it is raised from."""
    text = "; ".join(f"{name}: {text_of(err)}" for name, err in failures)
    return text, ExceptionGroup("every one failed", [err for _, err in failures]) if failures else None


def text_of(error: BaseException) -> str:
    """The text of an exception (English), with its type's name where it has none or was not foreseen."""
    if isinstance(error, Fault):
        return error.detail
    text = error.text.into(SOURCE_LANGUAGE) if isinstance(error, Refused | OperatorError) else str(error)
    foreseen = isinstance(error, OSError | ValueError | aiohttp.ClientError | smtplib.SMTPException)
    return text if text and foreseen else f"{type(error).__name__}: {text}".rstrip(": ")


def causes_of(error: BaseException) -> tuple[str, ...]:
    """The causes beneath an exception, each once, in the order in which they were met; never none."""
    return tuple(dict.fromkeys(_met(error, set()))) or ("unexpected",)


def fault_causes(code: str) -> tuple[str, ...]:
    """The cause that a fault's dotted code names, in either spelling; none for a code that is not ours."""
    kind = next((k for k in sorted(Kind, key=len, reverse=True) if f".{code}".endswith(f".{k.value}")), None)
    return () if kind is None or kind not in CATALOGUE else (f"{_FAULT}={kind.value}",)


def _met(error: BaseException, seen: set[int]) -> list[str]:
    """The causes of an exception: those of what it was raised from, else its own; all of a group's."""
    if id(error) in seen:
        return []
    seen.add(id(error))
    if isinstance(error, BaseExceptionGroup):
        return [cause for part in error.exceptions for cause in _met(part, seen)]
    beneath = _met(error.__cause__, seen) if error.__cause__ is not None else []
    own = _exact(error)
    if own is None and not beneath and error.__context__ is not None and not error.__suppress_context__:
        beneath = _met(error.__context__, seen)
    if own is not None and _VAGUE.issuperset(beneath):
        return [own]
    if beneath:
        return beneath
    if isinstance(error, Fault):
        return [f"{_FAULT}={error.kind.value}"]
    rough = _first(error, _ROUGHLY)
    return [] if rough is None else [rough]


def _exact(error: BaseException) -> str | None:
    """The cause that the exception itself names, if its type says more than that something failed."""
    if isinstance(error, UnexpectedStatus):
        return f"http_status={error.status}"
    if isinstance(error, aiohttp.ClientResponseError):
        return f"http_status={error.status}" if error.status else "unexpected_content"
    if isinstance(error, ssl.SSLCertVerificationError):
        return _VERIFY.get(getattr(error, "verify_code", 0), "certificate_not_trusted")
    found = _first(error, _TYPES)
    if found is not None or not isinstance(error, OSError) or error.errno is None:
        return found
    if isinstance(error, PermissionError) and error.filename is None and error.errno == errno.EACCES:
        return "network_denied"
    named = errno.errorcode.get(error.errno)
    return _ERRNO.get(error.errno) or (f"system_error={named}" if named else None)


def _first(error: BaseException, table: Iterable[tuple[type[BaseException], str]]) -> str | None:
    return next((cause for kind, cause in table if isinstance(error, kind)), None)


def _words(cause: str) -> Translatable:
    name, _sign, value = cause.partition("=")
    if name == _FAULT:
        row = CATALOGUE.get(Kind(value)) if value in Kind.__members__.values() else None
        return as_it_is(value) if row is None else Translated({"en": row.en[0], "es": row.es[0]})
    text = CAUSES.get(name)
    return as_it_is(cause) if text is None else Text(text.message, {"value": value})
