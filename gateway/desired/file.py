"""One file that says what a gateway shall serve, read into the values of `gateway.clients.model`.

Pure: text in, `ServerConf` out, or `OperatorError` with every mistake found and where it stands. `compare` says in words
what applying the file would change. The format is TOML::

    [[client]]                           # no client in the file: those in use stay as they are
    id = "MX/GOB/15-ISSEMYM/AFIL"
    connection = "HTTP"                  # HTTP, HTTPS_NO_AUTH or HTTPS (default)
    certificates = ["system.pem"]        # what its systems, or its service's TLS, may show

    [[client.service]]
    code = "oss-v1"
    type = "REST"                        # REST, OPENAPI3 or WSDL
    url = "http://127.0.0.1:9000"
    timeout_s = 60
    description = "oss.yaml"             # OPENAPI3, WSDL: the document, a file beside this one
    validation = "REFUSE"                # check messages against it: OFF (default), REPORT or REFUSE

    [[client.service.allow]]
    subject = "MX/GOB/26-ISSSTESON/AFIL"  # a client, "group:MX/code" or "local:code"
    method = "GET"                       # left out: any
    path = "/v1/**"                      # left out: the whole service

    [[client.group]]
    code = "mobility"
    members = ["MX/GOB/30-IPE/HIST"]

    [[timestamping]]                     # left out: the authorities in use stay as they are
    name = "TSA"
    url = "http://tsa.example/tsa"

Certificates wanted (``[[certificate]]``) are in `gateway.desired.certificates`.
The same names and nesting in YAML are read from a file that ends in ``.yaml`` or ``.yml``; so is a file of X-Road's security
server toolkit (`gateway.desired.toolkit`).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from yaml import YAMLError, safe_load

from gateway.clients.descriptions.described import (
    UPLOADED,
    DescribedService,
    ParsedDescription,
    check_base_url,
    check_url,
)
from gateway.clients.descriptions.openapi import parse_openapi
from gateway.clients.descriptions.wsdl import parse_wsdl
from gateway.clients.model import (
    AccessRight,
    Client,
    ConnectionType,
    Endpoint,
    LocalGroup,
    ServerConf,
    Service,
    ServiceType,
    Subject,
    Validation,
)
from gateway.clients.records import Document, TimestampingService
from gateway.desired.certificates import CertificateEntry
from gateway.desired.toolkit import from_toolkit, is_toolkit
from schemas.faults import Fault
from schemas.identifiers import (
    ClientId,
    GlobalGroupId,
    LocalGroupId,
    ServerId,
    ServiceId,
    suspicious_characters,
)
from serving.config.textfiles import parse_toml
from serving.errors import OperatorError
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class _Allow(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    subject: str
    method: str = "*"
    path: str = "**"


class _Service(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    code: str
    url: str
    type: ServiceType = ServiceType.REST
    version: str | None = None
    timeout_s: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 60.0
    verify_tls: bool = True
    disabled: str | None = None
    description: str | None = None
    validation: Validation = Validation.OFF
    allow: tuple[_Allow, ...] = ()


class _DesiredGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    code: str
    members: tuple[str, ...] = ()


class _Client(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    id: str
    connection: ConnectionType = ConnectionType.HTTPS
    certificates: tuple[str, ...] = ()
    service: tuple[_Service, ...] = ()
    group: tuple[_DesiredGroup, ...] = ()


class _Timestamping(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    name: str
    url: str
    cost_type: Literal["FREE", "PAID", "UNDEFINED"] = "UNDEFINED"


class _DesiredFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    client: tuple[_Client, ...] | None = None
    timestamping: tuple[_Timestamping, ...] | None = None
    certificate: tuple[CertificateEntry, ...] = ()


class DesiredConfiguration(msgspec.Struct, frozen=True):
    """The configuration that a file describes, with the documents it names, by digest."""

    conf: ServerConf
    documents: dict[str, Document]
    # None: the file does not speak of timestamping.
    timestamping: tuple[TimestampingService, ...] | None = None
    # Read further where the approved CAs are known: `gateway.desired.certificates`.
    certificates: tuple[CertificateEntry, ...] = ()
    # False: the file has no client, and those that are there stay, with their services, rights and groups.
    says_clients: bool = True


def _parse_document(kind: ServiceType, content: bytes) -> ParsedDescription:
    return parse_wsdl(content) if kind is ServiceType.WSDL else parse_openapi(content)


def parse_desired(
    text: str,
    server_id: ServerId,
    read_certificate: Callable[[str], bytes],
    read_document: Callable[[str], bytes],
    *,
    yaml: bool = False,
    parse_document: Callable[[ServiceType, bytes], ParsedDescription] = _parse_document,
) -> DesiredConfiguration:
    """The configuration a file asks for.

    ``read_certificate`` gives the DER behind a name in the file, ``read_document`` the bytes of a description, and
    ``parse_document`` what a description says.

    Raises `OperatorError`.
    """
    desired = _read_desired(text, server_id, yaml=yaml)
    problems: list[str] = []
    clients: list[Client] = []
    services: list[Service] = []
    rights: list[AccessRight] = []
    groups: list[LocalGroup] = []
    endpoints: list[tuple[ClientId, Endpoint]] = []
    documents = _Documents(read_document, parse_document)
    for number, entry in enumerate(desired.client or (), 1):
        where = f"client {number} ({entry.id})"
        try:
            client = _client_id(entry.id)
            clients.append(
                Client(client, entry.connection, frozenset(read_certificate(n) for n in entry.certificates))
            )
            for desired_service in entry.service:
                service, operations = documents.describe(_service(client, desired_service), desired_service)
                services.append(service)
                endpoints += [(client, e) for e in operations]
            rights += [_right(client, s, a) for s in entry.service for a in s.allow]
            groups += [
                LocalGroup(client, g.code, frozenset(_client_id(m) for m in g.members)) for g in entry.group
            ]
        except (ValueError, OSError, Fault) as err:
            problems.append(f"{where}: {err.detail if isinstance(err, Fault) else err}")
    problems += _doubles("client", (c.id.path() for c in clients))
    problems += _doubles("service", (s.id.path() for s in services))
    problems += _unknown_groups(rights, groups)
    if problems:
        raise OperatorError("\n".join(problems))
    conf = ServerConf(
        server_id,
        tuple(clients),
        tuple(services),
        tuple(dict.fromkeys(rights)),
        tuple(groups),
        tuple(dict.fromkeys(endpoints)),
    )
    return DesiredConfiguration(
        conf, documents.found, _timestamping(desired), desired.certificate, desired.client is not None
    )


def _read_desired(text: str, server_id: ServerId, *, yaml: bool) -> _DesiredFile:
    """The file as it is written, its names not looked up yet. Raises `OperatorError`."""
    try:
        return msgspec.convert(_from_yaml(text, server_id) if yaml else parse_toml(text), _DesiredFile)
    except (ValueError, YAMLError) as err:
        raise OperatorError(N_("the file is not understood: {err}", err=err)) from err
    except RecursionError as err:
        raise OperatorError(N_("the file is not understood: its values nest too deep")) from err


def _timestamping(desired: _DesiredFile) -> tuple[TimestampingService, ...] | None:
    """The authorities that the file chooses; None when it does not speak of them. Raises `OperatorError` for one twice."""
    if desired.timestamping is None:
        return None
    chosen = tuple(TimestampingService(t.name, t.url, t.cost_type) for t in desired.timestamping)
    if found := _doubles("timestamping authority", (f"{t.name} at {t.url}" for t in chosen)):
        raise OperatorError("\n".join(found))
    return chosen


def _from_yaml(text: str, server_id: ServerId) -> object:
    document = safe_load(text) or {}
    return from_toolkit(document, server_id) if is_toolkit(document) else document


class _Documents:
    """Reads each description once, and gives its services what it says of them."""

    def __init__(
        self,
        read: Callable[[str], bytes],
        parse: Callable[[ServiceType, bytes], ParsedDescription],
    ) -> None:
        self._read = read
        self._parse = parse
        self._described: dict[tuple[str, ServiceType], tuple[str, ParsedDescription]] = {}
        self.found: dict[str, Document] = {}

    def describe(self, service: Service, entry: _Service) -> tuple[Service, tuple[Endpoint, ...]]:
        """The service with its description, and the endpoints that gives it. Raises ValueError."""
        if entry.description is None:
            return service, ()
        if service.type is ServiceType.REST:
            raise OperatorError(
                N_(
                    "service {service}: a REST service has no description; say type OPENAPI3 or WSDL",
                    service=entry.code,
                )
            )
        digest, described = self._load(entry.description, service.type)
        described_service = (
            described.services[0]
            if service.type is ServiceType.OPENAPI3
            else _described_service(service, described)
        )
        operations = tuple(Endpoint(entry.code, method, path) for method, path in described.operations)
        named = msgspec.structs.replace(
            service, title=described_service.title, description=UPLOADED + entry.description, digest=digest
        )
        return named, operations

    def _load(self, name: str, kind: ServiceType) -> tuple[str, ParsedDescription]:
        if (name, kind) not in self._described:
            content = self._read(name)
            described = self._parse(kind, content)
            digest = hashlib.sha256(content).hexdigest()
            self.found[digest] = Document(content, _media_type(name, kind))
            self._described[name, kind] = digest, described
        return self._described[name, kind]


def _described_service(service: Service, described: ParsedDescription) -> DescribedService:
    for described_service in described.services:
        if (described_service.code, described_service.version) == (
            service.id.service_code,
            service.id.service_version,
        ):
            return described_service
    known = ", ".join(f"{s.code} {s.version or ''}".strip() for s in described.services)
    raise OperatorError(
        N_(
            "service {service}: its description has only {known}",
            service=service.id.service_code,
            known=known,
        )
    )


def _media_type(name: str, kind: ServiceType) -> str:
    if kind is ServiceType.WSDL:
        return "text/xml"
    return "application/json" if name.endswith(".json") else "application/yaml"


def settle(now: ServerConf, desired: ServerConf) -> ServerConf:
    """``desired``, with what it leaves open taken from what is there: a service's description, and this server's owner.

    The owner stays a client whether the file speaks of it or not: management requests are sent in its name.
    """
    owner = now.client(now.server_id.owner)
    unnamed = owner is not None and desired.client(now.server_id.owner) is None
    clients = (owner, *desired.clients) if owner is not None and unnamed else desired.clients
    services = tuple(_settled(now.service(s.id), s) for s in desired.services)
    return replace(desired, clients=clients, services=services)


def _settled(there: Service | None, service: Service) -> Service:
    if service.description:
        return service
    if there is None or there.type is not service.type or not there.digest:
        return msgspec.structs.replace(service, description=service.url)
    return msgspec.structs.replace(
        service, description=there.description, digest=there.digest, title=there.title
    )


def compare_timestamping(
    now: Sequence[TimestampingService], desired: Sequence[TimestampingService] | None
) -> list[str]:
    """The same for timestamping authorities."""
    if desired is None:
        return []
    old, new = ({f"{t.name} at {t.url}" for t in side} for side in (now, desired))
    lines = [f"- timestamping {line}" for line in sorted(old - new)]
    return lines + [f"+ timestamping {line}" for line in sorted(new - old)]


def compare(now: ServerConf, desired: ServerConf) -> list[str]:
    """The changes that applying ``desired`` would make, a line each, ``+`` added, ``-`` removed; empty when there are none."""
    lines: list[str] = []
    for title, old, new in (
        ("client", {_client_text(c) for c in now.clients}, {_client_text(c) for c in desired.clients}),
        ("service", {_service_text(s) for s in now.services}, {_service_text(s) for s in desired.services}),
        ("right", {_right_text(r) for r in now.rights}, {_right_text(r) for r in desired.rights}),
        ("group", {_group_text(g) for g in now.groups}, {_group_text(g) for g in desired.groups}),
    ):
        lines += [f"- {title} {line}" for line in sorted(old - new)]
        lines += [f"+ {title} {line}" for line in sorted(new - old)]
    return lines


def _client_id(text: str) -> ClientId:
    parts = text.split("/")
    if len(parts) not in (3, 4):
        raise OperatorError(
            N_("{text!r} is not instance/class/code or instance/class/code/subsystem", text=text)
        )
    for part in parts:
        if suspicious_characters(part):
            raise OperatorError(N_("{text!r} holds characters that identifiers may not have", text=text))
    return ClientId(*parts)


def _service(client: ClientId, entry: _Service) -> Service:
    try:
        (check_url if entry.type is ServiceType.WSDL else check_base_url)(entry.url)
    except ValueError as err:
        raise OperatorError(
            N_("service {service}: url is {url!r}: {err}", service=entry.code, url=entry.url, err=err)
        ) from err
    return Service(
        ServiceId(client, entry.code, entry.version),
        entry.type,
        entry.url,
        entry.timeout_s,
        entry.verify_tls,
        entry.disabled,
        validation=entry.validation,
    )


def _right(client: ClientId, service: _Service, entry: _Allow) -> AccessRight:
    if entry.path != "**" and not entry.path.startswith(("/", "*")):
        raise OperatorError(
            N_(
                "service {service}: path {path!r} must begin with '/' or '*'",
                service=service.code,
                path=entry.path,
            )
        )
    return AccessRight(
        client, parse_subject(entry.subject), Endpoint(service.code, entry.method.upper(), entry.path)
    )


def parse_subject(text: str) -> Subject:
    """The holder of a right as people write it: a client's path, ``group:instance/code`` or ``local:code``. Raises ValueError."""
    if text.startswith("group:"):
        parts = text.removeprefix("group:").split("/")
        if len(parts) != 2:
            raise OperatorError(N_("{text!r} is not group:instance/code", text=text))
        return GlobalGroupId(*parts)
    if text.startswith("local:"):
        return LocalGroupId(text.removeprefix("local:"))
    return _client_id(text)


