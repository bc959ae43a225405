"""How a service of the catalogue is called: its operations as its description says them, and ready lines in four languages.

Pure. Descriptions are strangers' files: read within bounds, and every text from them is only ever shown. The lines are for a client's own
gateway, whose address is `GATEWAY`; what a stranger's path or name holds is quoted for the language it stands in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from central_server.registry.descriptions import parse_openapi, parse_wsdl
from schemas.accessrequests import REQUEST_ACCESS
from schemas.faults import BadMessage
from schemas.jsontext import dump_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from schemas.identifiers import ServiceId

GATEWAY: Final = "http://GATEWAY:8080"
METHODS: Final = ("get", "put", "post", "delete", "patch", "head", "options")
MOST_OPERATIONS: Final = 200
_WSDL: Final = "{http://schemas.xmlsoap.org/wsdl/}"


@dataclass(frozen=True, slots=True)
class DescribedCall:
    """One operation of a description: its method and path (SOAP: its name), what it does, and what it takes and answers."""

    method: str
    path: str
    summary: str = ""
    parameters: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()


def read_calls(kind: str, raw: bytes) -> tuple[DescribedCall, ...]:
    """The operations of a description, at most `MOST_OPERATIONS`; none where it cannot be read."""
    try:
        found = _wsdl_calls(raw) if kind == "WSDL" else _openapi_calls(raw) if raw else iter(())
        return tuple(call for call, _ in zip(found, range(MOST_OPERATIONS), strict=False))
    except BadMessage:
        return ()


def _wsdl_calls(raw: bytes) -> Iterator[DescribedCall]:
    seen = set()
    for operation in parse_wsdl(raw).iter(f"{_WSDL}operation"):
        name = operation.get("name") or ""
        if name and name not in seen:
            seen.add(name)
            words = " ".join(str(t) for d in operation.findall(f"{_WSDL}documentation") for t in d.itertext())
            yield DescribedCall("SOAP", name[:255], " ".join(words.split())[:500])


def _openapi_calls(raw: bytes) -> Iterator[DescribedCall]:
    paths = parse_openapi(raw).get("paths")
    for path, item in paths.items() if isinstance(paths, dict) else ():
        for method in METHODS:
            operation = item.get(method) if isinstance(item, dict) else None
            if isinstance(operation, dict):
                shared = item.get("parameters")
                yield DescribedCall(
                    method.upper(),
                    str(path)[:500],
                    _text(operation.get("summary")) or _text(operation.get("description")),
                    tuple(_parameters([*_list(shared), *_list(operation.get("parameters"))])),
                    tuple(_answers(operation.get("responses"))),
                )


def _parameters(found: list[Any]) -> Iterator[str]:
    for parameter in found[:50]:
        if isinstance(parameter, dict) and isinstance(parameter.get("name"), str):
            needed = "*" if parameter.get("required") is True else ""
            yield f"{parameter['name'][:100]}{needed} ({_text(parameter.get('in'))[:20]})"


def _answers(found: Any) -> Iterator[str]:
    for status, answer in list(found.items())[:30] if isinstance(found, dict) else ():
        words = _text(answer.get("description")) if isinstance(answer, dict) else ""
        yield f"{str(status)[:10]} {words[:200]}".strip()


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return " ".join(value.split())[:500] if isinstance(value, str) else ""


def build_examples(service: ServiceId, call: DescribedCall, client: str) -> dict[str, str]:
    """Lines that make a REST call as a client (``INSTANCE/CLASS/MEMBER/SUBSYSTEM``), by language; for SOAP, curl alone."""
    url = f"{GATEWAY}/r1/{quote(service.path(), safe='/')}{_filled(call.path)}"
    if call.method == "SOAP":
        return {"curl": f"curl {GATEWAY} -H 'Content-Type: text/xml' --data-binary @request.xml"}
    method, text = call.method, dump_json
    return {
        "curl": f"curl -X {method} {_shell(url)} \\\n  -H {_shell(f'X-Road-Client: {client}')}",
        "Python": (
            "import httpx\n\n"
            f"answer = httpx.request({text(method)}, {text(url)},\n"
            f'                       headers={{"X-Road-Client": {text(client)}}})\n'
            "print(answer.status_code, answer.text)"
        ),
        "Java": (
            f"var request = HttpRequest.newBuilder(URI.create({text(url)}))\n"
            f'    .header("X-Road-Client", {text(client)})\n'
            f"    .method({text(method)}, HttpRequest.BodyPublishers.noBody()).build();\n"
            "var answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());\n"
            'System.out.println(answer.statusCode() + " " + answer.body());'
        ),
        "Node": (
            f"const answer = await fetch({text(url)}, {{\n"
            f'  method: {text(method)}, headers: {{ "X-Road-Client": {text(client)} }},\n'
            "});\n"
            "console.log(answer.status, await answer.text());"
        ),
    }


def build_access_request_example(
    service: ServiceId, client: str, purpose: str, legal_basis: str
) -> dict[str, str]:
    """Lines that ask the provider for access as a client, through its own gateway, and that read how the request stands."""
    url = f"{GATEWAY}/r1/{quote(service.client.path(), safe='/')}/{REQUEST_ACCESS}"
    question = {"service_code": service.service_code, "purpose": purpose, "legal_basis": legal_basis}
    as_client = f"-H {_shell(f'X-Road-Client: {client}')}"
    body = dump_json(question, ensure_ascii=False)
    state_url = f"{url}?serviceCode={quote(service.service_code, safe='')}"
    return {
        "curl": (
            f"curl {_shell(url)} \\\n  {as_client} -H 'Content-Type: application/json' \\\n  --data {_shell(body)}\n"
            f"curl {_shell(state_url)} \\\n  {as_client}"
        ),
        "Python": (
            "import httpx\n\n"
            f'headers = {{"X-Road-Client": {dump_json(client)}}}\n'
            f"httpx.post({dump_json(url)}, headers=headers, json={dump_json(question)})\n"
            f"print(httpx.get({dump_json(state_url)}, headers=headers).json())"
        ),
    }


def _filled(path: str) -> str:
    """A path with its parameters as words to be replaced, quoted for an address."""
    return quote(re.sub(r"{([^{}]*)}", lambda m: m[1].upper(), path), safe="/")


def _shell(text: str) -> str:
    """A text as one word of a POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"
