"""A registry of 8,000 members and 10,000 security servers: import, generation, signing, sizes, and loading at a gateway.

``python -m benchmarks.registry`` prints the figures with what they are held against; it exits 1 when one is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import hashlib
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

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

PROFILE = "ee.ria.xroad.common.certificateprofile.impl.BasicCertificateProfileInfoProvider"
GENERATE_S = 5.0
LOAD_S = 1.0


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
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        return measure(Path(name), arguments.members, arguments.servers)


def measure(folder: Path, members: int, servers: int) -> int:
    """Import, generate, sign, load; 0 when both aims are met."""
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
    began = time.perf_counter()
    loaded = load_registry(store.read())
    read_s = time.perf_counter() - began
    began = time.perf_counter()
    generated = generate(loaded)
    generate_s = time.perf_counter() - began
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
    for version, parts in generated.parts.items():
        raw = next(p.content for p in parts if p.content_id == SHARED_ID)
        print(
            f"shared-params.xml version {version}         {len(raw):>10} bytes, {len(gzip.compress(raw, 6)):>9} gzipped"
        )
    content = {p.content_id: p.content for p in generated.parts[6]}
    began = time.perf_counter()
    shared = parse_shared(content[SHARED_ID], 6)
    own = InstanceConfiguration(shared, private=parse_private(content["PRIVATE-PARAMETERS"]))
    configuration = TrustedConfiguration("MX", {"MX": own})
    last = loaded.servers[-1]
    assert configuration.servers_of(last.clients[0])
    assert configuration.server_by_auth_certificate(last.auth_certificates[0]) is not None
    load_s = time.perf_counter() - began
    print(f"a gateway loads version 6           {load_s:7.2f} s   at most {LOAD_S} s")
    print(
        f"largest memory of this process      {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024:7d} MiB"
    )
    asyncio.run(node.close())
    met = read_s + generate_s <= GENERATE_S and load_s <= LOAD_S
    print("aims met" if met else "AIMS MISSED")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
