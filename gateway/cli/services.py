"""Commands for service descriptions, services, endpoints and rights; a running gateway takes changes at once."""

from __future__ import annotations

import asyncio
import functools
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from gateway.cli.keys import DATA, open_store
from gateway.cli.localaudit import audited
from gateway.clients.model import Endpoint, ServiceType, Validation
from schemas.identifiers import ClientId
from serving.cli.commands import report_errors
from serving.cli.printing import print_values
from serving.cli.usercommands import JSON
from serving.language import _

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from gateway.clients.descriptionwriting import DescriptionSource
    from gateway.clients.model import Subject
    from gateway.clients.records import DescriptionRecord, ServiceRecord
    from gateway.clients.registration import DescriptionRegister
    from gateway.clients.store import ServerConfStore
    from gateway.clients.tables import Tables

CLIENT = click.option("--client", required=True, help="instance/class/code[/subsystem] of the provider")
SETTINGS = click.option("--settings", "settings_file", type=click.Path(path_type=Path, exists=True))
IGNORE = click.option("--ignore-warnings", is_flag=True, help="change although there are warnings")
FILE = click.option("--file", type=click.Path(path_type=Path, exists=True), help="the document itself")


@click.group()
def service() -> None:
    """Service descriptions, services and access rights of this gateway's clients."""


@service.command()
@DATA
@SETTINGS
@CLIENT
@IGNORE
@FILE
@click.option("--type", "kind", type=click.Choice([t.value for t in ServiceType]), required=True)
@click.option("--url", help="where the WSDL or OpenAPI document is, or a REST service itself")
@click.option("--code", help="service code of a REST or OPENAPI3 service; a WSDL names its own")
@report_errors
@audited("ADD_SERVICE_DESCRIPTION")
def add(
    data: Path,
    settings_file: Path | None,
    client: str,
    kind: str,
    url: str | None,
    code: str | None,
    file: Path | None,
    ignore_warnings: bool,
) -> None:
    """Add a description, from --url or --file; its services stay off until `enable`."""
    from gateway.clients.descriptionwriting import DescriptionSource

    if (url is None) == (file is None):
        raise ValueError(_("give --url or --file, and not both"))
    store = open_store(data)
    source = (
        _uploaded(ServiceType(kind), file)
        if file is not None
        else DescriptionSource(ServiceType(kind), url or "")
    )
    register = _register(store, settings_file)
    added = _judged(
        register.add(_client(client), source, code, datetime.now(UTC), ignore_warnings=ignore_warnings)
    )
    _print_result(added)
    click.echo(_("switched off; switch on with: gateway service enable {id}", id=added.id))


@service.command("list")
@DATA
@click.option("--client", help="only this provider's")
@JSON
@report_errors
def list_descriptions(data: Path, client: str | None, as_json: bool) -> None:
    """Every description with its services, endpoints and rights."""
    view = open_store(data).view
    if as_json:
        chosen = view.descriptions.all(None if client is None else _client(client))
        print_values([_described(view, record) for record in chosen], as_json=True)
        return
    for record in view.descriptions.all(None if client is None else _client(client)):
        _print_result(record)
        for code in dict.fromkeys(s.id.service_code for s in record.services):
            for endpoint in view.endpoints.all(record.client, code):
                what = (
                    ""
                    if endpoint.endpoint.is_base
                    else f" {endpoint.endpoint.method} {endpoint.endpoint.path}"
                )
                for right in view.rights.all(record.client, endpoint_id=endpoint.id):
                    click.echo(f"    {code}{what}: {right.subject}")


@service.command()
@DATA
@SETTINGS
@IGNORE
@FILE
@click.argument("number", type=int)
@report_errors
@audited("REFRESH_SERVICE_DESCRIPTION")
def refresh(
    data: Path, settings_file: Path | None, ignore_warnings: bool, file: Path | None, number: int
) -> None:
    """Read description NUMBER again, from where it came or from --file; what would change is shown first."""
    store = open_store(data)
    register = _register(store, settings_file)
    now = datetime.now(UTC)
    if file is None:
        _print_result(_judged(register.refresh(number, now, ignore_warnings=ignore_warnings)))
        return
    source = _uploaded(store.view.descriptions.get(number).type, file)
    _print_result(_judged(register.update(number, source, None, now, ignore_warnings=ignore_warnings)))


@service.command()
@DATA
@click.argument("number", type=int)
@report_errors
@audited("ENABLE_SERVICE_DESCRIPTION")
def enable(data: Path, number: int) -> None:
    """Switch the services of description NUMBER on."""
    store = open_store(data)
    _register(store, None).set_disabled(number, None)
    _print_result(store.view.descriptions.get(number))


