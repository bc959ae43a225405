"""The conformance suite of a member: how its services answer what they must refuse, through its gateway.

Each test has an id, a request and the code it must get; a member's gate wants all of them passed. The suite asks with the
member's own client, so that a candidate can run it before anybody has granted it anything.

Spec: the domain reference F30, 5.5 (gate conformidad).
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from social_security.domain import pack
from social_security.domain.notices import notice_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from social_security.wire.gatewayclient import GatewayClient

SUITE: Final = "OSS-CONF 1.0"
_WRONG_PID: Final = "C77536HD0CYA1RRC9HFC4CF1SRD"
# Well formed; a pair of the reference knows it, and no institute as its own.
_NOBODY: Final = "VMP5P6A3TQ8FQZ4H1PX3GS1Q24R"
# A published specimen, of nobody.
_SPECIMEN: Final = "SABC560626MDFLRN01"


@dataclass(frozen=True, slots=True)
class Test:
    """One test: what differs from a whole request for an affiliation, and the code that must come back."""

    id: str
    what: str
    expected: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, str] = field(default_factory=lambda: {"pid": _NOBODY})
    query: str = ""


TESTS: Final = (
    Test("C-01", "a body without the person", "SS-100", body={}),
    Test("C-02", "a PID with a wrong check character", "SS-104", body={"pid": _WRONG_PID}),
    Test("C-03", "a CURP in the address", "SS-105", query=f"?curp={_SPECIMEN}"),
    Test("C-04", "a CURP in a header", "SS-105", headers={"X-OSS-Sistema": _SPECIMEN}),
    Test("C-05", "nobody who acts", "SS-200", headers={"X-Road-UserId": ""}),
    Test("C-06", "a purpose of another service", "SS-201", headers={"X-OSS-Proposito": "PUR-ALTA"}),
    Test("C-07", "another legal basis", "SS-202", headers={"X-OSS-Fundamento": "mx:LGPDPPSO-45"}),
    Test("C-08", "another policy version", "SS-203", headers={"X-OSS-Politica": "0.0.1"}),
    Test("C-09", "another privacy notice", "SS-204", headers={"X-OSS-Aviso": f"https://x.example/a;sha256={'0' * 64}"}),
    Test("C-10", "a hidden request without its end", "SS-207", headers={"X-OSS-Oculto": "mx:LGPDPPSO-49-VI"}),
    Test("C-11", "another role", "SS-210", headers={"X-OSS-Rol": "AUDITOR"}),
    Test("C-12", "a person nobody knows", "SS-300"),
)  # fmt: skip


async def run_suite(gateway: GatewayClient, policy: str) -> dict[str, bool]:
    """Each test's outcome by id, at a member's own affiliation service."""
    member = gateway.member
    outcomes: dict[str, bool] = {}
    for test in TESTS:
        headers = {**_whole(gateway, policy), **test.headers}
        place = f"{member}/AFIL/oss-v1/afiliaciones/consultar{test.query}"
        response = await gateway.send("POST", place, {n: v for n, v in headers.items() if v}, test.body)
        outcomes[test.id] = response.body.get("codigo") == test.expected
    return outcomes


def _whole(gateway: GatewayClient, policy: str) -> dict[str, str]:
    member = gateway.member
    code = member.rpartition("/")[2]
    uri, digest = notice_of(gateway.edition(), code)
    return {
        "X-Road-Client": f"{member}/AFIL",
        "X-Road-Id": f"MX-{uuid.uuid4()}",
        "X-Road-UserId": f"MX-{code}:conformidad",
        "X-Road-Issue": f"CONS-{code[:2]}-2026-00000001",
        "X-OSS-Proposito": "PUR-AFIL",
        "X-OSS-Fundamento": ",".join(sorted(pack.purposes()["PUR-AFIL"].legal_bases[0])),
        "X-OSS-Motivo": "Prueba de conformidad",
        "X-OSS-Sistema": SUITE,
        "X-OSS-Rol": "ANALISTA_AFILIACION",
        "X-OSS-Aviso": f"{uri};sha256={digest}",
        "X-OSS-Politica": policy,
    }
