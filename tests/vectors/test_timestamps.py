"""Foreign timestamp tokens give the verdicts their origin gives."""

from __future__ import annotations

import json
from typing import Any

import pytest

from certs.algorithms import DigestAlgorithm
from certs.configuration import TrustedConfiguration
from certs.edges.configurationfiles import load_configuration_folder
from certs.verify.timestamp import TimestampPolicy, check_token
from schemas.faults import NotProved
from tests.paths import VECTORS

CASES = json.loads((VECTORS / "timestamps/cases.json").read_text(encoding="utf-8"))["cases"]
OLD = TimestampPolicy(check_purpose=False, allow_sha1=True)


def stamped(case: dict[str, Any]) -> bytes:
    name, _, change = case["data"].partition(" with byte ")
    data = bytearray((VECTORS / name).read_bytes())
    if change:
        place = int(change.split(" ", 1)[0])
        data[place] = int(change.rpartition(" ")[2], 16)
    return bytes(data)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c["name"])
def test_case(case: dict[str, Any]) -> None:
    configuration: TrustedConfiguration = load_configuration_folder(
        VECTORS / "globalconf/good_v2", strict=False
    )
    authorities = (
        configuration.ocsp_responder_certificates()
        if (case["tsa_certs"] or "").startswith("OCSP")
        else configuration.tsa_certificates()
    )
    token = (VECTORS / case["token"]).read_bytes()
    digest = DigestAlgorithm.SHA256.digest(stamped(case))
    if case["expect"]["outcome"] == "valid":
        assert (
            check_token(token, digest, authorities, policy=OLD).at.isoformat() == "2012-11-29T13:10:04+00:00"
        )
        return
    with pytest.raises(NotProved) as caught:
        check_token(token, digest, authorities, policy=OLD)
    assert caught.value.code == case["expect"]["code"]
