"""What every scenario stands on: a running country, expectations that are counted, evidence that is verified."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks.calls import Call
from benchmarks.country import Country, member_path
from social_security.domain import eventchain, pack

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from benchmarks.calls import Reply

PERSONS: dict[str, dict[str, Any]] = {p["name"]: p for p in pack.persons()["persons"]}


def curp_of(name: str) -> str:
    """A synthetic person's CURP."""
    return str(PERSONS[name]["curp"])


def pid_of(name: str, code: str) -> str:
    """A synthetic person's PID at one of the four institutes of the reference."""
    return str(PERSONS[name]["pids"][code])


class Failed(AssertionError):
    """A scenario cannot go on; what it expected is in the text."""


@dataclass(slots=True)
class Outcome:
    """What a scenario came to."""

    name: str
    title: str
    checks: int = 0
    failures: list[str] = field(default_factory=list)
    # What was measured beside: said, never held against the scenario.
    figures: list[str] = field(default_factory=list)
    containers: int = 0
    took_s: float = 0.0


class Stage:
    """One scenario's view of the country."""

    def __init__(self, country: Country, outcome: Outcome) -> None:
        self.country = country
        self.outcome = outcome
        self.replies: list[Reply] = []

    def expect(self, ok: object, what: str) -> None:
        """Count a check; one that does not hold is a failure of the scenario."""
        self.outcome.checks += 1
        if not ok:
            self.outcome.failures.append(what)

    def need(self, ok: object, what: str) -> None:
        """A check without which the scenario cannot go on."""
        self.expect(ok, what)
        if not ok:
            raise Failed(what)

    def at(self, moment: str) -> None:
        """Set the clock of all systems."""
        self.country.set_clock(moment)

    def ask(
        self, client: str, provider: str, operation: str, body: dict[str, Any] | None, call: Call, **path: str
    ) -> Reply:
        """One call; remembered, so that its evidence can be checked."""
        reply = self.country.call(client, provider, operation, body, call, **path)
        self.replies.append(reply)
        return reply

    def done(self, reply: Reply, what: str) -> dict[str, Any]:
        """The body of an answer that must be a success."""
        self.need(200 <= reply.status < 300, f"{what}: HTTP {reply.status} {reply.error or ''} {reply.body}")
        return reply.body

    def refused(self, reply: Reply, code: str, what: str) -> None:
        """An answer that must be a refusal with this code, in both languages, signed like any other."""
        self.expect(
            reply.body.get("codigo") == code and reply.error is None,
            f"{what}: expected {code}, got {reply.status} {reply.error or ''} {reply.body}",
        )
        if "mensaje" in reply.body:
            self.expect(reply.body.get("message"), f"{what}: no English text")
        else:
            reasons = str(reply.body.get("motivacion", ""))
            self.expect(
                len(reasons) >= 20 and "limiteImpugnacion" in reply.body,
                f"{what}: refusal without reasons or last day",
            )

    def token(self, client: str, pid: str, to: str, call: Call) -> str:
        """A sealed token of the registry for a recipient."""
        reply = self.ask(client, "00-RNSS", "traducirPid", {"pid": pid, "destino": member_path(to)}, call)
        return str(self.done(reply, f"token of {client} for {to}")["testigo"])

    def prove(self, replies: Sequence[Reply] | None = None) -> None:
        """Download and verify both sides' containers of exchanges (default: the last one)."""
        into = self.country.folder / "evidence" / self.outcome.name
        for reply in replies if replies is not None else self.replies[-1:]:
            found = self.country.evidence(reply, into)
            # One gateway on both sides has both sides' records in one log.
            expected = 8 if reply.client.split("/")[0] == reply.service.split("/")[2] else 4
            self.expect(
                len(found) == expected, f"{reply.message_id}: {len(found)} containers instead of {expected}"
            )
            for evidence in found:
                self.outcome.containers += 1
                self.expect(evidence.verdict.is_valid, f"{evidence.file.name}: {evidence.verdict.code}")

    def wait(self, what: str, ok: Callable[[], bool], limit_s: float = 60.0) -> None:
        """Wait until something that happens by itself has happened."""
        deadline = time.monotonic() + limit_s
        while not ok():
            if time.monotonic() > deadline:
                raise Failed(f"did not happen within {limit_s:g} s: {what}")
            time.sleep(0.1)
        self.expect(True, what)

    def officer(self, code: str, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """An officer's command at a member's system."""
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "social_security",
                "officer",
                arguments[0],
                "--data",
                str(self.country.system_folder(code)),
                *arguments[1:],
            ],
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


