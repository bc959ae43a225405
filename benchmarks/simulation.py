"""S15: the whole country, scaled: 22 institutes, 8,000 obligated parties, a registry of persons, a day of messages.

``python -m benchmarks.simulation`` prints a row a figure with what it is held against, and exits 1 when one is missed.
Everything runs in this process on the same code that serves (registry store, ONIESS desk, policy and access decisions,
indicators); what is scaled says so in its row. The configuration of 8,000 members is `benchmarks.registry`'s, run here too
unless ``--small``. Nothing is kept in memory that grows with persons or messages.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from gateway.clients.model import AccessRight, Client, Endpoint, ServerConf, Service, ServiceType
from gateway.exchange.access import CalledEndpoint, check_access
from gateway.policies.decision import Permit, decide_request
from gateway.policies.decision import PolicyInput as GateInput
from schemas.faults import Fault
from schemas.identifiers import ClientId, GlobalGroupId, ServerId, ServiceId
from schemas.policy import Policy, parse_document
from serving.storage.database import Database
from social_security.domain import pack
from social_security.domain.curp import Curp, check_digit, parse_curp
from social_security.domain.edition import package_edition
from social_security.domain.indicators import compute
from social_security.domain.notices import notice_of
from social_security.domain.pseudonyms import Rid
from social_security.keys import new_registry_keys
from social_security.oniess.services import OniessServices, Trusted
from social_security.oniess.store import OniessStore
from social_security.oniess.tables import STEPS as ONIESS_STEPS
from social_security.registry.lookups import count_lookup
from social_security.registry.store import RegistryStore
from social_security.registry.tables import STEPS as REGISTRY_STEPS
from social_security.wire.books import open_books
from social_security.wire.context import MessageContext, PrivacyNotice
from social_security.wire.gatewayclient import GatewayClient
from social_security.wire.policydocument import build_policy
from social_security.wire.publication import PublicationCopy
from social_security.wire.service import DomainRequest

INSTITUTES = 22
CHUNK = 5_000
MEMORY_LIMIT_MB = 600
CASE = "CONS-15-2026-00000001"
NOW = datetime(2026, 4, 13, 16, tzinfo=UTC)
TODAY = date(2026, 4, 13)
_CONSONANTS = "BCDFGHJKLMNPQRSTVWXYZ"


@dataclass(frozen=True, slots=True)
class Size:
    """How large the simulated country is."""

    parties: int
    persons: int
    lookups: int
    messages: int


FULL = Size(8_000, 200_000, 5_000, 500_000)
SMALL = Size(40, 2_000, 300, 5_000)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure with what it is held against."""

    what: str
    measured: str
    target: str
    is_met: bool


def simulate(size: Size, folder: Path) -> list[Figure]:
    """Run all of it; the figures in order."""
    chosen = random.Random(15)
    return [
        *_onboarding(size, folder),
        *_registry(size, folder, chosen),
        _rights(chosen),
        *_day(size, chosen),
        _memory(),
    ]


def _onboarding(size: Size, folder: Path) -> list[Figure]:
    """Every obligated party through nine gates; 200 applications are what a day brings."""
    database = Database(folder / "oniess.sqlite", ONIESS_STEPS)
    store = OniessStore(database)
    lists = PublicationCopy(folder, "00-ONIESS", database, lambda: NOW)
    gateway_client = GatewayClient("", "MX/GOB/00-ONIESS", "1.0.0")
    oniess = OniessServices("MX/GOB/00-ONIESS", store, lambda: NOW, lists, "1.0.0", Trusted(), gateway_client)
    started = time.monotonic()
    for number in range(size.parties):
        case = f"ALTA-00-2026-{number:08d}"
        oniess.apply(_request("solicitarAlta", case, _application(number)))
        for name in ("documentos", "contactos", "seguridad", "avisos", "convenio"):
            body: dict[str, object] = {
                "resultado": "APROBADA",
                "evidenciaSha256": "d" * 64,
                "resueltoPor": "op",
            }
            oniess.decide_gate(_request("resolverCompuerta", case, body, compuerta=name))
    took = time.monotonic() - started
    counted = len(store.applications())
    database.close()
    day = 200 * took / max(size.parties, 1)
    return [
        Figure(
            "obligated parties received, five gates each",
            f"{counted:,}",
            f"{size.parties:,}",
            counted == size.parties,
        ),
        Figure("200 applications of a day", f"{day:.1f} s", "≤ 86,400 s", day <= 86_400),
    ]


