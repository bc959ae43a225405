"""Optional configuration parts: which there are, under which names, and what each must look like to be taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

from central_server.registry.refusals import RegistryCode, refuse
from schemas.faults import Fault
from schemas.globalconf.parts import (
    FETCH_INTERVAL_ID,
    FILE_NAMES,
    MONITORING_ID,
    NEXT_UPDATE_ID,
    parse_fetch_interval,
    parse_monitoring_client,
    parse_verify_next_update,
)

if TYPE_CHECKING:
    from collections.abc import Callable

_PARSERS: dict[str, Callable[[bytes], object]] = {
    MONITORING_ID: parse_monitoring_client,
    FETCH_INTERVAL_ID: parse_fetch_interval,
    NEXT_UPDATE_ID: parse_verify_next_update,
}


# Those that are given; the witnesses' part is made here (`central_server.registry.appointing`).
GIVEN_PARTS = tuple(_PARSERS)


def check_optional_part(content_id: str, raw: bytes) -> str:
    """The file name of a part, once it is known and well formed. Raises `Refused`."""
    parser = _PARSERS.get(content_id)
    if parser is None:
        raise refuse(RegistryCode.UNKNOWN_CONFIGURATION_PART, content_id)
    try:
        parser(raw)
    except Fault as fault:
        raise refuse(RegistryCode.CONFIGURATION_PART_VALIDATION_FAILED, fault.detail) from fault
    return FILE_NAMES[content_id]
