"""Foreign bodies between security servers: what the reader reports, whole and a byte at a time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.faults import BadMessage
from schemas.transport import (
    AttachmentData,
    AttachmentEnd,
    AttachmentStart,
    Event,
    FaultPart,
    OcspResponse,
    ProxyMessageParser,
    SignaturePart,
    SoapPart,
)
from tests.paths import VECTORS

CASES = json.loads((VECTORS / "proxymessages/cases.json").read_text(encoding="utf-8"))["cases"]
NAMES = {
    OcspResponse: "ocsp",
    SoapPart: "soap",
    AttachmentStart: "attachment",
    SignaturePart: "signature",
    FaultPart: "fault",
}
# A body that is not there cannot be given to a push parser; an empty one is the nearest thing, and has its own code.
EMPTY_BODY = {"no-input": "invalid_soap"}


def read(content_type: str, data: bytes, *, size: int) -> list[Event]:
    parser = ProxyMessageParser(content_type, allow_bare_fault=True)
    events: list[Event] = []
    for start in range(0, len(data), size):
        events += parser.feed(data[start : start + size])
    return events + parser.close()


def reported(events: list[Event]) -> list[str]:
    """What is left at the end: a fault makes what came before it void."""
    kinds: list[str] = []
    for event in events:
        if isinstance(event, AttachmentData | AttachmentEnd):
            continue
        name = NAMES[type(event)]
        kinds = [name] if name == "fault" else [*kinds, name]
    return list(dict.fromkeys(kinds))


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "bytes"])
@pytest.mark.parametrize("case", CASES, ids=lambda c: c["name"])
@pytest.mark.xroad("F088")
def test_case(case: dict[str, Any], whole: bool) -> None:
    data = b"" if case["file"] is None else (VECTORS / case["file"]).read_bytes()
    size = max(len(data), 1) if whole else 1
    if case["expect"]["outcome"] == "valid":
        assert reported(read(case["content_type"], data, size=size)) == case["yields"]
        return
    with pytest.raises(BadMessage) as caught:
        read(case["content_type"], data, size=size)
    assert caught.value.code == EMPTY_BODY.get(case["name"], case["expect"]["code"])


def test_a_bare_fault_as_a_request_is_refused() -> None:
    with pytest.raises(BadMessage) as caught:
        ProxyMessageParser("text/xml", allow_bare_fault=False)
    assert caught.value.code == "invalid_content_type"
