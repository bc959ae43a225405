"""A registry of 8,000 members and 10,000 security servers: import, generation, signing, sizes, and loading at a gateway.

``python -m benchmarks.registry`` prints the figures with what they are held against; it exits 1 when one is missed. Reading,
generating and loading are told in processor time, which other work on the machine changes little. ``--keep`` appends rows to
``history.csv``.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import gzip
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.load import HISTORY, Table
from central_server.config import Publishing
from central_server.publication.node import CentralNode
from central_server.publication.publish import generate
from central_server.registry.model import OWNERS_DESCRIPTION, OWNERS_GROUP, RegisteredServer, Registry
from central_server.store.loading import import_registry, load_registry
from central_server.store.records import OPERATOR, CentralStore
from certs.certificates import der_of
from certs.configuration import InstanceConfiguration, TrustedConfiguration
from certs.dev.authority import DevPki
from schemas.globalconf.parts import SHARED_ID
from schemas.globalconf.private import parse_private
from schemas.globalconf.shared import (
    ApprovedCa,
    ApprovedTsa,
    CaInfo,
    GlobalGroup,
    Member,
    MemberClass,
    OcspInfo,
    Subsystem,
    parse_shared,
)
from schemas.identifiers import ClientId, GlobalGroupId
from serving.process.memory import give_back_freed

PROFILE = "ee.ria.xroad.common.certificateprofile.impl.BasicCertificateProfileInfoProvider"
GENERATE_S = 5.0
LOAD_S = 1.0
LOAD_MIB = 40


def made_up_registry(pki: DevPki, members: int, servers: int) -> Registry:
    """Members with two subsystems each; servers spread over them, each with its owner's subsystems as clients."""
    ids = [ClientId("MX", "GOB", f"{n:05d}") for n in range(members)]
    registered = []
    for n in range(servers):
        owner = ids[n % members]
        certificate = hashlib.sha512(f"certificate {n}".encode()).digest() * 12
        clients = (owner.subsystem("AFIL"), owner.subsystem("HIST"))
        registered.append(
            RegisteredServer(owner.server(f"SS{n // members}"), f"ss{n}.example.mx", (certificate,), clients)
        )
    responder = (OcspInfo("http://127.0.0.1/ocsp", der_of(pki.ocsp_certificate)),)
    return Registry(
        instance="MX",
        address="127.0.0.1",
        management_service=ids[0].subsystem("AFIL"),
        member_classes=(MemberClass("GOB", "Institutos"),),
        members=tuple(
            Member(
                m, "Institutos", f"Instituto número {m.member_code}", (Subsystem("AFIL"), Subsystem("HIST"))
            )
            for m in ids
        ),
        servers=tuple(registered),
        groups=(
            GlobalGroup(
                GlobalGroupId("MX", OWNERS_GROUP),
                OWNERS_DESCRIPTION,
                frozenset(s.id.owner for s in registered),
            ),
        ),
        cas=(
            ApprovedCa(
                "Dev",
                CaInfo(der_of(pki.root)),
                PROFILE,
                False,
                (CaInfo(der_of(pki.intermediate), responder),),
            ),
        ),
        tsas=(ApprovedTsa("TSA", "http://127.0.0.1/tsa", der_of(pki.tsa_certificate)),),
    )


def main() -> int:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--members", type=int, default=8_000)
    parser.add_argument("--servers", type=int, default=10_000)
    parser.add_argument("--keep", action="store_true", help="append rows to the history")
    parser.add_argument(
        "--load", type=Path, help="only load the parameters in this folder, as a gateway does"
    )
    arguments = parser.parse_args()
    if arguments.load:
        print(json.dumps(load(arguments.load)))
        return 0
    with tempfile.TemporaryDirectory() as name:
        table = Table()
        met = measure(Path(name), arguments.members, arguments.servers, table)
        if arguments.keep:
            table.append_to(HISTORY)
        return 0 if met else 1


