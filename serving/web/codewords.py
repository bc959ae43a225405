"""Words for the codes that the APIs speak: states, kinds, rights of keys, answers of responders; and for the time that is left.

A page shows the word, and the code small beside it for who needs it. A code without a word is shown as it is.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from serving.language import N_, Text, as_it_is
from serving.process.failing import FailureReason
from serving.web.blocks import Cell

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.language import Translatable
    from serving.web.blocks import Tone

# What ends sooner is to be dealt with now.
SOON: Final = timedelta(days=30)

_STATES: Final[dict[str, tuple[Text, Tone]]] = {
    "REGISTERED": (N_("registered"), "good"),
    "SAVED": (N_("kept here, not yet registered"), "caution"),
    "REGISTRATION_IN_PROGRESS": (N_("its registration is on the way"), "caution"),
    "DELETION_IN_PROGRESS": (N_("its deletion is on the way"), "caution"),
    "GLOBAL_ERROR": (N_("no longer registered at the central server"), "bad"),
    "DISABLING_IN_PROGRESS": (N_("is being switched off"), "caution"),
    "DISABLED": (N_("switched off"), "caution"),
    "ENABLING_IN_PROGRESS": (N_("is being switched on"), "caution"),
    "NAME_SET": (N_("new name, not yet sent"), "caution"),
    "NAME_SUBMITTED": (N_("new name, sent"), "caution"),
    "OK": (N_("in order"), "good"),
    "FAIL": (N_("fails"), "bad"),
    "WAITING": (N_("waits"), "caution"),
    "EXPIRED": (N_("expired"), "bad"),
    "OCSP_RESPONSE_GOOD": (N_("valid"), "good"),
    "OCSP_RESPONSE_REVOKED": (N_("revoked"), "bad"),
    "OCSP_RESPONSE_SUSPENDED": (N_("suspended"), "bad"),
    "OCSP_RESPONSE_UNKNOWN": (N_("not known"), "bad"),
    "USER_PIN_LOCKED": (N_("its PIN is locked"), "bad"),
    "USER_PIN_INCORRECT": (N_("the PIN was wrong"), "bad"),
    "USER_PIN_INVALID": (N_("the PIN was not one"), "bad"),
    "USER_PIN_EXPIRED": (N_("its PIN has expired"), "bad"),
    "USER_PIN_COUNT_LOW": (N_("a wrong PIN was given; few tries are left"), "bad"),
    "USER_PIN_FINAL_TRY": (N_("one try is left for the PIN"), "bad"),
    "NOT_INITIALIZED": (N_("has no PIN yet"), "caution"),
    "INITIALIZED": (N_("has its PIN"), "good"),
    "APPROVED": (N_("approved"), "good"),
    "DECLINED": (N_("declined"), "bad"),
    "REVOKED": (N_("withdrawn"), "note"),
    "SUBMITTED FOR APPROVAL": (N_("to be decided"), "caution"),
    "ACTIVE": (N_("in use"), "good"),
    "ENABLED_MAINTENANCE_MODE": (N_("under maintenance"), "caution"),
    "DISABLED_MAINTENANCE_MODE": (N_("not under maintenance"), "good"),
    "PENDING_ENABLE_MAINTENANCE_MODE": (N_("maintenance was asked for"), "caution"),
    "PENDING_DISABLE_MAINTENANCE_MODE": (N_("the end of maintenance was asked for"), "caution"),
}

_WORDS: Final[dict[str, Text]] = {
    "SIGNING": N_("signs messages"),
    "AUTHENTICATION": N_("connects to other servers"),
    "HTTP": N_("without TLS"),
    "HTTPS": N_("TLS, with the system's certificate"),
    "HTTPS_NO_AUTH": N_("TLS, without the system's certificate"),
    "WSDL": N_("SOAP, by WSDL"),
    "OPENAPI3": N_("REST, by OpenAPI"),
    "REST": N_("REST, by its address"),
    "SOAP": N_("SOAP"),
    "SUBSYSTEM": N_("subsystem"),
    "MEMBER": N_("member"),
    "GLOBALGROUP": N_("global group"),
    "LOCALGROUP": N_("local group"),
    "FREE": N_("free of charge"),
    "PAID": N_("costs money"),
    "UNDEFINED": N_("cost not said"),
    "SOFTWARE": N_("in files"),
    "HARDWARE": N_("in hardware"),
    "STANDALONE": N_("alone"),
    "PRIMARY": N_("primary node"),
    "SECONDARY": N_("secondary node"),
    "CENTER": N_("the central server"),
    "SECURITY_SERVER": N_("a security server"),
    "INTERNAL": N_("for this instance"),
    "EXTERNAL": N_("for other instances"),
    "Client": N_("as consumer"),
    "Producer": N_("as provider"),
    "PEM": N_("text (PEM)"),
    "DER": N_("binary (DER)"),
    "AUTH_CERT_REGISTRATION_REQUEST": N_("register an authentication certificate"),
    "AUTH_CERT_DELETION_REQUEST": N_("delete an authentication certificate"),
    "CLIENT_REGISTRATION_REQUEST": N_("register a client"),
    "CLIENT_DELETION_REQUEST": N_("remove a client from a server"),
    "CLIENT_DISABLE_REQUEST": N_("switch a client off"),
    "CLIENT_ENABLE_REQUEST": N_("switch a client on"),
    "CLIENT_RENAME_REQUEST": N_("rename a subsystem"),
    "OWNER_CHANGE_REQUEST": N_("change the owner"),
    "ADDRESS_CHANGE_REQUEST": N_("change a server's address"),
    "MAINTENANCE_MODE_ENABLE_REQUEST": N_("begin maintenance"),
    "MAINTENANCE_MODE_DISABLE_REQUEST": N_("end maintenance"),
    "XROAD_SECURITY_OFFICER": N_("security officer"),
    "XROAD_REGISTRATION_OFFICER": N_("registration officer"),
    "XROAD_SERVICE_ADMINISTRATOR": N_("service administrator"),
    "XROAD_SYSTEM_ADMINISTRATOR": N_("system administrator"),
    "XROAD_SECURITYSERVER_OBSERVER": N_("observer"),
    "XROAD_MANAGEMENT_SERVICE": N_("management service"),
    "PRIVATE-PARAMETERS": N_("the central server and the management services"),
    "SHARED-PARAMETERS": N_("members, security servers and trust services"),
    "MONITORING": N_("who may ask for monitoring data"),
    "FETCHINTERVAL": N_("how often OCSP answers are fetched"),
    "NEXTUPDATE": N_("whether the next update of an OCSP answer counts"),
    "TRANSPARENCY": N_("witnesses of the transparency log"),
    "default": N_("default"),
    "file": N_("the settings file"),
    "environment": N_("the environment"),
    "database": N_("set here"),
    "command": N_("the command line"),
    "APPLY": N_("a file of what is wanted was applied"),
    # Of commands and of what happens without one; an operation's event has its summary.
    "COMMAND": N_("a command was carried out"),
    "JOIN": N_("the institute's server joined the instance"),
    "MESSAGE_LOG_NEW_KEYS": N_("the message log got new keys"),
    "MESSAGE_LOG_ERASE": N_("content of the message log was erased"),
    "MESSAGE_LOG_DECLARE": N_("the transparency log was begun anew"),
    "MESSAGE_LOG_REKEY": N_("the keys of the message log were sealed anew"),
    "ACTIVATE_CERTIFICATE": N_("Use a certificate"),
    "ADD_ACCESS_RIGHTS": N_("access rights were granted"),
    "ADD_ENDPOINT": N_("Add an endpoint"),
    "ADD_INTERNAL_CERT": N_("Trust a system's certificate"),
    "ADD_SECURITY_SERVER": N_("a security server was registered"),
    "ADD_SECURITY_SERVER_AUTH_CERT": N_("a server's authentication certificate was registered"),
    "ADD_SECURITY_SERVER_CLIENT": N_("a client was registered at a server"),
    "ANNOUNCE_TRANSPARENCY_KEYS": N_("a server announced the keys of its transparency log"),
    "CHANGE_OWNER": N_("a server's owner was changed"),
    "DELETE_CERTIFICATE": N_("Delete a certificate"),
    "DELETE_INTERNAL_CERT": N_("Trust it no longer"),
    "DELETE_SECURITY_SERVER_CLIENT": N_("a client was taken off a server"),
    "DISABLE_CERTIFICATE": N_("Stop using a certificate"),
    "FIRST_APPROVAL_OF_MANAGEMENT_REQUEST": N_("the first of two people approved a request"),
    "FORGET_NODE": N_("a node was taken out"),
    "IMPORT_CERTIFICATE": N_("Import a certificate"),
    "INIT": N_("this server was set up"),
    "REMOVE_ACCESS_RIGHTS": N_("access rights were revoked"),
    "SERVICE_DESCRIPTION_CHANGED": N_("a service's description changed"),
    "SERVICE_FOUND": N_("a service was found"),
    "SERVICE_GONE": N_("a service is offered no longer"),
    "SET_MAINTENANCE_MODE": N_("maintenance of a server began or ended"),
    "SET_MANAGEMENT_SERVICE_TLS_CERT": N_("Install a certificate"),
    "SET_WITNESS": N_("a node's witness was set"),
    "STORAGE_MOVE": N_("the data were moved to another database"),
    "FORM_LOGIN": N_("login with name and password"),
    "FORM_LOGOUT": N_("logout"),
    "LOGIN_OIDC": N_("login by the identity provider"),
    "KEY_MANAGEMENT_PAM_LOGIN": N_("name and password sent with a request"),
    "API_KEY_AUTHENTICATION": N_("login with a program's key"),
    "UNSPECIFIED_ACCESS_CHECK": N_("refused to somebody without the right"),
    "adding_services": N_("Services that would be added: {list}."),
    "deleting_services": N_("Services that would be removed, with the access rights to them: {list}."),
    "adding_endpoints": N_("Endpoints that would be added: {list}."),
    "deleting_endpoints": N_("Endpoints that would be removed, with the access rights to them: {list}."),
    "unregistered_member": N_("The member {list} is not registered at the central server."),
    "init_unregistered_member": N_("The member {list} is not registered at the central server."),
    "init_server_id_exists": N_(
        "A security server {list} is registered already; this one would take its place."
    ),
    "auth_key_with_registered_cert_warning": N_(
        "The key {list} has a registered certificate; its deletion is sent to the central server first."
    ),
    "warning_file_already_exists": N_("A backup named {list} is there already and would be replaced."),
    "NotNull": N_("This is needed."),
    "Type": N_("This is of another kind than what is expected here."),
    "Size": N_("This is too long or too short."),
    "Pattern": N_("This is not written as it must be."),
    "NoControlChars": N_("This has characters that may not stand in it."),
    "required": N_("This is needed."),
}


def failure_text(code: str, metadata: Sequence[str]) -> Translatable:
    """A failure of the diagnostics API in words: the causes behind its text, and the text as it was found."""
    if not metadata:
        return word_of(code) or as_it_is(code)
    return FailureReason(metadata[0], tuple(metadata[1:]))


def word_of(code: str | None) -> Text | None:
    """The word for a code, None where there is none."""
    if not code:
        return None
    return _STATES[code][0] if code in _STATES else _WORDS.get(code)


def word(code: str | None) -> Cell:
    """A code as its word; a state has its tone."""
    if not code:
        return Cell("text", as_it_is(""))
    if code in _STATES:
        meaning, tone = _STATES[code]
        return Cell("mark", meaning, code=code, tone=tone)
    found = _WORDS.get(code)
    return Cell("code", as_it_is(code)) if found is None else Cell("word", found, code=code)


def caution_text(code: str, metadata: tuple[str, ...] | list[str]) -> Translatable:
    """A warning in words; one that has none is its code with its details."""
    found = _WORDS.get(code)
    listed = ", ".join(metadata)
    if found is None:
        return as_it_is(f"{code}: {listed}" if listed else code)
    return Text(found.message, {"list": listed})


def left_of(not_after: str, now: datetime) -> tuple[Text, Tone]:
    """The time that a certificate still holds, in words, and how urgent that is."""
    left = datetime.fromisoformat(not_after) - now
    if left <= timedelta():
        return N_("expired"), "bad"
    tone: Tone = "bad" if left < SOON else "caution" if left < 2 * SOON else "good"
    return time_left(left), tone


def time_left(left: timedelta) -> Text:
    """A length of time in words: days, or hours, or minutes."""
    if left >= timedelta(days=2):
        return N_("{days} days left", days=f"{left.days:,}")
    minutes = int(left.total_seconds()) // 60
    return (
        N_("{hours} h left", hours=minutes // 60)
        if minutes >= 120
        else N_("{minutes} min left", minutes=minutes)
    )
