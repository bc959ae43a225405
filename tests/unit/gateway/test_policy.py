"""What a policy lets through and what it refuses, at the gateway of the provider."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import msgspec
import pytest

from gateway.clients.model import Service, ServiceType
from gateway.exchange.ports import ServiceAnswer, ServiceCall
from gateway.policies.decision import (
    Deny,
    Permit,
    PolicyInput,
    claims_of,
    decide_answer,
    decide_request,
    strip_answer,
)
from gateway.policies.gate import Binding, BoundPolicies, Excess, PolicyGate, _by_name
from schemas.faults import BadMessage, Fault
from schemas.identifiers import ClientId, ServiceId
from schemas.message import Message, MessageProtocol
from schemas.policy import Policy, Suspension, parse_document
from schemas.readings import readings_of
from social_security.wire.policydocument import POLICY_ID, build_policy, build_suspension

NOW = datetime(2026, 3, 2, 15, tzinfo=UTC)
PROVIDER = ClientId("MX", "GOB", "15-ISSEMYM", "HIST")
CLIENT = ClientId("MX", "GOB", "30-IPE", "PORT")
SERVICE = Service(ServiceId(PROVIDER, "oss-v1"), ServiceType.REST, "http://127.0.0.1:9000")
HEADERS = {
    "x-road-userid": "MX-30-IPE:emp-1",
    "x-road-issue": "PORT-30-2026-00000017",
    "x-oss-proposito": "PUR-PORT",
    "x-oss-fundamento": "mx:LGPDPPSO-16-II,mx:LGPDPPSO-60",
    "x-oss-motivo": "Totalizaci%C3%B3n",
    "x-oss-sistema": "IPE-Pensiones 4.2",
    "x-oss-rol": "ANALISTA_PORTABILIDAD",
    "x-oss-aviso": f"https://ipe.example/aviso/v3;sha256={'0' * 64}",
    "x-oss-politica": "1.0.0",
}
ASKED = PolicyInput(CLIENT.path(), "HIST", "oss-v1", "POST", "/historias/consultar", HEADERS, b'{"pid":"x"}')
PERIOD = {"idPeriodo": "P-1", "version": 1, "desde": "1999-03-01", "tipo": "11", "dias": 3837}
ANSWER = {"instituto": "MX/GOB/15-ISSEMYM", "pid": "V", "periodos": [PERIOD], "totalDias": 3837}
CURP = "EEPA780514MMCJRN95"
# As somebody writes it who would have it pass.
WRITTEN = {
    "in groups": "EEPA 780514 MMCJRN 95",
    "with hyphens": "EEPA-780514-MMCJRN-95",
    "with the plus of a form": "EEPA+780514+MMCJRN95",
    "full width": "".join(chr(ord(c) + 0xFEE0) for c in CURP),
    "mathematical letters": "".join(
        chr(0x1D400 + ord(c) - 65) if c.isalpha() else chr(0x1D7CE + int(c)) for c in CURP
    ),
    "with what shows nothing": "\u200b".join(CURP),
    "soft hyphens": "\u00ad".join(CURP),
    "percent-encoded": "".join(f"%{ord(c):02x}" for c in CURP),
    "percent-encoded twice, in groups": "EEPA%2520780514%2520MMCJRN95",
    "character references": "".join(f"&#{ord(c)};" for c in CURP),
    "hexadecimal references": "".join(f"&#x{ord(c):x};" for c in CURP),
    "escapes of JSON": "".join(f"\\u{ord(c):04x}" for c in CURP),
    "escapes in braces": "".join(f"\\u{{{ord(c):x}}}" for c in CURP),
    "references, percent-encoded": "".join(f"%26%23{ord(c)}%3B" for c in CURP),
    "lower case": CURP.lower(),
}


def policy() -> Policy:
    document = parse_document(build_policy("1.0.0", NOW - timedelta(days=1)))
    assert isinstance(document, Policy)
    return document


def refused(asked: PolicyInput) -> str:
    decision = decide_request(policy(), asked)
    assert isinstance(decision, Deny)
    return f"{decision.reason} {decision.policy.refusals[decision.reason].body['codigo']}"


def granted(asked: PolicyInput = ASKED) -> Permit:
    decision = decide_request(policy(), asked)
    assert isinstance(decision, Permit)
    return decision


def with_header(name: str, value: str) -> PolicyInput:
    return replace(ASKED, headers={**HEADERS, name: value})


REFUSED = {
    "no purpose": (with_header("x-oss-proposito", ""), "purpose SS-201"),
    "a purpose of another service": (with_header("x-oss-proposito", "PUR-BENEF"), "purpose SS-201"),
    "another role": (with_header("x-oss-rol", "ANALISTA_AFILIACION"), "role SS-210"),
    "one basis of two": (with_header("x-oss-fundamento", "mx:LGPDPPSO-16-II"), "legal_basis SS-202"),
    "no user": (with_header("x-road-userid", ""), "context SS-200"),
    "a case of no form": (with_header("x-road-issue", "17"), "context SS-200"),
    "another version": (with_header("x-oss-politica", "0.9.0"), "version SS-203"),
    "a field not granted": (replace(ASKED, body=b'{"pid":"x","nombre":true}'), "request_fields SS-100"),
    "a body that is no object": (replace(ASKED, body=b"[1]"), "request_fields SS-100"),
    "a field twice": (replace(ASKED, body=b'{"pid":"x","pid":"y"}'), "request_fields SS-100"),
    "an operation nobody granted": (replace(ASKED, target="/historias/borrar"), "purpose SS-201"),
    "an operation of another subsystem": (replace(ASKED, subsystem="AFIL"), "purpose SS-201"),
    "a CURP in the path": (replace(ASKED, target=f"/historias/{CURP}"), "forbidden SS-105"),
    "a CURP in the query, encoded twice": (
        replace(ASKED, target="/x?q=" + "".join(f"%25{ord(c):02X}" for c in CURP)),
        "forbidden SS-105",
    ),
    "a CURP in a header": (with_header("x-oss-motivo", f"por {CURP.lower()}"), "forbidden SS-105"),
    "a CURP in the body": (replace(ASKED, body=json.dumps({"pid": CURP}).encode()), "forbidden SS-105"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_request_is_refused_with_its_reason(what: str) -> None:
    asked, expected = REFUSED[what]
    assert refused(asked) == expected


def test_request_with_purpose_role_basis_and_granted_fields_goes_on() -> None:
    assert granted().rule == "oss:perm-consultarHistoria"


def test_curp_is_let_through_in_the_one_field_that_may_hold_it() -> None:
    asked = replace(
        with_header("x-oss-proposito", "PUR-IDENT"),
        subsystem="IDENT",
        target="/beneficiarios/buscar",
        body=json.dumps({"curp": CURP}).encode(),
    )
    headers = {
        **asked.headers,
        "x-oss-fundamento": "mx:LGPDPPSO-16-I",
        "x-oss-rol": "ANALISTA_AFILIACION",
        "x-road-issue": "CONS-15-2026-00000001",
    }
    assert granted(replace(asked, headers=headers)).rule == "oss:perm-buscarBeneficiario"


def test_public_reading_needs_no_context() -> None:
    asked = replace(ASKED, method="GET", target="/estado", headers={}, body=None)
    assert granted(asked).fields is None


def test_answer_with_granted_fields_may_leave() -> None:
    assert decide_answer(granted(), 200, json.dumps(ANSWER).encode()) is None


@pytest.mark.parametrize(
    ("added", "where"),
    [
        ({"nombre": "Ana"}, "nombre"),
        ({"periodos": [{**PERIOD, "diagnostico": "x"}]}, "periodos.diagnostico"),
        ({"periodos": "Ana Lucía"}, "periodos"),
        ({"periodos.dias": 1}, "periodos\\.dias"),
        ({"regimen": f"de {CURP}"}, ""),
    ],
)
def test_answer_with_a_field_not_granted_may_not_leave(added: dict[str, object], where: str) -> None:
    decision = decide_answer(granted(), 200, json.dumps({**ANSWER, **added}).encode())
    assert decision is not None
    assert (decision.reason, decision.field) == ("answer_fields", where)


def test_salaries_leave_only_when_asked_for_and_for_that_purpose() -> None:
    paid = {"centavos": 1, "moneda": "MXN", "frecuencia": "MENSUAL"}
    body = json.dumps({**ANSWER, "periodos": [{**PERIOD, "sueldoBase": paid}]}).encode()
    with_pay = replace(ASKED, body=b'{"pid":"x","conSueldos":true}')
    hist = {**HEADERS, "x-oss-proposito": "PUR-HIST", "x-oss-fundamento": "mx:LGPDPPSO-16-V"}
    assert decide_answer(granted(), 200, body) is not None
    assert decide_answer(granted(with_pay), 200, body) is None
    assert decide_answer(granted(replace(with_pay, headers=hist)), 200, body) is not None


def test_stripped_answer_keeps_what_is_granted_and_nothing_else() -> None:
    body = json.dumps({**ANSWER, "nombre": "Ana", "periodos": [{**PERIOD, "x": {"y": [1]}}]}).encode()
    stripped = strip_answer(granted(), 200, body)
    assert stripped is not None
    assert json.loads(stripped) == ANSWER


def test_error_body_may_leave() -> None:
    body = json.dumps({"codigo": "SS-300", "mensaje": "No hay", "message": "None", "reintentable": False})
    assert decide_answer(granted(), 404, body.encode()) is None


def test_policy_without_an_answer_for_a_refusal_is_no_policy() -> None:
    document = json.loads(build_policy("1.0.0", NOW))
    del document["refusals"]["quota"]
    with pytest.raises(BadMessage, match="quota"):
        parse_document(json.dumps(document).encode())


# The gate: what reaches the service, and what leaves.


class System:
    """A provider's system that counts calls and gives one answer."""

    def __init__(self, answer: dict[str, object]) -> None:
        self.calls = 0
        self.headers: tuple[tuple[str, str], ...] = ()
        self._answer = json.dumps(answer).encode()

    @contextlib.asynccontextmanager
    async def call(self, call: ServiceCall) -> AsyncIterator[ServiceAnswer]:
        del call
        self.calls += 1

        async def chunks() -> AsyncIterator[bytes]:
            for i in range(0, len(self._answer), 7):
                yield self._answer[i : i + 7]

        yield ServiceAnswer(200, "OK", (("Content-Type", "application/json"), *self.headers), chunks())


