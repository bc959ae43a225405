"""Verification as tasks on Dask (extra ``audit``): the same units, the same judgements, on workers of other machines too.

Workers need the same version of this software, and the evidence at the same paths: a shared folder, or an object store. The
configuration goes to each worker once. A task whose worker is lost is done again by another one; what is on its way is bounded.
"""

from __future__ import annotations

import hashlib
import tempfile
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from certs.edges.configurationfiles import read_configuration_files
from gateway.audit.judging import judge_unit, load_trust
from gateway.audit.running import AT_ONCE, ON_THE_WAY, units_together
from schemas.faults import Fault, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from certs.configuration import TrustedConfiguration
    from gateway.audit.evidence import EvidenceUnit
    from gateway.audit.judging import Judgement

LOCAL = "local"
# How many workers may be lost with a task before the task is given up.
_LOST = 10


def judge_on_dask(
    units: Iterable[EvidenceUnit], configuration: Path, address: str, processes: int = 0
) -> Iterator[tuple[EvidenceUnit, list[Judgement]]]:
    """Each unit with its judgements, in the order they are ready. ``address`` is a scheduler's, or `LOCAL` for processes of this machine.

    Raises `Fault` when the configuration cannot be read, or Dask is not there.
    """
    load_trust(configuration)  # refused here, not at every worker
    files = read_configuration_files(configuration)
    with _client(address, processes) as client:
        yield from drawn(client, iter(units), files)


def _client(address: str, processes: int) -> Any:
    try:
        distributed = import_module("distributed")
    except ImportError as err:
        raise Fault(Kind.INVALID_REQUEST, "--dask needs the extra audit: pip install 'sacbe[audit]'") from err
    import_module("dask").config.set({"distributed.scheduler.allowed-failures": _LOST})
    if address == LOCAL:
        return distributed.Client(n_workers=processes or None, threads_per_worker=1, dashboard_address=None)
    return distributed.Client(address)


def drawn(
    client: Any, units: Iterator[EvidenceUnit], files: Mapping[str, bytes], at_once: int = AT_ONCE
) -> Iterator[tuple[EvidenceUnit, list[Judgement]]]:
    """Hand units to the workers of a client, ``at_once`` containers to a task, and give their judgements as they come."""
    # A task, so that it is made again when every worker that had it is lost; what is scattered is not.
    trust = client.submit(_as_given, dict(files), pure=False)
    waiting: dict[Any, list[EvidenceUnit]] = {}
    coming = import_module("distributed").as_completed()

    def send() -> bool:
        some = units_together(units, at_once)
        if some:
            future = client.submit(_judge, some, trust, pure=False)
            waiting[future.key] = some
            coming.add(future)
        return bool(some)

    most = max(1, len(client.scheduler_info(n_workers=-1)["workers"])) * ON_THE_WAY
    while len(waiting) < most and send():
        pass
    for future in coming:
        yield from zip(waiting.pop(future.key), future.result(), strict=True)
        send()


def _as_given(files: Mapping[str, bytes]) -> Mapping[str, bytes]:
    return files


def _judge(units: list[EvidenceUnit], files: Mapping[str, bytes]) -> list[list[Judgement]]:
    """At a worker: the judgements on each of some units."""
    trust = _trust(_Files(files))
    return [list(judge_unit(unit, trust)) for unit in units]


class _Files:
    """The files of a configuration, the same when their content is."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self.files = files
        digest = hashlib.sha256()
        for name, content in sorted(files.items()):
            digest.update(b"%d %d " % (len(name), len(content)) + name.encode() + content)
        self._digest = digest.digest()

    def __hash__(self) -> int:
        return hash(self._digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Files) and other._digest == self._digest


@lru_cache(maxsize=2)
def _trust(given: _Files) -> TrustedConfiguration:
    """The configuration, read once in each worker; its profiles with it."""
    with tempfile.TemporaryDirectory(prefix="sacbe-configuration-") as name:
        for path, content in given.files.items():
            target = Path(name) / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        return load_trust(Path(name))
