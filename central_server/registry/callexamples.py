"""How a service of the catalogue is called: its operations as its description says them, and ready programs in four languages.

Pure. Descriptions are strangers' files: read within bounds, and every text from them is only ever shown. The lines are for a client's own
gateway, whose address is `GATEWAY`; what a stranger's path or name holds is quoted for the language it stands in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote
from xml.sax.saxutils import escape

from central_server.registry.descriptions import parse_openapi, parse_wsdl
from schemas.accessrequests import REQUEST_ACCESS
from schemas.faults import BadMessage
from schemas.identifiers import ClientId, parse_client_path
from schemas.jsontext import dump_json
from schemas.soap import render_request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

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


def build_examples(
    service: ServiceId, call: DescribedCall, client: str, body: str = "", gateway: str = GATEWAY
) -> dict[str, str]:
    """Programs that call as a client (``INSTANCE/CLASS/MEMBER/SUBSYSTEM``), each by how it is run; for SOAP, curl alone.

    Each runs as it stands once ``gateway`` is the address of the reader's own. ``body`` is JSON; for SOAP one element.
    """
    if call.method == "SOAP":
        return {"curl": _soap_lines(service, client, body or _element(call.path), gateway)}
    method = call.method
    url = f"{gateway}/r1/{quote(service.path(), safe='/')}{_filled(call.path)}"
    body = "" if method in ("GET", "HEAD") else body
    headers = {"X-Road-Client": client} | ({"Content-Type": "application/json"} if body else {})
    return {
        "curl": " \\\n  ".join(
            (
                # With -X HEAD curl would wait for a body that never comes.
                f"curl {'--head' if method == 'HEAD' else f'-X {method}'} {_shell(url)}",
                *(f"-H {_shell(f'{name}: {value}')}" for name, value in headers.items()),
                *([f"--data-binary {_shell(body)}"] if body else []),
            )
        ),
        "Python (python3 call.py)": _python_call(method, url, headers, body),
        "Java (java Call.java)": _java_call(method, url, headers, body),
        "Node (node call.mjs)": _node_call(method, url, headers, body),
    }


def build_access_request_example(
    service: ServiceId, client: str, purpose: str, legal_basis: str, gateway: str = GATEWAY
) -> dict[str, str]:
    """Lines that ask the provider for access as a client, through its own gateway, and that read how the request stands."""
    url = f"{gateway}/r1/{quote(service.client.path(), safe='/')}/{REQUEST_ACCESS}"
    question = {"service_code": service.service_code, "purpose": purpose, "legal_basis": legal_basis}
    as_client = f"-H {_shell(f'X-Road-Client: {client}')}"
    body = dump_json(question, ensure_ascii=False)
    state_url = f"{url}?serviceCode={quote(service.service_code, safe='')}"
    headers = {"X-Road-Client": client}
    return {
        "curl": (
            f"curl {_shell(url)} \\\n  {as_client} -H 'Content-Type: application/json' \\\n  --data-binary {_shell(body)}\n"
            f"curl {_shell(state_url)} \\\n  {as_client}"
        ),
        "Python (python3 ask.py)": _python_call(
            "POST", url, headers | {"Content-Type": "application/json"}, body
        ),
        "Python (python3 state.py)": _python_call("GET", state_url, headers, ""),
    }


def _python_call(method: str, url: str, headers: Mapping[str, str], body: str) -> str:
    """With the standard library alone; a refusal is printed as an answer is."""
    text = partial(dump_json, ensure_ascii=False)
    data = f"    data={text(body)}.encode(),\n" if body else ""
    return (
        "import urllib.error\nimport urllib.request\n\n"
        "request = urllib.request.Request(\n"
        f"    {text(url)},\n"
        f"    method={text(method)},\n"
        f"    headers={text(dict(headers))},\n"
        f"{data})\n"
        "try:\n"
        "    answer = urllib.request.urlopen(request)\n"
        "except urllib.error.HTTPError as refused:\n"
        "    answer = refused\n"
        "print(answer.status, answer.read().decode())"
    )


def _java_call(method: str, url: str, headers: Mapping[str, str], body: str) -> str:
    """A file of its own; in ASCII, for an older Java reads its sources in the machine's encoding."""
    named = "".join(
        f"            .header({dump_json(name)}, {dump_json(value)})\n" for name, value in headers.items()
    )
    sent = f"ofString({dump_json(body)})" if body else "noBody()"
    return (
        "import java.net.URI;\n"
        "import java.net.http.HttpClient;\n"
        "import java.net.http.HttpRequest;\n"
        "import java.net.http.HttpResponse;\n\n"
        "class Call {\n"
        "    public static void main(String[] arguments) throws Exception {\n"
        f"        var request = HttpRequest.newBuilder(URI.create({dump_json(url)}))\n"
        f"{named}"
        f"            .method({dump_json(method)}, HttpRequest.BodyPublishers.{sent})\n"
        "            .build();\n"
        "        var answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());\n"
        '        System.out.println(answer.statusCode() + " " + answer.body());\n'
        "    }\n"
        "}"
    )


def _node_call(method: str, url: str, headers: Mapping[str, str], body: str) -> str:
    text = partial(dump_json, ensure_ascii=False)
    data = f"  body: {text(body)},\n" if body else ""
    return (
        f"const answer = await fetch({text(url)}, {{\n"
        f"  method: {text(method)},\n"
        f"  headers: {text(dict(headers))},\n"
        f"{data}"
        "});\n"
        "console.log(answer.status, await answer.text());"
    )


def _soap_lines(service: ServiceId, client: str, body: str, gateway: str) -> str:
    """An envelope with the headers that the protocol asks for."""
    try:
        sender = parse_client_path(client)
    except BadMessage:  # what a reader has typed so far
        sender = ClientId("INSTANCE", "CLASS", "MEMBER", "SUBSYSTEM")
    envelope = render_request(sender, service, "example-1", body, user_id="EXAMPLE").decode()
    return f"curl {_shell(f'{gateway}/')} \\\n  -H 'Content-Type: text/xml; charset=UTF-8' \\\n  --data-binary {_shell(envelope)}"


def _element(name: str) -> str:
    """A request without content, for a description that says no more."""
    return f"<{escape(name)}/>"


def _filled(path: str) -> str:
    """A path with its parameters as words to be replaced, quoted for an address."""
    return quote(re.sub(r"{([^{}]*)}", lambda m: m[1].upper(), path), safe="/")


def _shell(text: str) -> str:
    """A text as one word of a POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"