class Gate:
    """A gate over one system, with the alerts it raised."""

    def __init__(
        self, answer: dict[str, object], excess: Excess = Excess.REFUSE, *documents: Policy | Suspension
    ) -> None:
        self.alerts: list[dict[str, str]] = []
        self.system = System(answer)
        self._gate = PolicyGate(lambda: NOW, lambda fields: self.alerts.append(dict(fields)))
        known = documents or (policy(),)
        self._gate.swap(
            BoundPolicies(
                {(PROVIDER, "oss-v1"): Binding(POLICY_ID, excess)},
                tuple(d for d in known if isinstance(d, Policy)),
                tuple(d for d in known if isinstance(d, Suspension)),
            )
        )

    async def ask(
        self, asked: PolicyInput = ASKED, service: Service = SERVICE
    ) -> tuple[int, dict[str, object], dict[str, str]]:
        async def body() -> AsyncIterator[bytes]:
            yield asked.body or b""

        message = Message(
            MessageProtocol.REST,
            is_response=False,
            raw=b"",
            digest=b"",
            client=CLIENT,
            service=SERVICE.id,
            message_id="m-1",
            request_id="r-1",
        )
        call = ServiceCall(message, asked.method, asked.target, tuple(asked.headers.items()), body)
        async with self._gate.guard(service, self.system.call)(call) as answered:
            raw = b"".join([chunk async for chunk in answered.chunks])
            return answered.status, json.loads(raw), dict(answered.headers)


