"""transparency-params.xml: the keys of each security server's transparency log and witness, and who cosigns which log.

An optional part of the internal configuration, signed with it: a security server that takes it needs no key by hand. It is
this product's own; X-Road's servers keep it beside their other parts and do not read it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from schemas.faults import BadMessage
from schemas.globalconf.elements import (
    MANY,
    Child,
    add,
    malformed,
    new_root,
    parse_root,
    take,
    text,
    to_bytes,
)
from schemas.identifiers import ServerId, append_identifier, parse_identifier
from schemas.transparency.announcement import log_origin, witness_name
from schemas.transparency.notes import COSIGNATURE_ED25519, ED25519, VerifierKey, parse_verifier_key

if TYPE_CHECKING:
    from lxml import etree


@dataclass(frozen=True, slots=True)
class CentralWitness:
    """A central server node as a witness: where it is asked (``http://host/tlog``), and its key."""

    url: str
    key: VerifierKey


@dataclass(frozen=True, slots=True)
class AppointedLog:
    """A security server's log: its key, the server's key as a witness, and the servers that cosign it beside the centre."""

    server: ServerId
    log_key: VerifierKey
    witness_key: VerifierKey
    witnesses: tuple[ServerId, ...] = ()


@dataclass(frozen=True, slots=True)
class Appointments:
    """Who cosigns whose checkpoints in an instance."""

    central: tuple[CentralWitness, ...] = ()
    logs: tuple[AppointedLog, ...] = ()

    def keys(self) -> tuple[VerifierKey, ...]:
        """The key of every witness there is."""
        return (*(c.key for c in self.central), *(log.witness_key for log in self.logs))


def parse_appointments(raw: bytes) -> Appointments:
    """Read the part. Raises `Fault` (``malformed_global_conf``), also for a key under another server's name."""
    root = take(parse_root(raw, "conf", "witnesses"), (Child("central", 0, MANY), Child("log", 0, MANY)))
    try:
        found = Appointments(tuple(map(_central, root["central"])), tuple(map(_log, root["log"])))
    except BadMessage as fault:
        raise malformed(f"witnesses: {fault.detail}") from fault
    known = {log.server for log in found.logs}
    if len(known) != len(found.logs):
        raise malformed("witnesses: a security server is named twice")
    for log in found.logs:
        unknown = [w.path() for w in log.witnesses if w not in known]
        if unknown or log.server in log.witnesses:
            raise malformed(
                f"witnesses of {log.server.path()}: {', '.join(unknown) or 'itself'} cannot be one; "
                "another security server with a key in this part was expected"
            )
    return found


def render_appointments(appointments: Appointments) -> bytes:
    """The part as XML, in the order of the value."""
    root = new_root("conf")
    for central in appointments.central:
        element = add(root, "central")
        add(element, "url", central.url)
        add(element, "witnessKey", central.key.render())
    for log in appointments.logs:
        element = add(root, "log")
        append_identifier(element, "server", log.server)
        add(element, "logKey", log.log_key.render())
        add(element, "witnessKey", log.witness_key.render())
        for witness in log.witnesses:
            append_identifier(element, "witness", witness)
    return to_bytes(root)


def _central(element: etree._Element) -> CentralWitness:
    found = take(element, (Child("url"), Child("witnessKey")))
    url = text(found["url"])
    if not url.startswith(("http://", "https://")):
        raise malformed(
            f"witnesses: the central server's address is {url[:100]!r}; http or https was expected"
        )
    return CentralWitness(url, _key(found["witnessKey"], COSIGNATURE_ED25519, None))


def _log(element: etree._Element) -> AppointedLog:
    found = take(element, (Child("server"), Child("logKey"), Child("witnessKey"), Child("witness", 0, MANY)))
    server = _server(found["server"][0])
    return AppointedLog(
        server,
        _key(found["logKey"], ED25519, log_origin(server)),
        _key(found["witnessKey"], COSIGNATURE_ED25519, witness_name(server)),
        tuple(map(_server, found["witness"])),
    )


def _server(element: etree._Element) -> ServerId:
    identifier = parse_identifier(element)
    if not isinstance(identifier, ServerId):
        raise malformed(f"witnesses: a security server was expected; {identifier.path()} came")
    return identifier


def _key(elements: list[etree._Element], kind: int, name: str | None) -> VerifierKey:
    key = parse_verifier_key(text(elements))
    if key.kind != kind or name not in (None, key.name):
        raise malformed(
            f"witnesses: key {key.name!r} of type {key.kind} where {name or 'a witness'!r} of type {kind} was expected"
        )
    return key