def _doubles(what: str, names: Iterable[str]) -> list[str]:
    seen: set[str] = set()
    return [f"{what} {n} is there twice" for n in names if n in seen or seen.add(n)]  # type: ignore[func-returns-value]


def _unknown_groups(rights: list[AccessRight], groups: list[LocalGroup]) -> list[str]:
    known = {(g.owner, g.code) for g in groups}
    return [
        f"{r.provider.path()}: local group {r.subject.group_code!r} is granted rights but not defined"
        for r in rights
        if isinstance(r.subject, LocalGroupId) and (r.provider, r.subject.group_code) not in known
    ]


def _client_text(client: Client) -> str:
    count = len(client.certificates)
    return f"{client.id.path()} {client.connection}" + (f", {count} certificates" if count else "")


def _service_text(service: Service) -> str:
    state = "" if service.disabled is None else f", disabled: {service.disabled}"
    verify = "" if service.verify_tls else ", TLS not verified"
    checked = "" if service.validation is Validation.OFF else f", messages checked: {service.validation}"
    described = f", described by {service.description} {service.digest[:12]}" if service.digest else ""
    return (
        f"{service.id.path()} {service.type} at {service.url}, {service.timeout_s:g} s"
        f"{verify}{checked}{described}{state}"
    )


def _right_text(right: AccessRight) -> str:
    endpoint = right.endpoint
    what = "" if endpoint.is_base else f" {endpoint.method} {endpoint.path}"
    return f"{right.subject} may call {right.provider.path()}/{endpoint.service_code}{what}"


def _group_text(group: LocalGroup) -> str:
    members = ", ".join(m.path() for m in sorted(group.members))
    return f"{group.owner.path()} {group.code}: {members or 'nobody'}"