async def test_refused_request_never_reaches_the_system_and_names_its_rule() -> None:
    gate = Gate(ANSWER)
    status, body, headers = await gate.ask(with_header("x-oss-proposito", "PUR-BENEF"))
    assert (status, body["codigo"], gate.system.calls) == (403, "SS-201", 0)
    assert body["regla"] == "oss:perm-consultarHistoria"
    assert headers["X-Sacbe-Policy"] == "1.0.0;oss:perm-consultarHistoria;refused:purpose"
    assert gate.alerts[0]["reason"] == "purpose"


async def test_field_not_granted_never_leaves_the_gateway() -> None:
    gate = Gate({**ANSWER, "nombre": "Ana Lucía"})
    status, body, _ = await gate.ask()
    assert (status, body["codigo"], body["campo"]) == (403, "SS-201", "nombre")
    assert "Ana" not in json.dumps(body)
    assert gate.alerts[0]["event"] == "policy_refused"


async def test_stripping_is_a_setting_and_is_said_in_the_answer() -> None:
    gate = Gate({**ANSWER, "nombre": "Ana Lucía"}, Excess.STRIP)
    status, body, headers = await gate.ask()
    assert (status, body) == (200, ANSWER)
    assert headers["X-Sacbe-Policy"].endswith(";stripped")
    assert gate.alerts[0]["event"] == "policy_stripped"


