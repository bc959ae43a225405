"""The optional parts of an internal configuration: monitoring client, OCSP fetch interval, nextUpdate switch. Witnesses have a module.

Readers find them by file name in the own instance's folder. Spec: PR-GCONF 4.4; the three schemas of X-Road 7.8.
"""

from __future__ import annotations

from schemas.faults import BadMessage
from schemas.globalconf.elements import (
    Child,
    add,
    boolean,
    integer,
    malformed,
    new_root,
    parse_root,
    take,
    text,
    to_bytes,
)
from schemas.identifiers import ClientId, append_identifier, parse_client_element

SHARED_ID = "SHARED-PARAMETERS"
PRIVATE_ID = "PRIVATE-PARAMETERS"
MONITORING_ID = "MONITORING"
FETCH_INTERVAL_ID = "FETCHINTERVAL"
NEXT_UPDATE_ID = "NEXTUPDATE"
WITNESSES_ID = "TRANSPARENCY"
FILE_NAMES = {
    SHARED_ID: "shared-params.xml",
    PRIVATE_ID: "private-params.xml",
    MONITORING_ID: "monitoring-params.xml",
    FETCH_INTERVAL_ID: "fetchinterval-params.xml",
    NEXT_UPDATE_ID: "nextupdate-params.xml",
    WITNESSES_ID: "transparency-params.xml",
}
DEFAULT_FETCH_INTERVAL_S = 1200
LEAST_FETCH_INTERVAL_S = 60


def parse_monitoring_client(raw: bytes) -> ClientId | None:
    """The central monitoring client, or None when the part names none. Raises `Fault`."""
    client = take(parse_root(raw, "conf", "monitoring parameters"), (Child("monitoringClient"),))[
        "monitoringClient"
    ][0]
    named = take(client, (Child("monitoringClientId", 0),))["monitoringClientId"]
    try:
        return parse_client_element(named[0]) if named else None
    except BadMessage as fault:
        raise malformed(f"monitoring parameters: {fault.detail}") from fault


def parse_fetch_interval(raw: bytes) -> int:
    """Seconds between two fetches of an OCSP response, at least 60. Raises `Fault`."""
    found = take(parse_root(raw, "conf", "OCSP fetch interval"), (Child("ocspFetchInterval"),))
    return max(LEAST_FETCH_INTERVAL_S, integer(found["ocspFetchInterval"]))


def parse_verify_next_update(raw: bytes) -> bool:
    """Whether an OCSP response's nextUpdate counts. Raises `Fault`."""
    found = take(parse_root(raw, "conf", "OCSP nextUpdate switch"), (Child("verifyNextUpdate"),))
    return boolean(text(found["verifyNextUpdate"]), "verifyNextUpdate")


def render_monitoring_client(client: ClientId | None) -> bytes:
    """The monitoring part as XML; an element without client for None."""
    root = new_root("conf")
    element = add(root, "monitoringClient")
    if client is not None:
        append_identifier(element, "monitoringClientId", client)
    return to_bytes(root)


def render_fetch_interval(seconds: int) -> bytes:
    """The part that says how often OCSP responses are fetched, in seconds, as XML."""
    root = new_root("conf")
    add(root, "ocspFetchInterval", seconds)
    return to_bytes(root)


def render_verify_next_update(verify: bool) -> bytes:
    """The part that says whether an OCSP response's nextUpdate counts, as XML."""
    root = new_root("conf")
    add(root, "verifyNextUpdate", verify)
    return to_bytes(root)
