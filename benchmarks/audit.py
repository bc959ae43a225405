"""How fast evidence is verified: containers per second on one core and on more, memory, and what the transparency log costs.

    python -m benchmarks.audit --count 8000 --jobs 1 2 --dask 1 2

Requests and answers of three members with bodies, each signed by itself, a batch of 256 stamped each minute, OCSP responses
renewed every twenty: what a log in use archives, a file each. Times are wall and processor time, the start of the processes
with them; on a machine that does other work only the latter says anything.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import itertools
import resource
import secrets
import sys
import tempfile
import time
import zipfile
from dataclasses import replace
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from certs.edges.configurationfiles import read_configuration_files, render_verificationconf
from certs.tokens.soft import KeyKind
from certs.transparency import NoteSigner
from gateway.audit.daskpool import drawn
from gateway.audit.evidence import find_units
from gateway.audit.judging import VALID
from gateway.audit.running import judge_all
from gateway.messagelog.committed import CommittedReader, signature_digest
from gateway.messagelog.timestamper import SIGNATURES_URI
from gateway.transparency.builder import LogBuilder
from gateway.transparency.files import TransparencyFiles
from gateway.transparency.verification import verify_message_log
from schemas import hashchain
from schemas.asic import container as asic
from schemas.message import digest_of
from schemas.transparency.notes import ED25519
from tests import worlds
from tests.logs import entry, open_log

if TYPE_CHECKING:
    from schemas.identifiers import ClientId
    from schemas.message import Message

BATCH = 256
OCSP_BATCHES = 20
# Records between two checkpoints of the transparency log: ten seconds at 100 a second.
_A_CHECKPOINT = 1_000
BODY = b"x" * 200


def write_containers(folder: Path, count: int, first: worlds.World) -> None:
    """Distinct containers, one a file."""
    responses: dict[ClientId, bytes] = {}
    for start in range(0, count, BATCH):
        batch = start // BATCH
        world = replace(first, now=first.now + timedelta(minutes=batch))
        if batch % OCSP_BATCHES == 0:
            responses = {who: world.ocsp(i.certificate) for who, i in world.identities.items()}
        messages = [_message(world, n) for n in range(start, min(count, start + BATCH))]
        signatures = [
            world.sign(message, ocsp_response=responses[world.signer_of(message)])[0] for message in messages
        ]
        built = hashchain.build(
            [[(SIGNATURES_URI, digest_of(s.signature))] for s in signatures],
            result_uri=hashchain.TIMESTAMP_CHAIN_URI,
        )
        token = world.stamp(built.result)
        for place, (message, signature) in enumerate(zip(messages, signatures, strict=True)):
            made = asic.Container(
                message=message.raw,
                signature=signature.signature,
                sig_hash_chain_result=signature.hash_chain_result,
                sig_hash_chain=signature.hash_chain,
                ts_hash_chain_result=built.result,
                ts_hash_chain=built.chains[place],
                timestamp=token,
                withheld=None,
            )
            out = io.BytesIO()
            asic.write_container(out, made, world.now, [("attachment1", [BODY])])
            (folder / f"{start + place}.asice").write_bytes(out.getvalue())


def _message(world: worlds.World, number: int) -> Message:
    """A request of one of two clients, or the provider's answer to the one before."""
    client = worlds.CONSUMER if number % 4 < 2 else worlds.STRANGER
    request = world.request(message_id=f"m{number // 2}", body=BODY, client=client)
    return world.response(request, body=BODY) if number % 2 else request


def verify(folder: Path, configuration: Path, jobs: int) -> None:
    """Verify all, and print how fast."""
    wall, used = time.perf_counter(), _processor_s()
    verdicts = [j.verdict for _, found in judge_all(find_units([folder]), configuration, jobs) for j in found]
    wall, used = time.perf_counter() - wall, _processor_s() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    assert set(verdicts) == {VALID}, set(verdicts)
    print(
        f"{jobs} processes: {len(verdicts) / wall:.0f}/s, {used / len(verdicts) * 1e6:.0f} us of processor time each "
        f"({len(verdicts) / used:.0f}/s a core), peak {peak} MiB in the first process"
    )