async def test_granted_answer_leaves_as_it_came() -> None:
    gate = Gate(ANSWER)
    status, body, headers = await gate.ask()
    assert (status, body, gate.alerts) == (200, ANSWER, [])
    assert headers["X-Sacbe-Policy"] == "1.0.0;oss:perm-consultarHistoria;granted"


@pytest.mark.parametrize("coding", ["gzip", "br", "identity, deflate", "x"])
async def test_compressed_answer_is_refused_and_never_stripped(coding: str) -> None:
    gate = Gate(ANSWER, Excess.STRIP)
    gate.system.headers = (("content-encoding", coding),)
    status, body, _ = await gate.ask()
    assert (status, body["codigo"], gate.system.calls) == (403, "SS-201", 1)


@pytest.mark.parametrize("name", ["x-oss-proposito", "x-oss-fundamento", "x-road-userid"])
async def test_header_that_comes_again_with_another_value_is_no_context(name: str) -> None:
    for values in ((HEADERS[name], "other"), ("other", HEADERS[name])):
        headers = _by_name([(name, values[0]), (name.upper(), values[1])])
        assert isinstance(decide_request(policy(), replace(ASKED, headers={**HEADERS, **headers})), Deny)


async def test_suspended_member_is_refused() -> None:
    order = parse_document(build_suspension("order-1", "MX/GOB/30-IPE", NOW, "tercera violación"))
    gate = Gate(ANSWER, Excess.REFUSE, policy(), order)
    status, body, _ = await gate.ask()
    assert (status, body["codigo"], gate.system.calls) == (403, "SS-603", 0)


async def test_bound_service_without_a_policy_in_force_is_not_called() -> None:
    later = parse_document(build_policy("1.0.0", NOW + timedelta(days=1)))
    gate = Gate(ANSWER, Excess.REFUSE, later)
    with pytest.raises(Fault, match="no version of it is in force"):
        await gate.ask()
    assert gate.system.calls == 0


async def test_new_version_takes_over_when_its_time_has_come() -> None:
    newer = parse_document(
        build_policy("1.1.0", NOW, more_answer_fields={"consultarHistoria": ("observacion",)})
    )
    gate = Gate({**ANSWER, "observacion": "x"}, Excess.REFUSE, policy(), newer)
    assert (await gate.ask())[1]["codigo"] == "SS-203"
    assert (await gate.ask(with_header("x-oss-politica", "1.1.0")))[0] == 200


async def test_quota_of_an_account_is_refused_beyond_its_number() -> None:
    document = json.loads(build_policy("1.0.0", NOW - timedelta(days=1)))
    for permission in document["permissions"]:
        permission["daily_quota"] = 2
    gate = Gate(ANSWER, Excess.REFUSE, parse_document(json.dumps(document).encode()))
    assert [(await gate.ask())[0] for _ in range(3)] == [200, 200, 429]
    assert (await gate.ask(with_header("x-road-userid", "MX-30-IPE:emp-2")))[0] == 200


