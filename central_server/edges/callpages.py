"""A service of the catalogue on a page: whether it is there, its operations, and ready lines that call it; for operators and for everybody."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from central_server.registry.callexamples import (
    GATEWAY,
    build_access_request_example,
    build_examples,
    read_calls,
)
from central_server.registry.sandbox import example_request, promised_answer, refused_answer
from schemas.identifiers import ClientId, ServiceId
from schemas.names import host_in_url
from serving.language import N_, as_it_is
from serving.web.blocks import (
    Column,
    FactSheet,
    Heading,
    Listing,
    PageLink,
    PageNote,
    QueryField,
    QueryForm,
    SourceText,
    code,
    moment,
    phrase,
    several,
    text,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from central_server.registry.callexamples import DescribedCall
    from central_server.registry.sandbox import ExampleAnswer
    from central_server.store.servers import KeptServer
    from serving.web.blocks import Block, Cell


# The usual port of a gateway's console.
CONSOLE_PORT: Final = 4000
# The usual port at which systems reach their gateway.
SYSTEMS_PORT: Final = 8080
_ADDRESS: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]-]{1,255}/?")


def state_of(unreachable_since: str | None, gone_since: str | None) -> Cell:
    """Whether a service is there, or since when not."""
    if unreachable_since:
        return several(phrase(N_("not reached since"), "bad"), moment(unreachable_since))
    if gone_since:
        return several(phrase(N_("withdrawn since"), "caution"), moment(gone_since))
    return phrase(N_("available"), "good")


def call_blocks(
    service: ServiceId,
    kind: str,
    raw: bytes,
    query: Mapping[str, str],
    path: str,
    kept: tuple[tuple[str, str], ...],
    servers: Sequence[KeptServer] = (),
) -> list[Block | None]:
    """The operations of a service, lines that call the first for a client of the reader's own, and how to ask for access.

    ``servers`` are those that have the reader's client: their consoles have a form that asks.
    """
    calls = read_calls(kind, raw)
    client, purpose, basis = (query.get(n, "").strip()[:500] for n in ("cliente", "motivo", "fundamento"))
    gateway = _gateway(query.get("pasarela", ""), servers)
    shown = client.replace(":", "/") or "INSTANCE/CLASS/MEMBER/SUBSYSTEM"
    blocks: list[Block | None] = [
        _operations(calls),
        Heading(N_("For your own client")),
        QueryForm(_own_fields(client, purpose, basis, gateway), N_("Show the lines for it"), path, kept),
        *_asking(service, shown, purpose, basis, gateway),
        _forms(service, client, purpose, basis, servers),
        Heading(N_("How to call this")),
    ]
    # A SOAP service is one operation of its description, a REST service all of them.
    own = (c for c in calls if c.method == "SOAP" and c.path == service.service_code)
    call = next(own, calls[0] if calls else None)
    if call is None:
        blocks.append(PageNote(N_("Its description could not be read here; ask the institution.")))
        return blocks
    body = example_request(kind, raw, call.method, call.path)
    if gateway == GATEWAY:
        blocks.append(PageNote(N_("Say above where your gateway is: then each of these runs as it stands.")))
    examples = build_examples(service, call, shown, body, gateway)
    blocks += [SourceText(lines, as_it_is(name)) for name, lines in examples.items()]
    named = {
        "cliente": client,
        "motivo": purpose,
        "fundamento": basis,
        "pasarela": "" if gateway == GATEWAY else gateway,
    }
    settled = (*kept, *((n, v) for n, v in named.items() if v))
    blocks += _sandbox(service, kind, raw, calls, query, path, settled)
    return blocks


def _own_fields(client: str, purpose: str, basis: str, gateway: str) -> tuple[QueryField, ...]:
    """What the lines on the page are made for."""
    return (
        QueryField(
            "cliente",
            N_("Your client"),
            client,
            hint=N_("As INSTANCE:CLASS:MEMBER:SUBSYSTEM; the lines below are for it."),
        ),
        QueryField("motivo", N_("What you need it for"), purpose),
        QueryField(
            "fundamento", N_("On which legal basis"), basis, hint=N_("Law and article, or convention.")
        ),
        QueryField(
            "pasarela",
            N_("Your gateway"),
            "" if gateway == GATEWAY else gateway,
            hint=N_(
                "The address at which your systems reach it, as http://10.0.0.5:8080; its operator knows it."
            ),
        ),
    )


def _sandbox(
    service: ServiceId,
    kind: str,
    raw: bytes,
    calls: Sequence[DescribedCall],
    query: Mapping[str, str],
    path: str,
    kept: tuple[tuple[str, str], ...],
) -> list[Block | None]:
    """A call tried on the page: the answer is made of the description, with a right and without one."""
    number, right = query.get("prueba", ""), query.get("derecho", "")
    choices = tuple((str(n), as_it_is(f"{c.method} {c.path}")) for n, c in enumerate(calls))
    fields = (
        QueryField("prueba", N_("The call"), number, choices),
        QueryField(
            "derecho",
            N_("Your client"),
            right,
            (("si", N_("has a right to it")), ("no", N_("has no right to it"))),
        ),
    )
    blocks: list[Block | None] = [
        Heading(
            N_("Try it in a sandbox"),
            N_(
                "No message is sent and no data of anybody is shown: the answer is made from the examples and types of the description, and a "
                "call without a right gets the fault that the provider's server gives."
            ),
        ),
        QueryForm(fields, N_("Try the call"), path, kept),
    ]
    if not (number.isascii() and number.isdigit() and len(number) < 4 and int(number) < len(calls)):
        return blocks
    call = calls[int(number)]
    client = dict(kept).get("cliente", "").replace(":", "/") or "INSTANCE/CLASS/MEMBER/SUBSYSTEM"
    if right == "no":
        answer: ExampleAnswer | None = refused_answer(service, client, call.method, call.path)
    else:
        answer = promised_answer(kind, raw, call.method, call.path)
    if answer is None:
        blocks.append(PageNote(N_("Its description does not say what this call answers."), "caution"))
        return blocks
    blocks += [
        FactSheet(
            (
                (N_("Status"), code(str(answer.status))),
                (N_("Content type"), code(answer.content_type)),
                (
                    N_("Made from"),
                    phrase(N_("the fault of a provider's server"))
                    if right == "no"
                    else phrase(N_("an example of the description"))
                    if answer.is_example
                    else phrase(N_("the types of the description; values are made up")),
                ),
            )
        ),
        SourceText(answer.body, N_("The answer")),
    ]
    return blocks


def _gateway(typed: str, servers: Sequence[KeptServer]) -> str:
    """The address of the reader's own gateway: the one she typed, else of a server that has her client, else a word in its place."""
    if _ADDRESS.fullmatch(typed.strip()):
        return typed.strip().rstrip("/")
    return next((f"http://{host_in_url(s.address)}:{SYSTEMS_PORT}" for s in servers), GATEWAY)