@service.command()
@DATA
@click.argument("number", type=int)
@click.option("--notice", default="Out of order", show_default=True, help="what callers are told")
@report_errors
@audited("DISABLE_SERVICE_DESCRIPTION")
def disable(data: Path, number: int, notice: str) -> None:
    """Switch the services of description NUMBER off, with a notice for callers."""
    store = open_store(data)
    _register(store, None).set_disabled(number, notice)
    _print_result(store.view.descriptions.get(number))


@service.command()
@DATA
@click.argument("number", type=int)
@report_errors
@audited("DELETE_SERVICE_DESCRIPTION")
def remove(data: Path, number: int) -> None:
    """Delete description NUMBER with its services, endpoints and rights."""
    _register(open_store(data), None).remove(number)
    click.echo(_("description {number} deleted", number=number))


@service.command("set")
@DATA
@CLIENT
@click.argument("code")
@click.option("--url", help="where the service is")
@click.option("--timeout", type=float, help="seconds one call may take, 0 to 1000")
@click.option("--verify-tls/--no-verify-tls", default=None, help="compare the service's TLS certificate")
@click.option("--validation", type=click.Choice([v.value for v in Validation]), help="check messages")
@report_errors
@audited("EDIT_SERVICE_PARAMS")
def set_service(
    data: Path,
    client: str,
    code: str,
    url: str | None,
    timeout: float | None,
    verify_tls: bool | None,
    validation: str | None,
) -> None:
    """Change a service, named CODE or CODE.VERSION; what is left out stays."""
    from gateway.clients.registration import ServiceSettings

    store = open_store(data)
    record = _service(store.view, client, code)
    changed = msgspec.structs.replace(
        record,
        url=url or record.url,
        timeout_s=record.timeout_s if timeout is None else timeout,
        ssl_auth=record.ssl_auth if verify_tls is None else verify_tls,
        validation=record.validation if validation is None else Validation(validation),
    )
    settings = ServiceSettings(
        changed.url, changed.timeout_s, changed.ssl_auth, validation=changed.validation
    )
    _print_service(_register(store, None).set_service(record.id, settings))


@service.command("add-endpoint")
@DATA
@CLIENT
@click.argument("code")
@click.argument("method")
@click.argument("path")
@report_errors
@audited("ADD_ENDPOINT")
def add_endpoint(data: Path, client: str, code: str, method: str, path: str) -> None:
    """Add an endpoint to a REST service: METHOD or *, and a PATH pattern with * and **."""
    store = open_store(data)
    record = _service(store.view, client, code)
    added = _register(store, None).add_endpoint(record.id, method.upper(), path)
    click.echo(
        _(
            "endpoint {id}: {method} {path}",
            id=added.id,
            method=added.endpoint.method,
            path=added.endpoint.path,
        )
    )


@service.command()
@DATA
@CLIENT
@click.argument("code")
@click.argument("subject")
@click.option("--method", default="*", show_default=True)
@click.option("--path", default="**", show_default=True)
@click.option("--force", is_flag=True, help="also for a subject that nobody knows here (yet)")
@report_errors
@audited("ADD_ACCESS_RIGHTS")
def allow(data: Path, client: str, code: str, subject: str, method: str, path: str, force: bool) -> None:
    """Let SUBJECT call a service: a client, group:instance/code or local:code; whole, or one endpoint of it."""
    from gateway.cli.knownsubjects import wait_for_subject

    if not force:
        wait_for_subject(data, _subject(subject), _client(client))
    with open_store(data).change() as tables:
        found = tables.endpoints.find(_client(client), Endpoint(code, method.upper(), path))
        if found is None:
            raise ValueError(_no_endpoint(tables, client, code, method, path))
        tables.rights.grant(found, _subject(subject), datetime.now(UTC))
    what = code if (method, path) == ("*", "**") else f"{code} {method} {path}"
    click.echo(_("{subject} may call {what}", subject=subject, what=what))


@service.command()
@DATA
@CLIENT
@click.argument("code")
@click.argument("subject")
@click.option("--method", default="*", show_default=True)
@click.option("--path", default="**", show_default=True)
@report_errors
@audited("REMOVE_ACCESS_RIGHTS")
def deny(data: Path, client: str, code: str, subject: str, method: str, path: str) -> None:
    """Take back what `allow` granted."""
    with open_store(data).change() as tables:
        found = tables.endpoints.find(_client(client), Endpoint(code, method.upper(), path))
        if found is None:
            raise ValueError(_no_endpoint(tables, client, code, method, path))
        tables.rights.revoke(found, _subject(subject))
    click.echo(_("{subject} may no longer call {code}", subject=subject, code=code))


