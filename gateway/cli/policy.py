"""``gateway policy``: who signs policies, which are loaded, and which services are under them."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click

from certs.certificatefiles import read_certificate_der
from gateway.cli.keys import DATA, open_store
from gateway.policies.gate import Binding, Excess
from gateway.policies.store import PolicyStore
from schemas.faults import Fault
from schemas.identifiers import ClientId
from schemas.policy import Policy
from serving.language import _

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def policy() -> None:
    """Data policies: authorities, signed documents, services under them."""


@policy.command()
@DATA
@click.option("--needed", type=int, required=True, help="how many authorities must have signed a document")
@click.argument("certificates", nargs=-1, required=True, type=_FILE)
def authorities(data: Path, needed: int, certificates: tuple[Path, ...]) -> None:
    """Trust these certificates, and no others, to sign policies."""
    store = open_store(data)
    try:
        PolicyStore(store.database).set_authorities(
            [read_certificate_der(c.read_bytes()) for c in certificates], needed
        )
    except (ValueError, Fault) as err:
        _end(err)
    finally:
        store.close()


@policy.command()
@DATA
@click.argument("files", nargs=-1, required=True, type=_FILE)
def load(data: Path, files: tuple[Path, ...]) -> None:
    """Take signed documents; what is not signed by enough authorities is refused."""
    store = open_store(data)
    try:
        for file in files:
            document = PolicyStore(store.database).load(file.read_bytes(), datetime.now(UTC))
            what = document.version if isinstance(document, Policy) else f"suspends {document.member}"
            click.echo(
                _(
                    "{id}: {what}, from {effective_from:%Y-%m-%d %H:%M %Z}",
                    id=document.id,
                    what=what,
                    effective_from=document.effective_from,
                )
            )
    except Fault as err:
        _end(err)
    finally:
        store.close()


@policy.command()
@DATA
@click.option("--policy", "policy_id", required=True, help="the policy's id")
@click.option("--off", is_flag=True, help="no longer")
def precheck(data: Path, policy_id: str, off: bool) -> None:
    """Hold this gateway's own clients' requests against a policy before they leave, to fail early."""
    store = open_store(data)
    PolicyStore(store.database).precheck(policy_id, is_on=not off)
    store.close()


@policy.command()
@DATA
@click.option("--service", "services", multiple=True, required=True, help="as MX/GOB/15-ISSEMYM/HIST/oss-v1")
@click.option("--policy", "policy_id", help="the policy's id; left out: no policy")
@click.option(
    "--excess",
    type=click.Choice([e.value for e in Excess]),
    default=Excess.REFUSE.value,
    show_default=True,
    help="what happens to answers with fields that are not granted",
)
def bind(data: Path, services: tuple[str, ...], policy_id: str | None, excess: str) -> None:
    """Put services under a policy."""
    store = open_store(data)
    try:
        for service in services:
            parts = service.split("/")
            if len(parts) != 5:
                _end(
                    ValueError(
                        _("{service!r} is not instance/class/member/subsystem/service", service=service)
                    )
                )
            binding = None if policy_id is None else Binding(policy_id, Excess(excess))
            PolicyStore(store.database).bind(ClientId(*parts[:4]), parts[4], binding)
    finally:
        store.close()


@policy.command()
@DATA
def show(data: Path) -> None:
    """The documents and bindings, each document with what is wrong with it."""
    store = open_store(data)
    try:
        policies = PolicyStore(store.database)
        known, needed = policies.authorities()
        click.echo(_("authorities: {count}, signatures needed: {needed}", count=len(known), needed=needed))
        for loaded in policies.documents():
            document = loaded.document
            text = loaded.problem if document is None else f"{document.id} from {document.effective_from}"
            click.echo(f"{loaded.digest[:16]}  {text}")
        for (client, code), binding in sorted(policies.snapshot().bindings.items()):
            click.echo(
                _(
                    "{path}/{code}: {policy_id}, excess: {excess}",
                    path=client.path(),
                    code=code,
                    policy_id=binding.policy_id,
                    excess=binding.excess,
                )
            )
    finally:
        store.close()


def _end(err: Exception) -> None:
    click.echo(err.detail if isinstance(err, Fault) else str(err), err=True)
    sys.exit(1)
