"""Environmental monitoring: what is told of the machine, to whom, and of what was asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from gateway.metaservices.monitoring import LIMITED, choose_metrics
from gateway.monitoring.environment import machine_metrics
from gateway.monitoring.processes import package_metrics, process_metrics
from schemas.monitoring import Metric

if TYPE_CHECKING:
    from pathlib import Path


def names(metrics: object) -> set[str]:
    assert isinstance(metrics, tuple)
    return {m.name for m in metrics}


@pytest.mark.xroad("F120")
def test_the_machine_is_told_with_everything_x_road_tells(tmp_path: Path) -> None:
    told = names(machine_metrics((), tmp_path))
    assert {
        "OperatingSystem", "TotalPhysicalMemory", "FreePhysicalMemory", "TotalSwapSpace", "FreeSwapSpace",
        "CommittedVirtualMemory", "OpenFileDescriptorCount", "MaxFileDescriptorCount", "SystemCpuLoad",
        "DiskSpaceTotal_/", "DiskSpaceFree_/", "Processes", "Xroad Processes", "Packages", "Certificates",
    } <= told  # fmt: skip


@pytest.mark.xroad("F120")
def test_the_gateways_own_processes_are_this_one_and_its_children() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        every, own = process_metrics()
        child.communicate(b"\n")
    assert {str(os.getpid()), str(child.pid)} <= names(own.value) <= names(every.value)
    assert isinstance(own.value, tuple)
    fields = next(m.value for m in own.value if m.name == str(os.getpid()))
    assert names(fields) == {"processId", "command", "userId", "cpuSeconds", "memUsed", "startTime"}
    assert all(float(str(m.value)) >= 0 for m in fields if m.name != "command")  # type: ignore[union-attr]


@pytest.mark.xroad("F120")
def test_packages_are_those_installed_and_a_changed_list_is_read_again(tmp_path: Path) -> None:
    status = tmp_path / "status"
    status.write_text(
        "Package: curl\nStatus: install ok installed\nVersion: 8.5.0-2\nDescription: a\n  b: c\n\n"
        "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\n\nPackage: odd\n"
    )
    told = package_metrics(status)
    assert isinstance(told.value, tuple)
    found = {m.name: m.value for m in told.value}
    assert found["curl"] == "8.5.0-2"
    assert {"gone", "odd"}.isdisjoint(found)
    assert "python:aiohttp" in found
    status.write_text("Package: curl\nStatus: install ok installed\nVersion: 9\n")
    os.utime(status, ns=(1, 1))
    assert ("curl", "9") in {(m.name, m.value) for m in package_metrics(status).value}  # type: ignore[union-attr]
    assert package_metrics(tmp_path / "none").name == "Packages"


@pytest.mark.xroad("F120")
def test_metrics_are_chosen_by_name_wherever_they_stand() -> None:
    machine = Metric("systemMetrics", (Metric("OperatingSystem", "Linux"), Metric("SystemCpuLoad", 0.5)))
    told = (Metric("proxyVersion", "1"), machine, Metric("other", 1))
    assert choose_metrics(told, LIMITED) == (
        Metric("proxyVersion", "1"),
        Metric("systemMetrics", (Metric("OperatingSystem", "Linux"),)),
    )
    assert choose_metrics(told, frozenset(("systemMetrics",))) == (machine,)
    assert choose_metrics(told, frozenset(("nothing",))) == ()