def _register(store: ServerConfStore, settings_file: Path | None) -> DescriptionRegister:
    from gateway.clients.descriptions.fetching import fetch_description
    from gateway.clients.descriptions.reading import COMMAND_LIMITS, DescriptionReader
    from gateway.clients.descriptions.validating import with_validator
    from gateway.clients.registration import DescriptionRegister
    from gateway.settings import config

    settings = config.load(settings_file, os.environ).descriptions
    read = with_validator(DescriptionReader(COMMAND_LIMITS).read, lambda: settings.wsdl_validator_command)
    return DescriptionRegister(store, functools.partial(fetch_description, settings.policy()), read)


def _judged(act: Coroutine[object, object, DescriptionRecord]) -> DescriptionRecord:
    """Do it, or show the warnings and exit 3."""
    from serving.errors import Refused

    try:
        return asyncio.run(act)
    except Refused as found:
        if not found.warnings:
            raise
        for warning in found.warnings:
            click.echo(f"{warning.code}: {', '.join(warning.metadata)}")
        click.echo(
            _("nothing was changed; to change it all the same, add --ignore-warnings"),
            err=True,
        )
        sys.exit(3)


def _uploaded(kind: ServiceType, file: Path) -> DescriptionSource:
    from gateway.clients.descriptionwriting import DescriptionSource
    from gateway.clients.records import Document

    media_types = {".json": "application/json", ".yaml": "application/yaml", ".yml": "application/yaml"}
    media_type = "text/xml" if kind is ServiceType.WSDL else media_types.get(file.suffix, "text/plain")
    return DescriptionSource.uploaded(kind, file.name, Document(file.read_bytes(), media_type))


def _client(text: str) -> ClientId:
    parts = text.split("/")
    if len(parts) not in (3, 4):
        raise ValueError(_("{text!r} is not instance/class/code or instance/class/code/subsystem", text=text))
    return ClientId(*parts)


def _subject(text: str) -> Subject:
    from gateway.desired.file import parse_subject

    return parse_subject(text)


def _service(tables: Tables, client: str, code: str) -> ServiceRecord:
    found = next((s for s in tables.descriptions.services(_client(client)) if s.full_code == code), None)
    if found is None:
        raise ValueError(_no_service(tables, client, code))
    return found


def _no_endpoint(tables: Tables, client: str, code: str, method: str, path: str) -> str:
    if any(s.id.service_code == code for s in tables.descriptions.services(_client(client))):
        return _(
            "service {code} has no endpoint {method} {path}; add it with 'service add-endpoint'",
            code=code,
            method=method,
            path=path,
        )
    return _no_service(tables, client, code)


def _no_service(tables: Tables, client: str, code: str) -> str:
    """Says which services there are, the nearest name first."""
    from gateway.cli.knownsubjects import nearest

    services = tables.descriptions.services(_client(client))
    known = sorted({n for s in services for n in (s.full_code, s.id.service_code)})
    there = ", ".join(dict.fromkeys(s.full_code for s in services)) or _("none")
    close = nearest(code, known)
    meant = _("; do you mean {close}?", close=close) if close else ""
    return _(
        "{client} has no service {code}{meant} (there are: {there})",
        client=client,
        code=code,
        meant=meant,
        there=there,
    )


def _described(view: Tables, record: DescriptionRecord) -> dict[str, object]:
    """A description with its services and who may call them."""
    codes = dict.fromkeys(s.id.service_code for s in record.services)
    rights = [
        {
            "service": code,
            "method": endpoint.endpoint.method,
            "path": endpoint.endpoint.path,
            "subject": str(right.subject),
        }
        for code in codes
        for endpoint in view.endpoints.all(record.client, code)
        for right in view.rights.all(record.client, endpoint_id=endpoint.id)
    ]
    return {
        "number": record.id,
        "client": record.client.path(),
        "type": record.type.value,
        "url": record.url,
        "disabled": record.disabled,
        "notice": record.notice,
        "services": [
            {
                "code": s.full_code,
                "url": s.url,
                "timeout_s": s.timeout_s,
                "verify_tls": s.ssl_auth,
                "validation": s.validation.value,
            }
            for s in record.services
        ],
        "rights": rights,
    }


def _print_result(record: DescriptionRecord) -> None:
    state = f"off ({record.notice})" if record.disabled else "on"
    click.echo(f"{record.id} {record.client.path()} {record.type} {record.url} {state}")
    for found in record.services:
        _print_service(found)


def _print_service(found: ServiceRecord) -> None:
    verified = "verified" if found.ssl_auth else "not verified"
    checked = "" if found.validation is Validation.OFF else f", messages checked: {found.validation}"
    click.echo(f"  {found.full_code} at {found.url or '?'}, {found.timeout_s:g} s, TLS {verified}{checked}")
