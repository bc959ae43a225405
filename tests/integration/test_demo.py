"""The demo as a person runs it: it says where the pages are, and Ctrl-C ends it whole."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from benchmarks.federation import free_base

pytestmark = [pytest.mark.processes, pytest.mark.timeout(600)]
PATIENCE_S = 240.0


def _read(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return bytes(answer.read())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP], ids=["ctrl-c", "terminal closed"])
def test_its_end_ends_every_process_without_a_stack_trace(tmp_path: Path, number: signal.Signals) -> None:
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
        catalogue = f"http://{base}.1:8081/catalogo?words=buscarBeneficiario"
        # Gathered half a minute after the start, and every minute.
        while b"buscarBeneficiario" not in _read(catalogue).partition(b"<tbody>")[2]:
            assert time.monotonic() < deadline, _read(catalogue)
            time.sleep(0.5)
        running = json.loads((folder / "running.json").read_text("utf-8"))
        assert len(running) > 10
        demo.send_signal(number)
        code = demo.wait(timeout=120)
    finally:
        if demo.poll() is None:
            demo.terminate()
            demo.wait(timeout=120)
    text = out.read_text("utf-8")
    assert "FALLA" not in text, text
    assert "Traceback" not in text, text
    assert code == (0 if number is signal.SIGINT else 128 + number), text
    assert number is not signal.SIGINT or "Se detiene…" in text
    assert f"https://{base}.1:4000/consola/" in text
    assert "usuario demo, contraseña" in text
    assert [name for name, pid in running.items() if is_alive(pid)] == []
    assert not (folder / "running.json").exists()
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


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
def test_processes_end_with_the_one_that_started_them_even_when_it_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from benchmarks.federation import Federation\n"
        "made = Federation(Path(sys.argv[1]), [], dies_with_us=True)\n"
        "print(made.start('idle', 'http.server', '--bind', '127.0.0.1', '0').pid, flush=True); time.sleep(600)\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    with starter.stdout as said:
        child = os.pidfd_open(int(said.readline()))
    starter.kill()
    starter.wait(60)
    ended, _, _ = select.select([child], [], [], 60)
    os.close(child)
    assert ended
