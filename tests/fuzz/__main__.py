"""``python -m tests.fuzz --seconds N``: N seconds of random input for each parser. Exit 1 when one did wrong,
or took longer than a stranger's bytes may take.

What did wrong is written to ``.fuzz/`` and said with the command that repeats it.
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import sys
import time
import traceback
import warnings
from pathlib import Path
from random import Random

from tests.fuzz.mutations import mutate
from tests.fuzz.targets import TARGETS, Target, crashes

FOUND = Path(".fuzz")
# Processor seconds for one input: what a stranger sends may cost no more.
SLOW_S = 2.0
HANGS_S = 60.0


def main() -> int:
    """Fuzz, or repeat one input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="for each target")
    parser.add_argument(
        "--target", action="append", choices=sorted(TARGETS), help="only this one; may be repeated"
    )
    parser.add_argument("--seed", type=int, default=None, help="repeat a run")
    parser.add_argument("--input", type=Path, help="give this file to the target instead")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # the library's remarks on broken certificates
    names = options.target or list(TARGETS)
    if options.input is not None:
        return int(any(report(name, options.input.read_bytes(), write=False) for name in names))
    seed = int(time.time()) if options.seed is None else options.seed
    print(f"seed {seed}, {options.seconds:g} s for each of {len(names)} targets", flush=True)
    found = [
        name for name in names if not fuzz(name, TARGETS[name], Random(f"{seed}/{name}"), options.seconds)
    ]
    print("nothing found" if not found else f"found: {', '.join(found)}")
    return 1 if found else 0


def fuzz(name: str, target: Target, random: Random, seconds: float) -> bool:
    """Whether a target stood its time."""
    seeds = target.seeds()
    end = time.monotonic() + seconds
    runs = 0
    FOUND.mkdir(exist_ok=True)
    running = FOUND / f"{name}-running"
    while time.monotonic() < end:
        data = mutate(random, seeds)
        # An input that never ends leaves itself in this file, and the run with a failure.
        running.write_bytes(data)
        faulthandler.dump_traceback_later(HANGS_S, exit=True)
        began = time.process_time()
        wrong = report(name, data, write=True)
        took = time.process_time() - began
        faulthandler.cancel_dump_traceback_later()
        runs += 1
        if not wrong and took > SLOW_S:
            print(f"{name}: {took:.1f} s for one input: {keep(name, data)}")
            wrong = True
        if wrong:
            return False
    running.unlink(missing_ok=True)
    print(f"{name:<24} {runs:>8} inputs", flush=True)
    return True


def report(name: str, data: bytes, *, write: bool) -> bool:
    """Whether an input makes a target do wrong; then it is said."""
    err = crashes(TARGETS[name], data)
    if err is None:
        return False
    traceback.print_exception(err)
    if write:
        path = keep(name, data)
        print(
            f"{name}: {type(err).__name__}; repeat with: python -m tests.fuzz --target {name} --input {path}"
        )
    return True


def keep(name: str, data: bytes) -> Path:
    """Write an input down."""
    FOUND.mkdir(exist_ok=True)
    path = FOUND / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    return path


if __name__ == "__main__":
    sys.exit(main())
