"""``gateway init``: a new gateway; asks at most what it cannot know, and can be run again."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.keys import NEW_DATA
from gateway.cli.localaudit import audited
from schemas.faults import Fault
from schemas.identifiers import ServerId, check_identifier
from schemas.names import check_host
from serving.cli.commands import report_errors
from serving.config.presets import preset_names
from serving.config.secret import read_secret_file
from serving.language import _
from serving.process.httpget import open_url

if TYPE_CHECKING:
    from gateway.cli.bootstrap import CertificateSubject
    from gateway.settings.config import GatewaySettings

LARGEST_ANCHOR = 1024 * 1024
# The exit status of a command that did its part and is to be run again.
NOT_WHOLE = 3


@click.command(
    help="Make a gateway: server, token, configuration, signing requests, administrator. Asks what is missing where there is a terminal; it can be run again without harm."
)
@NEW_DATA
@click.option("--anchor", help="file or URL of the configuration anchor")
@click.option(
    "--server",
    help="class/code/server, after the instance if you like",
)
@click.option(
    "--pin-file",
    type=click.Path(path_type=Path),
    help="file with the PIN; one is made when it is not there",
)
@click.option("--name", default="", help="name of the institute")
@click.option("--address", default="", help="name or IP of this server")
@click.option(
    "--host-name",
    "host_names",
    multiple=True,
    help="another name or IP that systems connect to; repeat for several",
)
@click.option(
    "--management",
    is_flag=True,
    help="provide the instance's management services",
)
@click.option(
    "--preset",
    type=click.Choice(preset_names()),
    default="mx",
    show_default=True,
    help="a country's values for the settings",
)
@click.option("--country", help="in certificates; else the preset's")
@click.option("--ca", default="", help="CA, if there are several")
@click.option("--subject", "fields", multiple=True, help="field=value of the request")
@click.option("--no-requests", is_flag=True, help="no keys and no requests")
@click.option("--admin", help="an administrator's user name")
@click.option(
    "--password-file",
    type=click.Path(path_type=Path),
    help="its password; one is made when it is not there",
)
@report_errors
@audited("INIT")
def init(
    data: Path,
    anchor: str | None,
    server: str | None,
    pin_file: Path | None,
    admin: str | None,
    password_file: Path | None,
    management: bool,
    **requested: Any,
) -> None:
    from gateway.cli.bootstrap import (
        CertificateSubject,
        found_server,
        is_pin_policy_on,
        make_internal_tls,
        write_settings,
    )
    from schemas.globalconf.anchor import parse_anchor
    from serving.config.presets import read_preset

    raw = read_anchor(_given_or_prompted(anchor, "--anchor", _("Anchor (file or URL)")))
    parsed = parse_anchor(raw)
    text = _given_or_prompted(server, "--server", _("Server (class/code/server)"))
    server_id = read_server(text, parsed.instance)
    hosts = [h for h in (requested["address"], *requested.pop("host_names")) if h]
    for host in hosts:
        check_host(host, "--address" if host == requested["address"] else "--host-name")
    pin, is_whole, chosen = _pin(data, pin_file), True, read_preset(requested.pop("preset"))
    lines = [*found_server(data, server_id, raw, pin, strict_pin=is_pin_policy_on(data, chosen))]
    lines += write_settings(data, chosen, hosts)
    if hosts:
        lines += make_internal_tls(data, pin)
    requested["country"] = requested["country"] or chosen.country
    if admin:
        lines += _administrator(data, admin, password_file)
    if not requested.pop("no_requests"):
        given = dict(field.partition("=")[::2] for field in requested.pop("fields"))
        made, is_whole = _requests(data, server_id, raw, pin, CertificateSubject(given=given, **requested))
        lines += made
    if management and is_whole:
        from gateway.cli.management import provide_management

        lines += provide_management(data, _settings(data))
    for line in lines or [_("everything was there already")]:
        click.echo(line)
    click.echo(_("Compare the anchor's hash with the central operator:"))
    click.echo(parsed.hash_text())
    if not is_whole:
        click.get_current_context().exit(NOT_WHOLE)


def _settings(data: Path) -> GatewaySettings:
    """The settings that the folder's own file says."""
    from gateway.settings import config, livesettings

    return config.load(livesettings.settings_file(data, None), os.environ)


