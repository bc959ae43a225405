"""The demo as a person runs it: it says where the pages are, and Ctrl-C ends it whole."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.federation import free_base

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]
PATIENCE_S = 240.0


def test_ctrl_c_ends_every_process_without_a_stack_trace(tmp_path: Path) -> None:
    folder, out, base = tmp_path / "demo", tmp_path / "out", free_base()
    command = [sys.executable, "-m", "benchmarks.demo", "--dir", str(folder), "--base", base, "--lang", "es"]
    with out.open("wb") as file:
        demo = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while "Ctrl-C detiene todo." not in out.read_text("utf-8"):
            assert demo.poll() is None, out.read_text("utf-8")
            assert time.monotonic() < deadline, out.read_text("utf-8")
            time.sleep(0.2)
        running = json.loads((folder / "running.json").read_text("utf-8"))
        assert len(running) > 10
        demo.send_signal(signal.SIGINT)
        code = demo.wait(timeout=120)
    finally:
        if demo.poll() is None:
            demo.terminate()
            demo.wait(timeout=120)
    text = out.read_text("utf-8")
    assert code in (0, 130)
    assert "Traceback" not in text
    assert "Se detiene…" in text
    assert [name for name, pid in running.items() if is_alive(pid)] == []
    assert not (folder / "running.json").exists()
    assert "FALLA" not in text
    for address in (f"http://{base}.15:9080", f"http://{base}.115:9080"):
        assert f"   {address}   " in text
    assert "ve sólo lo suyo" in text
    assert "a ninguna persona" in text


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError:
        return False
    return True
