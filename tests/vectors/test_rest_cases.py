"""X-Road's REST test suite: calls through both gateways give the status, headers and error that X-Road gives."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from contextlib import AsyncExitStack
from typing import Any

import pytest

from schemas.multipart import parse_content_type
from tests.paths import VECTORS
from tests.vectors import stage
from tests.vectors.test_queries import read_setup

CASES = json.loads((VECTORS / "rest-cases.json").read_text(encoding="utf-8"))["cases"]


def answer_of(behaviour: str) -> stage.Answerer:
    """What a service that is described so writes."""
    status = re.search(r"[Aa]nswers (\d{3})", behaviour)
    assert status is not None, behaviour
    location = re.search(r"Location: (\S+)", behaviour)
    echoes = "Content-Type and body of the request" in behaviour
    assert echoes or location or "without a body" in behaviour, f"{behaviour!r} is not understood"

    def answer(seen: stage.Seen) -> bytes:
        headers = [("Location", location[1])] if location else []
        if echoes and seen.header("Content-Type"):
            headers.append(("Content-Type", str(seen.header("Content-Type"))))
        return stage.http_answer(seen.body if echoes else b"", status=int(status[1]), headers=headers)

    return answer


class Answer:
    """An HTTP answer as it stood on the wire."""

    def __init__(self, raw: bytes) -> None:
        head, _, body = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.status = int(lines[0].split(" ")[1])
        self.headers = [(n.strip().lower(), v.strip()) for n, _, v in (x.partition(":") for x in lines[1:])]
        self.body = _unchunk(body) if ("transfer-encoding", "chunked") in self.headers else body

    def all(self, name: str) -> list[str]:
        """Every value of a header."""
        return [v for n, v in self.headers if n == name.lower()]


def _unchunk(data: bytes) -> bytes:
    out = b""
    while data:
        size, _, data = data.partition(b"\r\n")
        out += data[: int(size, 16)]
        data = data[int(size, 16) + 2 :]
    return out


async def call(port: int, step: dict[str, Any], marks: dict[str, str]) -> Answer:
    """Send one request as it is written: no client may normalise its path."""
    body = b"" if step["body"] is None else step["body"].encode()
    lines = [f"{step['method']} {step['path']} HTTP/1.1", "Host: gateway", "Connection: close"]
    lines += [f"{n}: {marks.get(v, v)}" for n, v in step["headers"].items()]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    reader, writer = await asyncio.open_connection(stage.HOST, port)
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode() + body)
    raw = await reader.read()
    writer.close()
    return Answer(raw)


async def run_case(case: dict[str, Any], marks: dict[str, str]) -> list[tuple[Answer, stage.Seen | None]]:
    """Every step's answer, with what the service was sent."""
    setup = read_setup(case.get("setup", []), rest=True)
    answers = []
    for step in case["steps"]:
        async with AsyncExitStack() as stack:
            service = stage.answering(answer_of(step["service"]))
            setup.port, seen = await stack.enter_async_context(service)
            up = await stack.enter_async_context(stage.put_up(setup))
            answer = await call(up.consumer_port, step, marks)
            answers.append((answer, seen[0] if seen else None))
    return answers


def check_header(name: str, wanted: str, answer: Answer, first: Answer, marks: dict[str, str]) -> None:
    """One expected header."""
    values = answer.all(name)
    if wanted == "present":
        assert values, name
    elif wanted == "exactly one":
        assert len(values) == 1, (name, values)
    elif wanted == "differs from the first step":
        assert values
        assert values != first.all(name)
    elif name.lower() == "content-type":
        assert [parse_content_type(v) for v in values] == [parse_content_type(wanted)]
    else:
        assert values == [marks.get(wanted, wanted)]


def check_seen(sentence: str, seen: stage.Seen | None, marks: dict[str, str]) -> None:
    """What the service must have been sent."""
    assert seen is not None
    path = re.fullmatch(r"Path (/\S*?),?(?: still encoded\.)?", sentence)
    if path is not None:
        assert seen.target == path[1]
    else:
        assert sentence == "X-Road-Id is the consumer's value.", f"{sentence!r} is not understood"
        assert seen.header("X-Road-Id") == marks["<uuid>"]


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["name"])
@pytest.mark.xroad("F087")
def test_case(case: dict[str, Any]) -> None:
    fresh = str(uuid.uuid4())
    marks = {"<uuid>": fresh, "<the same uuid>": fresh}
    answers = asyncio.run(run_case(case, marks))
    for step, (answer, seen) in zip(case["steps"], answers, strict=True):
        expected = step["expect"]
        if "status" in expected:
            assert answer.status == expected["status"], answer.body
        for name, wanted in expected.get("headers", {}).items():
            check_header(name, wanted, answer, answers[0][0], marks)
        if expected.get("error"):
            assert answer.all("X-Road-Error") == [expected["error"]]
        if "json" in expected:
            assert json.loads(answer.body) == expected["json"]
        if "body_bytes" in expected:
            assert len(answer.body) == expected["body_bytes"]
        for sentence in step.get("service_sees", ()):
            check_seen(sentence, seen, marks)
