"""``social_security portal``: serve a member's pages, and issue the accounts of those who may enter."""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from serving.errors import OperatorError
from serving.language import _
from serving.process import telemetry
from serving.process.listener import serve_until_signal
from serving.storage.keysafe import KeySafe
from serving.storage.tlsfiles import kept_context
from social_security.domain.faults import DomainError
from social_security.portal import app
from social_security.portal.accounts import GUARANTOR, REPRESENTATIVE, STAFF, Accounts, Mandate
from social_security.portal.pdfsigning import make_request
from social_security.portal.settings import load
from social_security.wire.publication import edition_in

if TYPE_CHECKING:
    import ssl
    from datetime import datetime

    from social_security.domain.edition import Edition
    from social_security.portal.settings import PortalSettings

_DATA = click.option("--data", required=True, type=click.Path(path_type=Path), help="folder of the portal")
_SETTINGS = click.option(
    "--settings", required=True, type=click.Path(path_type=Path), help="settings file (TOML)"
)


@click.group()
def portal() -> None:
    """The pages of a member: a citizen's at an institute, the guarantor's at a guarantor."""


@portal.command()
@_DATA
@_SETTINGS
def serve(data: Path, settings: Path) -> None:
    """Serve the portal's pages until the process is ended."""
    loaded = _loaded(settings)
    telemetry.configure(loaded.log_level)
    try:
        built = app.build(data, loaded)
    except OperatorError as err:
        raise click.ClickException(str(err)) from err
    serve_until_signal(built, loaded.host, loaded.port, _context(data, loaded), setting="port")


@portal.command("certificate-key")
@_DATA
@_SETTINGS
def certificate_key(data: Path, settings: Path) -> None:
    """Make the key that signs persons' certificates, sealed, and print the request for its certificate (constancias.pem)."""
    loaded = _loaded(settings)
    try:
        safe = KeySafe(loaded.seal.seals(os.environ))
        name = app.portal_name(_edition(data), loaded.member)
        click.echo(make_request(data, safe, loaded.member, name).decode("ascii"), nl=False)
    except (OSError, ValueError) as err:
        raise click.ClickException(str(err)) from err


@portal.group()
def account() -> None:
    """Accounts: issued in person at the branch, after a document has been checked."""


@account.command()
@_DATA
@_SETTINGS
@click.option("--pid", help="the person's PID at this institute; who works there and a guarantor have none")
@click.option("--role", type=click.Choice(STAFF), help="of one who works at the institute")
@click.option(
    "--mandate",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="of who acts for the person of --pid: the document that proves it; its digest is kept",
)
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="last day of the mandate")
@click.argument("name")
def issue(
    data: Path,
    settings: Path,
    pid: str | None,
    role: str | None,
    mandate: Path | None,
    until: datetime | None,
    name: str,
) -> None:
    """Issue an account, or new proofs for one: password, authenticator address and ten codes, shown this once."""
    if (mandate is None) is not (until is None) or (mandate is not None and pid is None):
        raise click.UsageError(_("who acts for a person has --pid, --mandate and --until, all three"))
    loaded = _loaded(settings)
    only_role = app.ONLY_ROLES.get(loaded.member)
    if only_role is None and _edition(data).is_guarantor(loaded.member):
        only_role = GUARANTOR
    if only_role is not None:
        if pid or role:
            raise click.UsageError(
                _("here every account is {role}: there is neither --pid nor --role", role=only_role)
            )
        role = only_role
    elif (pid is None) is (role is None):
        raise click.UsageError(
            _("at an institute an account is a person's (--pid) or of who works there (--role)")
        )
    accounts = Accounts(data)
    if mandate is not None:
        role = REPRESENTATIVE
    try:
        made = accounts.issue(name, pid, app.portal_name(_edition(data), loaded.member), role)
        if mandate is not None and until is not None:
            digest = hashlib.sha256(mandate.read_bytes()).hexdigest()
            accounts.note_mandate(name, Mandate(digest, until.date()))
    except (OSError, OperatorError, DomainError) as err:
        raise click.ClickException(str(err)) from err
    finally:
        accounts.close()
    click.echo(_("password       {password}", password=made.password))
    click.echo(_("authenticator  {uri}", uri=made.uri))
    for number, code in enumerate(made.codes, 1):
        click.echo(_("code {number:2}        {code}", number=number, code=code))


@account.command()
@_DATA
@click.argument("name")
def remove(data: Path, name: str) -> None:
    """Remove an account; its sessions end."""
    accounts = Accounts(data)
    try:
        accounts.remove(name)
    except OperatorError as err:
        raise click.ClickException(str(err)) from err
    finally:
        accounts.close()


@account.command("list")
@_DATA
def show(data: Path) -> None:
    """Every account: name, kind, and how many printed codes are left."""
    accounts = Accounts(data)
    for user in accounts.logins.users():
        click.echo(f"{user.name}  {', '.join(user.roles)}  {accounts.listed_left(user.name)}")
    accounts.close()


def _edition(data: Path) -> Edition:
    try:
        return edition_in(data)
    except ValueError as err:
        raise click.ClickException(str(err)) from err


def _loaded(settings: Path) -> PortalSettings:
    try:
        return load(settings, os.environ)
    except OperatorError as err:
        click.echo(str(err), err=True)
        sys.exit(2)


def _context(data: Path, loaded: PortalSettings) -> ssl.SSLContext | None:
    if not loaded.tls:
        return None
    host = loaded.public_host.rpartition(":")[0] or loaded.public_host
    return kept_context(data, "portal", host, KeySafe(loaded.seal.seals(os.environ)))