def _request(operation: str, case: str, body: dict[str, object], **path: str) -> DomainRequest:
    uri, digest = notice_of(package_edition(), "00-ONIESS")
    context = MessageContext(
        "MX/GOB/00-ONIESS",
        "ALTA",
        f"m-{case}",
        "MX-00-ONIESS:op",
        case,
        "PUR-ALTA",
        frozenset(("mx:LGPDPPSO-60",)),
        "Incorporación",
        "simulación",
        "OPERADOR_ALTA",
        PrivacyNotice(uri, digest),
        "1.0.0",
    )
    return DomainRequest(pack.operations()[operation], context, {"caso": case, **path}, body, NOW, TODAY)


def _application(number: int) -> dict[str, object]:
    return {
        "nombre": f"Sujeto obligado {number}",
        "entidad": f"{number % 32 + 1:02d}",
        "clasePropuesta": "EXT",
        "codigoPropuesto": f"{number % 32 + 1:02d}-SO{number:05d}",
        "fundamentoCreacion": "Decreto de creación",
        "subsistemas": ["AFIL"],
        "contactos": [{"rol": r, "correo": f"c{number}@so.example"} for r in pack.codes()["contact_roles"]],
    }


def _registry(size: Size, folder: Path, chosen: random.Random) -> list[Figure]:
    """Persons with four links each, and how long a match takes among them."""
    keys = new_registry_keys()
    store = RegistryStore(open_books(folder, "registry", REGISTRY_STEPS), keys)
    members = [m.path for m in pack.members().values() if m.member_class == "GOB"][2 : 2 + INSTITUTES]
    kept: list[str] = []
    started = time.monotonic()
    for first in range(0, size.persons, CHUNK):
        people = _people(first, min(first + CHUNK, size.persons), members, chosen)
        store.enrol_many(_sampled(people, kept, size, chosen), 1, TODAY)
    per_s = size.persons / (time.monotonic() - started)
    times: list[float] = []
    found = 0
    for number in range(size.lookups):
        text = kept[number % len(kept)]
        began = time.perf_counter()
        person = store.find_by_curp(parse_curp(text, TODAY))
        assert person is not None
        store.link(person.rid, members[number % INSTITUTES], TODAY)
        count_lookup(
            store.database, f"MX-15-ISSEMYM:emp-{number % 50}", members[number % INSTITUTES], CASE, TODAY
        )
        times.append((time.perf_counter() - began) * 1000)
        found += 1
    store.close()
    p95 = statistics.quantiles(times, n=20)[-1]
    bytes_each = (folder / "registry.sqlite").stat().st_size / size.persons
    return [
        Figure(
            "persons enrolled, 4 links each (of 10,000,000)", f"{size.persons:,}, {per_s:,.0f}/s", "all", True
        ),
        Figure("registry on disk, a person", f"{bytes_each:,.0f} bytes", "≤ 2,000", bytes_each <= 2_000),
        Figure("buscarBeneficiario at the registry, p95", f"{p95:.2f} ms", "≤ 1,000 ms", p95 <= 1_000),
        Figure("look-ups that found their person", f"{found:,}", f"{size.lookups:,}", found == size.lookups),
    ]


