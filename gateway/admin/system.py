"""``/system``: timestamping authorities in use, and what this server is."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.metadata import version as package_version
from typing import TYPE_CHECKING

import msgspec

from gateway.admin.context import AdminContext, row
from gateway.admin.values import TimestampingServiceView
from gateway.clients.records import TimestampingService as UsedService
from schemas.globalconf.shared import CURRENT_VERSION, CostType
from serving.api.problems import bad_request

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.api.operations import Call, Operation


class NodeType(msgspec.Struct, frozen=True):
    """The role of this server in a cluster, in X-Road's words."""

    node_type: str


class VersionInfo(msgspec.Struct, frozen=True, omit_defaults=True):
    """Versions; the members about Java are there because clients of X-Road's API expect them."""

    info: str
    java_version: int
    min_java_version: int
    max_java_version: int
    using_supported_java_version: bool
    java_vendor: str
    java_runtime_version: str
    global_configuration_version: int | None = None


@dataclass(frozen=True, slots=True)
class System:
    """The handlers of ``/system``: timestamping services, node type and version."""

    context: AdminContext

    def rows(self) -> Sequence[Operation]:
        """The rows of these handlers: path, right, input, answer."""
        tsa = "/system/timestamping-services"
        return [
            row("GET", tsa, self.timestamping, "Timestamping authorities in use", "VIEW_TSPS",
                answer=list[TimestampingServiceView]),
            row("POST", tsa, self.add_timestamping, "Use an approved authority", "ADD_TSP",
                body=TimestampingServiceView, answer=TimestampingServiceView, status=201, event="ADD_TSP"),
            row("POST", tsa + "/delete", self.delete_timestamping, "Stop using one", "DELETE_TSP",
                body=TimestampingServiceView, status=204, event="DELETE_TSP"),
            row("GET", tsa + "/prioritization-strategy", self.timestamp_order, "Order of those that cost",
                "VIEW_TSPS", answer=str),
            row("GET", "/system/node-type", self.node_type, "How this server runs", "VIEW_NODE_TYPE",
                answer=NodeType),
            row("GET", "/system/version", self.version, "Versions", "VIEW_VERSION", answer=VersionInfo),
        ]  # fmt: skip

    async def timestamping(self, _call: Call) -> list[TimestampingServiceView]:
        return [_service(s) for s in self.context.view.timestamping.all()]

    async def add_timestamping(self, call: Call) -> TimestampingServiceView:
        body = call.body_as(TimestampingServiceView)
        for approved in self.context.configuration().approved_tsas:
            if (approved.name, approved.url) == (body.name, body.url):
                cost = (approved.cost_type or CostType.UNDEFINED).value
                used = UsedService(approved.name, approved.url, cost)
                async with self.context.change() as tables:
                    tables.timestamping.add(used, call.now)
                return _service(used)
        raise bad_request("timestamping_service_not_found", body.name, body.url)

    async def delete_timestamping(self, call: Call) -> None:
        body = call.body_as(TimestampingServiceView)
        async with self.context.change() as tables:
            tables.timestamping.remove(body.name, body.url, call.now)

    async def timestamp_order(self, _call: Call) -> str:
        return self.context.process.settings.log.timestamp_order.name

    # About this server

    async def node_type(self, _call: Call) -> NodeType:
        process = self.context.process
        if process.settings.node.read_only:
            return NodeType("SECONDARY")
        # Each of several nodes takes changes, as X-Road's primary does.
        return NodeType("PRIMARY" if process.folder.database else "STANDALONE")

    async def version(self, _call: Call) -> VersionInfo:
        configuration = self.context.process.configuration()
        python = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
        return VersionInfo(
            f"Sacbé gateway {package_version('sacbe')} (Python {python})",
            21,
            21,
            21,
            True,
            "none: this server is not written in Java",
            python,
            configuration.own.shared.version if configuration else CURRENT_VERSION,
        )


def _service(used: UsedService) -> TimestampingServiceView:
    return msgspec.convert(
        {"name": used.name, "url": used.url, "cost_type": used.cost_type}, TimestampingServiceView
    )
