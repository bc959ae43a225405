"""A gateway that exchanges keeps its transparency log and serves it; its own command and any reader prove it whole."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner

from certs.transparency import verify_log
from gateway.cli.logwitnesses import KnownWitnesses
from gateway.cli.main import main
from schemas.transparency.announcement import witness_name
from schemas.transparency.merkle import range_hash
from schemas.transparency.notes import parse_note, parse_verifier_key
from schemas.transparency.tiles import TileName, tile_subtrees
from serving.api.evidence import save_configuration
from tests.integration.calling import AFIL, call, until
from tests.integration.conftest import CONSUMER, PROVIDER

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.federation import Federation

pytestmark = pytest.mark.processes


def fetch(path: str) -> bytes | None:
    """What the consumer's gateway serves of its log; None while there is nothing."""
    try:
        with urllib.request.urlopen(f"http://{CONSUMER.address}:5577/tlog/{path}", timeout=60) as answer:
            found: bytes = answer.read()
            return found
    except urllib.error.HTTPError:
        return None


def test_what_was_exchanged_is_in_a_log_that_anybody_can_read_and_prove(federation: Federation) -> None:
    assert call(CONSUMER.address).status == 200
    raw = until(lambda: fetch("checkpoint"), bool, 90) or b""
    environment = {"SACBE_LANG": "en", "SACBE_PIN": (federation.folder / "pin").read_text().strip()}
    data = str(federation.data(CONSUMER))
    key = parse_verifier_key(CliRunner().invoke(main, ["log", "key", "--data", data], env=environment).output)
    checkpoint = verify_log(parse_note(raw), key)

    def read(name: TileName) -> bytes:
        found = fetch(name.path)
        assert found is not None, name.path
        return found

    assert range_hash(0, checkpoint.size, tile_subtrees(checkpoint.size, read)) == checkpoint.root
    result = CliRunner().invoke(main, ["log", "verify", "--data", data, "--json"], env=environment)
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["differences"] == []


def test_heads_are_cosigned_by_the_centre_and_the_other_gateways_which_nobody_told(
    federation: Federation,
) -> None:
    assert call(CONSUMER.address).status == 200

    def cosigned() -> set[str]:
        raw, known = fetch("checkpoint"), KnownWitnesses(federation.data(CONSUMER), None)
        return set() if raw is None else set(known.cosigned(parse_note(raw)))

    others = {"MX/central/witness", witness_name(federation.server(PROVIDER))}
    assert others <= until(cosigned, others.issubset, 120)


def test_a_client_has_proofs_of_its_messages_that_anybody_verifies_offline(
    federation: Federation, tmp_path: Path
) -> None:
    message_id = f"proved-{tmp_path.name}"
    assert call(CONSUMER.address, headers={"X-Road-Id": message_id}).status == 200
    client = AFIL.split("/")
    names = ("xRoadInstance", "memberClass", "memberCode", "subsystemCode")
    asked = [*zip(names, client, strict=True), ("queryId", message_id), ("queryId", "nobody's")]

    def prove() -> Any:
        return json.loads(get(f"/recordproofs?{urlencode(asked)}"))

    told = until(
        prove, lambda found: message_id in found["proofs"] and message_id not in found["waiting"], 90
    )
    assert told["absent"] == ["nobody's"]
    request, answer = told["proofs"][message_id]
    assert (request["record"]["isResponse"], answer["record"]["isResponse"]) == (False, True)
    save_configuration(get("/verificationconf"), tmp_path / "conf")
    for name, proof in (("one", request), ("two", answer)):
        (tmp_path / f"{name}.record-proof.json").write_text(json.dumps(proof))
    files = [str(path) for path in sorted(tmp_path.glob("*.json"))]
    arguments = ["audit", "proof", "--json", "--configuration", str(tmp_path / "conf"), *files]
    found = CliRunner().invoke(main, arguments)
    assert found.exit_code == 0, found.output
    verdicts = [json.loads(line) for line in found.output.splitlines()]
    assert [(v["verdict"], v["messageId"], v["client"]) for v in verdicts] == [
        ("proved", message_id, AFIL)
    ] * 2
    request["record"]["client"] = "MX/GOB/SOMEBODY/ELSE"
    (tmp_path / "one.record-proof.json").write_text(json.dumps(request))
    refused = CliRunner().invoke(main, [a for a in arguments if a != "--json"], env={"SACBE_LANG": "en"})
    assert (refused.exit_code, refused.output.count("INVALID"), refused.output.count("PROVED")) == (1, 1, 1)


def get(path: str) -> bytes:
    """What the consumer's gateway answers its own systems."""
    with urllib.request.urlopen(f"http://{CONSUMER.address}:8080{path}", timeout=60) as answer:
        found: bytes = answer.read()
        return found
