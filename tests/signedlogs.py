"""A gateway's message log, its transparency log and its proofs, for the messages that go by a forwarder of tests."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from certs.edges.configurationfiles import render_verificationconf
from certs.transparency import NoteSigner
from gateway.messagelog.committed import CommittedReader
from gateway.messagelog.record import LogEntry
from gateway.transparency.builder import LogBuilder
from gateway.transparency.files import TransparencyFiles
from gateway.transparency.proving import prove_messages
from schemas.globalconf.parts import WITNESSES_ID
from schemas.globalconf.witnesses import AppointedLog, Appointments, CentralWitness, render_appointments
from schemas.identifiers import ClientId, ServerId, ServiceId
from schemas.message import Message, MessageProtocol, Side, digest_of
from schemas.transparency.announcement import log_origin, witness_name
from schemas.transparency.notes import COSIGNATURE_ED25519, ED25519
from tests import worlds
from tests.logs import NOW, open_log

if TYPE_CHECKING:
    from pathlib import Path

SERVER = ServerId("MX", "GOB", "00-RNSS", "SS1")
CENTRE = "MX/central/witness"


class SignedLogs:
    """One gateway that serves every member, its log signed by a key that the configuration names and cosigned by the centre."""

    def __init__(self, folder: Path) -> None:
        self.log = open_log(folder)
        self.files = TransparencyFiles(folder / "transparency")
        self.files.folder.mkdir()
        self.key, self.centre = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()

    async def keep(self, client: str, owner: str, message_id: str, status: int | None = None) -> None:
        """A request as the provider's gateway logs it; with ``status`` its answer."""
        provider = ClientId(*owner.split("/"))
        raw = f"{message_id} {status}".encode()
        message = Message(
            MessageProtocol.REST,
            is_response=status is not None,
            raw=raw,
            digest=digest_of(raw),
            client=ClientId(*client.split("/")),
            service=ServiceId(provider, "oss-v1"),
            message_id=message_id,
            request_id="r",
        )
        await self.log.append(LogEntry(Side.PROVIDER, message, provider, b"signature", None, None, (), NOW))

    def catch_up(self) -> None:
        """Sign a head over what was kept, and have it cosigned."""
        records = CommittedReader(self.log.reader)
        note = LogBuilder(self.files, records, self.key, log_origin(SERVER), lambda: NOW).catch_up()
        self.files.write_checkpoint(note.signed_also(NoteSigner(CENTRE, self.centre).cosign(note, NOW)))

    def prove(self, query: str) -> dict[str, Any]:
        """The answer of ``GET /recordproofs``."""
        pairs = parse_qsl(query)
        values = dict(pairs)
        names = ("xRoadInstance", "memberClass", "memberCode", "subsystemCode")
        owner = "/".join(values[name] for name in names)
        ids = [value for name, value in pairs if name == "queryId"]
        return prove_messages(self.log.reader, self.files, owner, ids).to_json()

    def verificationconf(self, key: Ed25519PrivateKey | None = None) -> bytes:
        """A configuration that names the log's key, or another one in its place."""
        signer = NoteSigner(log_origin(SERVER), key or self.key)
        witness = NoteSigner(witness_name(SERVER), Ed25519PrivateKey.generate())
        centre = NoteSigner(CENTRE, self.centre).verifier(COSIGNATURE_ED25519)
        logs = (AppointedLog(SERVER, signer.verifier(ED25519), witness.verifier(COSIGNATURE_ED25519)),)
        appointments = Appointments((CentralWitness("http://127.0.0.1/tlog", centre),), logs)
        parts = {WITNESSES_ID: render_appointments(appointments)}
        return render_verificationconf(dataclasses.replace(worlds.world().configuration, parts=parts))