def verify_on_dask(folder: Path, configuration: Path, workers: int) -> float:
    """Verify all on workers of this machine, once they are there, and print how fast; containers a second."""
    import_module("dask").config.set({"distributed.scheduler.allowed-failures": 10})
    files = read_configuration_files(configuration)
    with import_module("distributed").Client(
        n_workers=workers, threads_per_worker=1, dashboard_address=None
    ) as client:
        client.wait_for_workers(workers)
        list(drawn(client, itertools.islice(find_units([folder]), 8 * workers), files, at_once=4))
        wall = time.perf_counter()
        verdicts = [j.verdict for _, found in drawn(client, find_units([folder]), files) for j in found]
        wall = time.perf_counter() - wall
    assert set(verdicts) == {VALID}, set(verdicts)
    print(f"Dask, {workers} workers: {len(verdicts) / wall:.0f}/s")
    return len(verdicts) / wall


def _processor_s() -> float:
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


async def measure_log(folder: Path, count: int) -> None:
    """What it costs to take records into the transparency log, and to prove the whole of it."""
    log = open_log(folder)
    signed = worlds.world().sign(worlds.world().request())[0].signature
    files, key = (
        TransparencyFiles(folder / "transparency"),
        Ed25519PrivateKey.from_private_bytes(secrets.token_bytes(32)),
    )
    records = CommittedReader(log.reader)
    follower = LogBuilder(files, CommittedReader(log.reader, log.fresh), key, "bench", lambda: worlds.NOW)
    catching_up = 0.0
    for start in range(0, count, _A_CHECKPOINT):
        some = range(start, min(count, start + _A_CHECKPOINT))
        entries = [msgspec.structs.replace(entry(f"m{n}"), signature=bytes(bytearray(signed))) for n in some]
        await asyncio.gather(*(log.append(each) for each in entries))
        used = time.process_time()
        follower.catch_up()
        catching_up += time.process_time() - used
    used = time.process_time()
    for each in entries:
        signature_digest(each.signature)
    kept = (time.process_time() - used) / len(entries)
    print(
        f"transparency log: {kept * 1e6:.1f} us of processor time a record at the append, "
        f"{catching_up / count * 1e6:.1f} us at the checkpoints, of {_A_CHECKPOINT} records each"
    )
    used = time.process_time()
    again = TransparencyFiles(folder / "again")
    LogBuilder(again, records, key, "bench", lambda: worlds.NOW).catch_up()
    print(f"built anew from the message log: {(time.process_time() - used) / count * 1e6:.1f} us a record")
    used = time.process_time()
    found = verify_message_log(files, records, NoteSigner("bench", key).verifier(ED25519))
    print(
        f"proved whole: {found.records} records, {len(found.differences)} differences, "
        f"{(time.process_time() - used) / count * 1e6:.1f} us of processor time each"
    )
    await log.close()


def main() -> int:
    """Make evidence and verify it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=8_000)
    parser.add_argument("--keys", choices=[k.value for k in KeyKind], default=KeyKind.EC_P256.value)
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    parser.add_argument(
        "--dask", type=int, nargs="*", default=[], help="numbers of Dask workers, the least first"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder, configuration = Path(temporary) / "containers", Path(temporary) / "configuration"
        folder.mkdir()
        world = worlds.world(KeyKind(arguments.keys))
        with zipfile.ZipFile(io.BytesIO(render_verificationconf(world.configuration))) as archive:
            archive.extractall(configuration)
        write_containers(folder, arguments.count, world)
        for jobs in arguments.jobs:
            verify(folder, configuration, jobs)
        rates = {workers: verify_on_dask(folder, configuration, workers) for workers in arguments.dask}
        for workers, rate in list(rates.items())[1:]:
            least = next(iter(rates))
            print(
                f"Dask, {workers} to {least} workers: {rate / rates[least] * least / workers:.2f} of linear"
            )
        asyncio.run(measure_log(Path(temporary) / "log", arguments.count))
    return 0


if __name__ == "__main__":
    sys.exit(main())