async def leave(asked: PolicyInput, *, is_on: bool = True, code: str = "oss-v1") -> None:
    gate = PolicyGate(lambda: NOW, lambda _fields: None)
    gate.swap(BoundPolicies({}, (policy(),), (), frozenset((POLICY_ID,) if is_on else ())))

    async def body() -> AsyncIterator[bytes]:
        yield asked.body or b""

    message = Message(
        MessageProtocol.REST,
        is_response=False,
        raw=b"",
        digest=b"",
        client=CLIENT,
        service=ServiceId(SERVICE.id.client, code, SERVICE.id.service_version),
        message_id="m-1",
        request_id="r-1",
    )
    await gate.check_leaving(
        ServiceCall(message, asked.method, asked.target, tuple(asked.headers.items()), body)
    )


async def test_consumers_gateway_refuses_early_what_the_policy_refuses_and_says_why_in_both_languages() -> (
    None
):
    with pytest.raises(Fault) as refused:
        await leave(with_header("x-oss-rol", "AUDITOR"))
    detail = refused.value.detail
    assert "was not sent" in detail
    assert "SS-210 / El rol del solicitante no está permitido" in detail
    assert "The requester's role is not allowed" in detail
    assert "rule oss:perm-consultarHistoria, X-OSS-Rol" in detail


async def test_consumers_gateway_lets_go_what_is_granted_not_described_or_not_prechecked() -> None:
    await leave(ASKED)
    await leave(with_header("x-oss-rol", "AUDITOR"), code="another")
    await leave(with_header("x-oss-rol", "AUDITOR"), is_on=False)


async def test_soap_service_under_a_policy_that_says_nothing_of_soap_is_not_called() -> None:
    document = json.loads(build_policy("1.0.0", NOW - timedelta(days=1)))
    del document["soap"]
    gate = Gate(ANSWER, Excess.REFUSE, parse_document(json.dumps(document).encode()))
    soap = msgspec.structs.replace(SERVICE, type=ServiceType.WSDL)
    with pytest.raises(Fault, match="says nothing of SOAP"):
        await gate.ask(service=soap)
    assert gate.system.calls == 0


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"pid": CURP}).encode(),
        json.dumps({"pid": "".join(f"\\u{ord(c):04x}" for c in CURP)}).replace("\\\\", "\\").encode(),
        json.dumps({"pid": CURP}).encode("utf-16"),
        json.dumps({CURP: 1}).encode("utf-32"),
        *(json.dumps({"pid": written}).encode() for written in WRITTEN.values()),
    ],
    ids=["plain", "escaped", "UTF-16", "a name in UTF-32", *WRITTEN],
)
def test_forbidden_text_does_not_leave_however_it_is_written(body: bytes) -> None:
    refused_ = decide_answer(replace(granted(), fields=("*",)), 200, body)
    assert refused_ is not None
    assert refused_.reason == "answer_fields"


@pytest.mark.parametrize("written", WRITTEN.values(), ids=WRITTEN)
def test_forbidden_text_does_not_come_in_however_it_is_written(written: str) -> None:
    body = {**json.loads(ASKED.body or b"{}"), "nota": written}
    for asked in (
        with_header("x-oss-motivo", written),
        replace(ASKED, body=json.dumps(body).encode()),
        replace(ASKED, target=f"{ASKED.target}?q={quote(written)}"),
    ):
        refused_ = decide_request(policy(), asked)
        assert isinstance(refused_, Deny)
        assert refused_.reason == "forbidden"
        assert all(written not in told for told in claims_of(policy(), asked).values())


@pytest.mark.parametrize(
    "harmless",
    [
        "",
        "%",
        "100% & más",
        "\\u12",
        "\\u{FFFFFFF}",
        "&#99999999999;",
        "CURP",
        "a" * 100_000,
        "%25" * 50_000,
        "&amp;" * 50_000,
    ],
)
def test_harmless_text_is_read_in_linear_time_and_passes(harmless: str) -> None:
    began = time.process_time()
    assert any(reading == harmless for reading in readings_of(harmless))
    assert decide_request(policy(), with_header("x-oss-motivo", f"motivo {harmless[:500]}")) is not None
    assert time.process_time() - began < 2
