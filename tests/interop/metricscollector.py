"""X-Road Metrics' collector, driven without its database: a process of its own, told everything by its arguments.

``python metricscollector.py GATEWAY CENTRAL FROM TO SERVER`` prints what it collected as JSON; SERVER is instance/class/code/server. On its
path stands the folder ``collector_module`` of github.com/nordic-institute/X-Road-Metrics, whose classes run as they are; only where it would
keep records, in MongoDB, stands a list.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import opmon_collector
from opmon_collector.central_server_client import CentralServerClient
from opmon_collector.collector_worker import CollectorWorker


class Log:
    """Where the collector writes its log."""

    def __getattr__(self, name: str) -> Any:
        return lambda activity, message: print(name, activity, message, file=sys.stderr)


class Kept:
    """What it would keep in MongoDB."""

    def __init__(self, begin: int, end: int) -> None:
        self.begin, self.end, self.records = begin, end, list[dict[str, Any]]()

    def get_next_records_timestamp(self, _server: str, _offset: int) -> int:
        return self.begin

    def get_timestamp(self) -> float:
        return float(self.end)

    def set_next_records_timestamp(self, _server: str, at: int) -> None:
        self.begin = at

    def insert_data_to_raw_messages(self, records: list[dict[str, Any]]) -> None:
        self.records += records


def collect(gateway: str, central: str, begin: int, end: int, server: str) -> dict[str, Any]:
    instance, member_class, member_code, server_code = server.split("/")
    settings = {
        "xroad": {
            "instance": instance,
            "central-server": {"protocol": "http://", "host": central, "timeout": 10},
            "security-server": {"protocol": "http://", "host": gateway, "timeout": 10},
            "monitoring-client": {
                "memberclass": member_class,
                "membercode": member_code,
                "subsystemcode": "METRICS",
            },
        },
        "collector": {
            "records-from-offset": 0,
            "records-to-offset": 0,
            "repeat-limit": 3,
            "repeat-min-records": 1,
        },
    }
    asked = {
        "instance": instance,
        "memberClass": member_class,
        "memberCode": member_code,
        "serverCode": server_code,
        "server": server,
    }
    kept, log = Kept(begin, end), Log()
    worker = CollectorWorker(
        {"settings": settings, "server_data": asked, "logger_manager": log, "server_manager": kept}
    )
    done, reason = worker.work()
    servers = CentralServerClient(settings["xroad"], log).get_security_servers()
    return {
        "version": opmon_collector.__version__,
        "done": done,
        "reason": repr(reason),
        "records": kept.records,
        "servers": [s["server"] for s in servers],
    }


if __name__ == "__main__":
    at, registry, since, until, name = sys.argv[1:]
    print(json.dumps(collect(at, registry, int(since), int(until), name)))