def _requests(
    data: Path, server: ServerId, anchor: bytes, pin: str, subject: CertificateSubject
) -> tuple[list[str], bool]:
    """Keys and requests, and whether they are there; without a configuration there is no CA to ask, which is said."""
    from gateway.cli.bootstrap import are_keys_there, fetch_configuration, make_requests

    try:
        if not asyncio.run(are_keys_there(data)):
            asyncio.run(fetch_configuration(data, anchor))
    except (Fault, OSError) as err:
        reason = err.detail if isinstance(err, Fault) else str(err)
        lines = [
            _(
                "no global configuration yet ({reason}); run this command again for the signing requests",
                reason=reason,
            )
        ]
        return lines, False
    return asyncio.run(make_requests(data, server, pin, subject, _settings(data).keys.kinds())), True


def read_anchor(where: str) -> bytes:
    """The anchor in a file or at an ``http(s)`` URL."""
    if not where.startswith(("http://", "https://")):
        return Path(where).read_bytes()
    with open_url(where, 30) as answer:
        content: bytes = answer.read(LARGEST_ANCHOR + 1)
    if len(content) > LARGEST_ANCHOR:
        raise ValueError(_("{where} is no anchor: it is too large", where=where))
    return content


def read_server(text: str, instance: str) -> ServerId:
    """The identifier of a server whose instance may be left out."""
    parts = text.strip().split("/")
    parts = parts if len(parts) == 4 else [instance, *parts]
    if len(parts) != 4 or not all(parts):
        raise ValueError(_("{text!r} is not class/code/server", text=text))
    server = ServerId(*parts)
    check_identifier(server, "--server")
    return server


def _given_or_prompted(given: str | None, option: str, question: str) -> str:
    if given:
        return given
    if not sys.stdin.isatty():
        raise ValueError(_("{option} is missing", option=option))
    return str(click.prompt(question))


def _pin(data: Path, file: Path | None) -> str:
    """The PIN: of the file, which is made with a new one when it is not there; of SACBE_PIN; or asked for."""
    from gateway.cli.bootstrap import make_pin, write_secret

    if file is not None and not file.exists():
        if (data / "token" / "token.json").exists():
            raise ValueError(_("{file} is not there, and there is a PIN already", file=file))
        write_secret(file, make_pin())
        click.echo(_("new PIN in {file}; keep it elsewhere too", file=file))
    if file is not None:
        return read_secret_file(file)
    if "SACBE_PIN" in os.environ:
        return os.environ["SACBE_PIN"]
    if not sys.stdin.isatty():
        raise ValueError(_("--pin-file is missing (or the variable SACBE_PIN)"))
    new = not (data / "token" / "token.json").exists()
    return str(click.prompt("PIN", hide_input=True, confirmation_prompt=new))


def _administrator(data: Path, name: str, file: Path | None) -> list[str]:
    from gateway.admin.roles import gateway_roles
    from gateway.cli.bootstrap import make_pin, write_secret
    from gateway.settings.datafolder import find_folder
    from serving.login.users import Logins

    logins = Logins(find_folder(data, os.environ).logins)
    try:
        if logins.user(name) is not None:
            return []
        if file is None and sys.stdin.isatty():
            password = str(click.prompt(_("Password"), hide_input=True, confirmation_prompt=True))
        else:
            file = file or data / f"{name}.password"
            if not file.exists():
                write_secret(file, make_pin())
            password = read_secret_file(file)
        logins.save_user(name, password, gateway_roles().of_people())
    finally:
        logins.close()
    where = _("; its password is in {file}", file=file) if file else ""
    return [_("administrator {name} made{where}", name=name, where=where)]
