"""Proofs of single records as an auditor verifies them: a file, the keys of a configuration, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from certs.transparency import verify_record
from gateway.messagelog.rows import to_moment
from schemas.faults import Fault
from schemas.transparency.records import LONGEST_RECORD_PROOF, parse_record_proofs
from serving.language import _

if TYPE_CHECKING:
    from pathlib import Path

    from certs.transparency import ProvedRecord
    from schemas.globalconf.witnesses import Appointments

_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class JudgedProof:
    """A file, and what it proves; without that, why it does not."""

    file: str
    proved: ProvedRecord | None
    reason: str = ""

    def row(self) -> dict[str, object]:
        """The judgement as an object for JSON."""
        if self.proved is None:
            return {"file": self.file, "verdict": "invalid", "reason": self.reason}
        statement, head = self.proved.statement, self.proved.checkpoint
        return {
            "file": self.file,
            "verdict": "proved",
            "record": self.proved.number,
            "at": to_moment(statement.at_ms).strftime(_TIME),
            "messageId": statement.message_id,
            "isResponse": statement.is_response,
            "client": statement.client,
            "service": statement.service,
            "owner": statement.owner,
            "side": statement.side.value,
            "messageSha512": statement.message_digest.hex(),
            "log": head.origin,
            "size": head.size,
            "root": head.root.hex(),
            "cosigned": {name: at.strftime(_TIME) for name, at in self.proved.cosigned.items()},
        }

    def lines(self) -> list[str]:
        """The same for people; nothing of a proof that does not hold."""
        if self.proved is None:
            return []
        statement, head = self.proved.statement, self.proved.checkpoint
        direction = _("answer") if statement.is_response else _("request")
        witnesses = ", ".join(f"{name} {at:{_TIME}}" for name, at in self.proved.cosigned.items())
        return [
            f"{to_moment(statement.at_ms):{_TIME}}  {statement.message_id}  {direction}  {statement.client} -> {statement.service}",
            _(
                "record {record} of {log}, under the head of {size} entries",
                record=self.proved.number,
                log=head.origin,
                size=head.size,
            ),
            _("cosigned by {witnesses}", witnesses=witnesses)
            if witnesses
            else _("no witness that the configuration or the settings name has cosigned this head"),
        ]


def judge_proofs(file: Path, appointments: Appointments) -> list[JudgedProof]:
    """The verdict on each proof of a file, the first that fails the last. Raises OSError when it cannot be read."""
    with file.open("rb") as source:
        raw = source.read(LONGEST_RECORD_PROOF + 1)
    judged: list[JudgedProof] = []
    try:
        for proof in parse_record_proofs(raw):
            judged.append(JudgedProof(str(file), verify_record(proof, appointments)))
    except Fault as fault:
        judged.append(JudgedProof(str(file), None, fault.detail))
    return judged