def _people(
    first: int, last: int, members: list[str], chosen: random.Random
) -> Iterator[tuple[Rid, Curp, list[str]]]:
    for number in range(first, last):
        yield Rid(chosen.randbytes(16)), _curp(number, chosen), chosen.sample(members, 4)


def _sampled(
    people: Iterator[tuple[Rid, Curp, list[str]]], kept: list[str], size: Size, chosen: random.Random
) -> Iterator[tuple[Rid, Curp, list[str]]]:
    """Pass persons on, and keep a bounded sample of them to look up."""
    for person in people:
        if len(kept) < min(1_000, size.lookups) or chosen.random() < 0.001:
            if len(kept) >= 1_000:
                kept[chosen.randrange(1_000)] = person[1].value
            else:
                kept.append(person[1].value)
        yield person


def _curp(number: int, chosen: random.Random) -> Curp:
    """A synthetic CURP that no other number gives: the number is in its letters."""
    letters = "".join("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[number // 26**i % 26] for i in range(3))
    consonants = "".join(_CONSONANTS[number // 17_576 // 21**i % 21] for i in range(3))
    born = date(1940 + number % 60, number % 12 + 1, number % 28 + 1)
    place = pack.codes()["entities"][chosen.randrange(32)]["curp"]
    body = f"{letters[0]}X{letters[1:]}{born:%y%m%d}{'HMX'[number % 3]}{place}{consonants}9"
    return Curp(f"{body}{check_digit(body)}", born)


def _rights(chosen: random.Random) -> Figure:
    """22 × 21 ordered pairs: each is allowed exactly when its right was declared."""
    institutes = [ClientId("MX", "GOB", f"{n:02d}-INST", "AFIL") for n in range(1, INSTITUTES + 1)]
    declared = {(a, b) for a in institutes for b in institutes if a != b and chosen.random() < 0.7}
    wrong = 0
    for provider in institutes:
        service = Service(ServiceId(provider, "oss-v1"), ServiceType.REST, "http://127.0.0.1:9000")
        endpoint = Endpoint("oss-v1", "POST", "/afiliaciones/consultar")
        conf = ServerConf(
            ServerId("MX", "GOB", provider.member_code, "SS1"),
            (Client(provider),),
            (service,),
            tuple(AccessRight(provider, c, endpoint) for c, p in declared if p == provider),
        )
        for client in institutes:
            if client != provider:
                wrong += _is_allowed(conf, client, service) != ((client, provider) in declared)
    pairs = INSTITUTES * (INSTITUTES - 1)
    return Figure(f"{pairs} ordered pairs against declared rights", f"{wrong} mismatches", "0", wrong == 0)


class _NoGroups:
    def in_global_group(self, client: ClientId, group: GlobalGroupId) -> bool:
        del client, group
        return False


def _is_allowed(conf: ServerConf, client: ClientId, service: Service) -> bool:
    try:
        check_access(conf, _NoGroups(), client, service, CalledEndpoint("POST", "/afiliaciones/consultar"))
    except Fault:
        return False
    return True


def _day(size: Size, chosen: random.Random) -> list[Figure]:
    """A day of messages through the policy decision, and the month's indicators counted on the way."""
    policy = parse_document(build_policy("1.0.0", datetime(2026, 1, 1, tzinfo=UTC)))
    assert isinstance(policy, Policy)
    counts: dict[str, list[int]] = {}
    started = time.monotonic()
    for number in range(size.messages):
        _count(counts, chosen, _decided(policy, number, chosen))
    took = time.monotonic() - started
    started = time.monotonic()
    known = {name: (pair[0], pair[1]) for name, pair in counts.items()}
    known["IND-01"] = (INSTITUTES, 27)
    # Four of six: a cell that small must not be published.
    known["IND-06"] = (4, 6)
    rows = {r["id"]: r for r in compute("2026-04", known, "simulación")}
    per_s = size.messages / took
    return [
        Figure(
            "messages of a day decided by policy (of 2,000,000)",
            f"{size.messages:,}, {per_s:,.0f}/s",
            "≥ 24/s",
            per_s >= 24,
        ),
        Figure(
            "IND-01 … IND-16 of the month",
            f"{len(rows)} in {time.monotonic() - started:.3f} s",
            "16 in ≤ 1 h",
            len(rows) == 16,
        ),
        Figure(
            "IND-12, blocked by policy",
            f"{rows['IND-12']['numerador']:,}",
            "> 0",
            rows["IND-12"]["numerador"] > 0,
        ),
        Figure(
            "IND-13, coverage from the baseline table",
            f"{rows['IND-13']['valor']:.0%}",
            "31 %",
            rows["IND-13"]["valor"] == 0.31,
        ),
        Figure(
            "cells below 5 suppressed",
            str(rows["IND-06"]["suprimido"]),
            "True",
            rows["IND-06"]["suprimido"] is True,
        ),
    ]


def _decided(policy: Policy, number: int, chosen: random.Random) -> bool:
    violates = chosen.random() < 0.01
    headers = {
        "x-road-userid": f"MX-15-ISSEMYM:emp-{number % 500}",
        "x-road-issue": f"CONS-15-2026-{number % 100_000_000:08d}",
        "x-oss-proposito": "PUR-PORT" if violates else "PUR-AFIL",
        "x-oss-fundamento": "mx:LGPDPPSO-16-II",
        "x-oss-motivo": "Verificar",
        "x-oss-sistema": "simulación",
        "x-oss-rol": "ANALISTA_AFILIACION",
        "x-oss-aviso": f"https://issemym.example/aviso/v3;sha256={'0' * 64}",
        "x-oss-politica": "1.0.0",
    }
    gate_input = GateInput(
        "MX/GOB/15-ISSEMYM/AFIL", "AFIL", "oss-v1", "POST", "/afiliaciones/consultar", headers, b'{"pid":"x"}'
    )
    return isinstance(decide_request(policy, gate_input), Permit)


def _count(counts: dict[str, list[int]], chosen: random.Random, granted: bool) -> None:
    """Counters only: what a message was is not kept."""
    for name, happened in (
        ("IND-12", not granted),
        ("IND-15", granted and chosen.random() < 0.015),
    ):
        pair = counts.setdefault(name, [0, 0])
        pair[0] += happened
        pair[1] += 1


def _memory() -> Figure:
    peak = _peak_mb()
    return Figure(
        "peak memory of the simulation", f"{peak:.0f} MB", f"≤ {MEMORY_LIMIT_MB} MB", peak <= MEMORY_LIMIT_MB
    )


def _peak_mb() -> float:
    """Peak resident memory since this program began; rusage would count what its parent held at the fork."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text(encoding="ascii").splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 / 1024


def show(figures: list[Figure]) -> bool:
    """Print a row a figure; whether all held."""
    for f in figures:
        print(
            f"S15  {'ok' if f.is_met else 'MISSED':6}  {f.what:56}  {f.measured:>24}   {f.target}", flush=True
        )
    return all(f.is_met for f in figures)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulation")
    parser.add_argument("--small", action="store_true", help="a size for CI")
    for name in ("parties", "persons", "lookups", "messages"):
        parser.add_argument(f"--{name}", type=int)
    options = parser.parse_args()
    base = SMALL if options.small else FULL
    size = Size(
        *(getattr(options, n) or getattr(base, n) for n in ("parties", "persons", "lookups", "messages"))
    )
    with tempfile.TemporaryDirectory() as folder:
        is_met = show(simulate(size, Path(folder)))
    if not options.small:
        print("S15  the configuration of 8,000 members (benchmarks.registry):", flush=True)
        is_met = (
            subprocess.run([sys.executable, "-m", "benchmarks.registry"], check=False).returncode == 0
            and is_met
        )
    sys.exit(0 if is_met else 1)


if __name__ == "__main__":
    main()
