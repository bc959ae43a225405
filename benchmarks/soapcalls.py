"""Calls over SOAP through a member's gateway, as its system would make them."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
import uuid
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from lxml import etree

from benchmarks.calls import Call, Reply
from benchmarks.country import Country, member_path
from social_security.domain import pack
from social_security.domain.edition import package_edition
from social_security.domain.notices import notice_of
from social_security.wire import soapwords
from social_security.wire.soapface import IDENTIFIERS, NS, SOAP, XROAD

if TYPE_CHECKING:
    from collections.abc import Mapping


def soap_call(country: Country, client: str, provider: str, service: str, content: str, call: Call) -> Reply:
    """One service over SOAP; ``content`` is the inside of its element. The body holds every leaf of the answer by name."""
    operation = pack.operations()[soapwords.OPERATIONS[service]]
    path, message_id = f"{member_path(provider)}/{operation.subsystem}", f"MX-{uuid.uuid4()}"
    raw = _envelope(
        client, f"{path}/{service}/v1", message_id, f"<ss:{service}>{content}</ss:{service}>", call
    )
    request = urllib.request.Request(
        f"http://{country.address(client.partition('/')[0])}:8080/",
        data=raw.encode(),
        headers={"Content-Type": "text/xml; charset=utf-8", "SOAPAction": '""'},
    )
    started = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=90) as answer:
            status, text = answer.status, answer.read()
    except urllib.error.HTTPError as err:
        status, text = err.code, err.read()
    took = (time.monotonic() - started) * 1000
    body = etree.fromstring(text).find(f"{{{SOAP}}}Body")
    leaves: Mapping[str, str] = {
        etree.QName(e).localname: e.text or "" for e in ([] if body is None else body.iter()) if len(e) == 0
    }
    return Reply(status, dict(leaves), leaves.get("faultcode"), message_id, client, path, took)


def _envelope(client: str, service: str, message_id: str, element: str, call: Call) -> str:
    code, subsystem = client.split("/")
    uri, digest = notice_of(package_edition(), code)
    bases = call.bases or sorted(pack.purposes()[call.purpose].legal_bases[0])
    based = "".join(f"<ss:fundamento>{b}</ss:fundamento>" for b in bases)
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<soap:Envelope xmlns:soap="{SOAP}" xmlns:xro="{XROAD}" xmlns:id="{IDENTIFIERS}" xmlns:ss="{NS}"><soap:Header>
{_identifier("client", "SUBSYSTEM", f"{member_path(code)}/{subsystem}")}
{_identifier("service", "SERVICE", service)}
<xro:userId>MX-{code}:{call.user}</xro:userId><xro:id>{message_id}</xro:id><xro:issue>{call.case}</xro:issue>
<xro:protocolVersion>4.0</xro:protocolVersion>
<ss:contexto><ss:proposito>{call.purpose}</ss:proposito>{based}<ss:caso>{call.case}</ss:caso>
<ss:motivo>{escape(call.reason)}</ss:motivo><ss:sistema>{escape(call.system)}</ss:sistema>
<ss:rolSolicitante>{call.role}</ss:rolSolicitante><ss:avisoPrivacidad uri="{uri}" sha256="{digest}"/>
<ss:versionPolitica>1.0.0</ss:versionPolitica></ss:contexto></soap:Header><soap:Body>{element}</soap:Body></soap:Envelope>"""


def _identifier(name: str, kind: str, path: str) -> str:
    names = ("xRoadInstance", "memberClass", "memberCode", "subsystemCode", "serviceCode", "serviceVersion")
    parts = "".join(f"<id:{n}>{v}</id:{n}>" for n, v in zip(names, path.split("/"), strict=False))
    return f'<xro:{name} id:objectType="{kind}">{parts}</xro:{name}>'