def _asking(service: ServiceId, client: str, purpose: str, basis: str, gateway: str) -> list[Block | None]:
    lines = build_access_request_example(
        service, client, purpose or "WHAT YOU NEED IT FOR", basis or "LAW AND ARTICLE", gateway
    )
    return [
        Heading(
            N_("How to ask for access"),
            N_(
                "A call is let through once the provider has granted your client a right. Ask through your own gateway: your member signs the request, the provider's operators see it on their page and decide, and the last line says how it stands. Where the provider's server answers that it has no such service, ask the institution by letter."
            ),
        ),
        PageNote(
            N_(
                "Without a program: the operator of your gateway asks on the page Ask for access of its console, for the provider {provider} and the service code {service}.",
                provider=service.client.encoded(),
                service=service.service_code,
            )
        ),
        *(SourceText(text, as_it_is(name)) for name, text in lines.items()),
    ]


def _forms(
    service: ServiceId, client: str, purpose: str, basis: str, servers: Sequence[KeptServer]
) -> PageNote | None:
    """The form that asks for access at the console of each server that has the reader's client."""
    if not servers:
        return None
    named = {
        "cliente": client.replace("/", ":"),
        "proveedor": service.client.encoded(),
        "servicio": service.service_code,
        "motivo": purpose,
        "fundamento": basis,
    }
    query = urlencode({n: v for n, v in named.items() if v})
    links = tuple(
        PageLink(
            N_("Ask at {server}", server=s.id.server_code),
            f"https://{host_in_url(s.address)}:{CONSOLE_PORT}/consola/pedir-acceso?{query}",
            main=True,
        )
        for s in servers
    )
    text = N_(
        "The form, filled in, at the console of the server that has your client. It opens from your institution's network, where the console may have another address than the registered one."
    )
    return PageNote(text, links=links)


def _operations(calls: Sequence[DescribedCall]) -> Listing:
    columns = (
        Column(N_("Call"), "llamada"),
        Column(N_("What it does")),
        Column(N_("What it takes")),
        Column(N_("What it answers")),
    )
    rows = tuple(
        (
            code(f"{c.method} {c.path}"),
            text(c.summary),
            several(*(code(p) for p in c.parameters)),
            several(*(text(a) for a in c.answers)),
        )
        for c in calls
    )
    return Listing(N_("Its operations"), columns, rows, N_("No operations could be read."), "operaciones")


def parse_service(identifier: str) -> ServiceId:
    """A service from the catalogue's identifier, ``INSTANCE:CLASS:MEMBER:SUBSYSTEM:CODE[:VERSION]``."""
    parts = identifier.split(":")
    return ServiceId(ClientId(*parts[:4]), *parts[4:6])