def load(folder: Path) -> tuple[float, float]:
    """Load shared and private parameters in a process that has loaded nothing yet; processor time (s), memory that stays (MiB)."""
    shared, private = (folder / SHARED_ID).read_bytes(), (folder / "PRIVATE-PARAMETERS").read_bytes()
    before = _resident_mib()
    began = time.process_time()
    own = InstanceConfiguration(parse_shared(shared, 6), private=parse_private(private))
    configuration = TrustedConfiguration("MX", {"MX": own})
    last = own.shared.security_servers[-1]
    assert last.id in [s.id for s in configuration.servers_of(next(iter(last.clients)))]
    give_back_freed()
    load_s = time.process_time() - began
    gc.collect()
    return load_s, _resident_mib() - before


def _resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / (1 << 20)


def measure(folder: Path, members: int, servers: int, table: Table) -> bool:
    """Import, generate, sign, load, with a row for each aim; whether all are met."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    print(
        f"commit {commit or 'unknown'}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, "
        f"{members} members, {servers} security servers"
    )
    registry = made_up_registry(DevPki.create(folder / "pki"), members, servers)
    store = CentralStore(folder / "data" / "central.sqlite")
    node = CentralNode(folder / "data", store, Publishing(key_kind="ec-p256"))
    now = datetime.now(UTC)
    began = time.perf_counter()
    with store.change(OPERATOR, now) as records:
        import_registry(records, registry)
    print(f"import of the whole registry        {time.perf_counter() - began:7.2f} s")
    asyncio.run(node.keys.make_token("1234"))
    for source in ("internal", "external"):
        asyncio.run(node.keys.make_signing_key(source, source, OPERATOR, now))
    began = time.process_time()
    loaded = load_registry(store.read())
    read_s = time.process_time() - began
    began = time.process_time()
    generated = generate(loaded)
    generate_s = time.process_time() - began
    print(f"read from the store                 {read_s:7.2f} s")
    print(
        f"generate versions 2 to 6            {generate_s:7.2f} s   read and generate: at most {GENERATE_S} s"
    )
    began = time.perf_counter()
    asyncio.run(node.publish_if_due(now))
    print(f"publish (read, generate, sign, disk){time.perf_counter() - began:7.2f} s")
    began = time.perf_counter()
    asyncio.run(node.publish_if_due(datetime.now(UTC).replace(year=now.year + 1)))
    print(f"sign anew, nothing changed          {time.perf_counter() - began:7.2f} s")
    gzipped = 0
    for version, parts in generated.parts.items():
        raw = next(p.content for p in parts if p.content_id == SHARED_ID)
        gzipped = len(gzip.compress(raw, 6))
        print(f"shared-params.xml version {version}         {len(raw):>10} bytes, {gzipped:>9} gzipped")
    for part in generated.parts[6]:
        (folder / part.content_id).write_bytes(part.content)
    command = [sys.executable, "-m", "benchmarks.registry", "--load", str(folder)]
    load_s, load_mib = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    print(f"a gateway loads version 6           {load_s:7.2f} s   at most {LOAD_S} s")
    print(f"memory that it takes                {load_mib:7.1f} MiB at most {LOAD_MIB} MiB")
    print(
        f"largest memory of this process      {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024:7d} MiB"
    )
    asyncio.run(node.close())
    case = f"registry {members}/{servers}"
    for figure, value in (
        ("read_cpu_s", read_s),
        ("generate_cpu_s", generate_s),
        ("load_cpu_s", load_s),
        ("load_mib", load_mib),
        ("gzipped_bytes", gzipped),
    ):
        table.keep(case, 1, figure, value)
    met = read_s + generate_s <= GENERATE_S and load_s <= LOAD_S and load_mib <= LOAD_MIB
    print("aims met" if met else "AIMS MISSED")
    return met


if __name__ == "__main__":
    sys.exit(main())
