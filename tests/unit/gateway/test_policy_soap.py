"""A policy over SOAP messages: the same decisions, by the context's elements and the paths of the body."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

import pytest
from lxml import etree

from gateway.clients.model import Service, ServiceType
from gateway.exchange.ports import ServiceAnswer, ServiceCall
from gateway.policies.gate import Binding, BoundPolicies, MemoryLedger, PolicyGate
from schemas import soap
from schemas.faults import BadMessage, Kind
from schemas.faultxml import SOAP_NS
from schemas.identifiers import ClientId, ServiceId
from social_security.wire.policydocument import POLICY_ID
from social_security.wire.soapwords import NS
from tests.unit.gateway.test_policy import CURP, NOW, policy

CLIENT, PROVIDER = ClientId("MX", "GOB", "30-IPE", "AFIL"), ClientId("MX", "GOB", "15-ISSEMYM", "AFIL")
SERVICE = Service(
    ServiceId(PROVIDER, "consultarAfiliacion", "v1"), ServiceType.WSDL, "http://127.0.0.1:9000/soap"
)
CONTEXT = (
    "<ss:proposito>{purpose}</ss:proposito><ss:fundamento>mx:LGPDPPSO-16-II</ss:fundamento><ss:caso>c</ss:caso>"
    "<ss:motivo>m</ss:motivo><ss:sistema>{system}</ss:sistema><ss:rolSolicitante>ANALISTA_AFILIACION</ss:rolSolicitante>"
    '<ss:avisoPrivacidad uri="https://ipe.example/a" sha256="{notice}"/><ss:versionPolitica>1.0.0</ss:versionPolitica>'
)
REQUEST = (
    "<ss:consultarAfiliacion><ss:persona><ss:pid>{pid}</ss:pid></ss:persona>{more}</ss:consultarAfiliacion>"
)
ANSWER = "<ss:estado>BAJA</ss:estado><ss:regimen>r</ss:regimen><ss:desde>2000-01-01</ss:desde>"


def envelope(body: str, context: str) -> bytes:
    raw = soap.render_request(CLIENT, SERVICE.id, "m-1", "<placeholder/>", user_id="MX-30-IPE:emp-1").decode()
    head = f'<ss:contexto xmlns:ss="{NS}">{context}</ss:contexto><xroad:issue>CONS-30-2026-00000001</xroad:issue>'
    raw = raw.replace("</soap:Header>", f"{head}</soap:Header>").replace(
        "<soap:Envelope", f'<soap:Envelope xmlns:ss="{NS}"'
    )
    return raw.replace("<placeholder/>", body).encode()


async def ask(
    *,
    answer: str = ANSWER,
    purpose: str = "PUR-AFIL",
    system: str = "S",
    notice: str = "0" * 64,
    pid: str = "V",
    more: str = "",
    after: str = "",
    operation: str = "consultarAfiliacion",
) -> tuple[etree._Element, MemoryLedger, int]:
    calls, ledger = 0, MemoryLedger()
    raw = envelope(
        REQUEST.format(pid=pid, more=more).replace("consultarAfiliacion", operation),
        CONTEXT.format(purpose=purpose, system=system, notice=notice) + after,
    )

    @contextlib.asynccontextmanager
    async def system_(_call: ServiceCall) -> AsyncIterator[ServiceAnswer]:
        nonlocal calls
        calls += 1

        async def chunks() -> AsyncIterator[bytes]:
            yield envelope(f"<ss:consultarAfiliacionResponse>{answer}</ss:consultarAfiliacionResponse>", "")

        yield ServiceAnswer(200, "OK", (("Content-Type", "text/xml; charset=utf-8"),), chunks())

    gate = PolicyGate(lambda: NOW, lambda _fields: None, ledger)
    gate.swap(BoundPolicies({(PROVIDER, "consultarAfiliacion"): Binding(POLICY_ID)}, (policy(),)))
    message = soap.parse_message(raw).to_message("r-1", is_response=False)
    async with gate.guard(SERVICE, system_)(ServiceCall(message, "POST", "", ())) as answered:
        body = b"".join([chunk async for chunk in answered.chunks])
        assert (answered.status, answered.header("content-type")) == (200, "text/xml; charset=utf-8")
    found = etree.fromstring(body).find(f"{{{SOAP_NS}}}Body/{{{NS}}}consultarAfiliacionResponse")
    assert found is not None
    return found, ledger, calls


def code(element: etree._Element) -> str | None:
    return element.findtext(f"{{{NS}}}error/{{{NS}}}codigo")


async def test_granted_request_reaches_the_system_and_its_answer_leaves_as_it_came() -> None:
    element, ledger, calls = await ask()
    assert (code(element), element.findtext(f"{{{NS}}}estado"), calls) == (None, "BAJA", 1)
    assert ledger.refusals == []


REFUSED: dict[str, tuple[dict[str, str], str]] = {
    "another purpose": ({"purpose": "PUR-PORT"}, "SS-201"),
    "no notice": ({"notice": "x"}, "SS-200"),
    "a field not granted": ({"more": "<ss:nombre>x</ss:nombre>"}, "SS-100"),
    "a CURP as the person": ({"pid": CURP}, "SS-105"),
    "a CURP in the context": ({"system": CURP}, "SS-105"),
    "a CURP in a comment": ({"more": f"<!-- {CURP} -->"}, "SS-105"),
    "a CURP in an attribute": ({"more": f'<ss:x y="{CURP}"/>'}, "SS-105"),
    "a CURP in character references": ({"pid": "&#69;" + CURP[1:]}, "SS-105"),
}


@pytest.mark.parametrize("what", REFUSED)
async def test_request_is_refused_in_an_ordinary_answer_and_never_reaches_the_system(what: str) -> None:
    changed, expected = REFUSED[what]
    element, ledger, calls = await ask(**changed)
    assert (code(element), calls) == (expected, 0)
    assert [n for n in element.itertext() if CURP in n] == []
    assert ledger.refusals[0].rule.startswith(("oss:", "https:"))
    assert CURP not in str(ledger.refusals[0])


@pytest.mark.parametrize(
    "answer", ["<ss:nombre>Ana</ss:nombre>", f"{ANSWER}<ss:domicilio>x</ss:domicilio>", f"{ANSWER}<!-- x -->"]
)
async def test_answer_with_more_than_is_granted_does_not_leave(answer: str) -> None:
    element, ledger, calls = await ask(answer=answer)
    assert (code(element), calls) == ("SS-201", 1)
    assert "Ana" not in "".join(map(str, element.itertext()))
    assert ledger.refusals[0].claims["persona.pid"] == "V"


async def test_domain_error_of_the_system_leaves() -> None:
    element, _, _ = await ask(
        answer="<ss:error><ss:codigo>SS-300</ss:codigo><ss:mensaje>m</ss:mensaje></ss:error>"
    )
    assert code(element) == "SS-300"


@pytest.mark.parametrize(
    "block",
    ["", "<ss:proposito>PUR-PORT</ss:proposito>", CONTEXT.format(purpose="PUR-PORT", system="S", notice="0")],
)
async def test_second_context_in_the_header_is_refused(block: str) -> None:
    second = f"</ss:contexto><ss:contexto>{block}"
    with pytest.raises(BadMessage) as refused:
        await ask(after=second)
    assert refused.value.kind is Kind.DUPLICATE_HEADER_FIELD


async def test_operation_of_another_name_than_the_service_decided_on_is_refused() -> None:
    with pytest.raises(BadMessage) as refused:
        await ask(operation="consultarAfiliacionSecreta")
    assert refused.value.kind is Kind.INCONSISTENT_HEADERS


async def test_element_of_the_context_said_twice_or_with_braces_in_it_is_no_purpose() -> None:
    again = "<ss:proposito>PUR-PORT</ss:proposito>"
    assert code((await ask(after=again))[0]) == "SS-201"
    assert code((await ask(purpose="{proposito}"))[0]) == "SS-201"
    assert code((await ask(purpose="<ss:a>PUR-AFIL</ss:a>"))[0]) == "SS-201"