class PortCase:
    """A portability case as its participants drive it: each event goes to every participant through the gateways."""

    def __init__(
        self, stage: Stage, case: str, responsible: str, others: Sequence[str], convention: str, benefit: str
    ) -> None:
        self._stage = stage
        self.case = case
        self.responsible = responsible
        self.others = list(others)
        self.convention = convention
        self.benefit = benefit
        self.chain: list[dict[str, Any]] = []
        self.state = "BORRADOR"
        self._delivered: dict[str, set[str]] = {}

    def why(self, role: str = "ANALISTA_PORTABILIDAD") -> Call:
        """The context of the case."""
        return Call("PUR-PORT", self.case, role, "Totalización de periodos")

    def open(self, pid: str) -> Reply:
        """Open it at the responsible institute; the answer."""
        body = {
            "pid": pid,
            "convenio": self.convention,
            "beneficio": self.benefit,
            "contrapartes": [member_path(c) for c in self.others],
        }
        return self._stage.ask(f"{self.responsible}/PORT", self.responsible, "abrirCaso", body, self.why())

    def present(self, pid: str) -> None:
        """Open it and let each counterparty know, each by a token of its own."""
        stage = self._stage
        opened = stage.done(self.open(pid), "abrirCaso")
        event = self.event("PRESENTAR", "PRESENTADA") | {
            "convenio": self.convention,
            "beneficio": self.benefit,
            **{n: opened[n] for n in ("presentadaEl", "fechaLimite")},
        }
        for other in self.others:
            testigo = stage.token(f"{self.responsible}/PORT", pid, other, self.why())
            reply = self.post(self.responsible, other, event | {"testigo": testigo})
            stage.done(reply, f"PRESENTAR to {other}")
        self._append(event)

    def event(self, name: str, to: str) -> dict[str, Any]:
        """The next event of the chain."""
        return {
            "caso": self.case,
            "secuencia": len(self.chain) + 1,
            "evento": name,
            "estadoPrevio": self.state,
            "estadoNuevo": to,
            "responsable": member_path(self.responsible),
            "contraparte": [member_path(c) for c in self.others],
            "hashAnterior": eventchain.event_hash(self.chain[-1]) if self.chain else eventchain.START,
        }

    def post(self, sender: str, to: str, event: dict[str, Any], role: str = "ANALISTA_PORTABILIDAD") -> Reply:
        """Post one event to one participant."""
        return self._stage.ask(f"{sender}/PORT", to, "agregarEvento", event, self.why(role), caso=self.case)

    def cause(
        self, sender: str, name: str, to: str, *, role: str = "ANALISTA_PORTABILIDAD", **more: Any
    ) -> None:
        """Cause an event: every participant must take it and give the same digest."""
        event = self.event(name, to) | {k: v for k, v in more.items() if k != "historia"}
        for participant in (self.responsible, *self.others):
            body = dict(event)
            if "historia" in more and participant in (self.responsible, sender):
                body["historia"] = more["historia"]
            reply = self.post(sender, participant, body, role)
            answer = self._stage.done(reply, f"{name} of {sender} at {participant}")
            self._stage.expect(
                answer["hash"] == eventchain.event_hash(event), f"{name}: digests differ at {participant}"
            )
        self._append(event)

    def deliver(self, sender: str, history: dict[str, Any], to: str) -> None:
        """A counterparty's certified history: the responsible gets it, the others its digest."""
        self.cause(
            sender,
            "ENTREGAR_HISTORIA",
            to,
            historia=[history],
            historiaSha256=[eventchain.history_digest(history)],
        )

    def take(self, event: dict[str, Any]) -> None:
        """Go on from an event that every participant has taken."""
        self._append(event)

    def seen_by(self, code: str) -> dict[str, Any]:
        """The case as a participant holds it."""
        reply = self._stage.ask(f"{code}/PORT", code, "verCaso", None, self.why(), caso=self.case)
        return self._stage.done(reply, f"verCaso at {code}")

    def _append(self, event: dict[str, Any]) -> None:
        self.chain.append(event)
        self.state = event["estadoNuevo"]


def evidence_folder(stage: Stage) -> Path:
    """Where a scenario's containers are."""
    return stage.country.folder / "evidence" / stage.outcome.name
