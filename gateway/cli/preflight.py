"""``gateway preflight``: a machine against the written targets, in a report that the member signs."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.keys import NEW_DATA, PIN, open_store, read_pin, stored_configuration
from gateway.server.addresses import find_health, settings_of
from serving.cli.commands import report_errors
from serving.config.textfiles import read_toml_file
from serving.language import _

if TYPE_CHECKING:
    from schemas.policy import Signature


@click.command()
@NEW_DATA
@PIN
@click.option("--settings", "settings_file", type=click.Path(path_type=Path, exists=True))
@click.option("--url", help="the gateway's health address; left out: found from --data")
@click.option("--targets", type=click.Path(path_type=Path, exists=True), help="other targets, as TOML")
@click.option(
    "--out", type=click.Path(path_type=Path), help="where the signed report goes; left out: not signed"
)
@report_errors
def preflight(
    data: Path,
    pin_file: Path | None,
    settings_file: Path | None,
    url: str | None,
    targets: Path | None,
    out: Path | None,
) -> None:
    """Test this machine for what a gateway needs; exit 1 when a target is not met.

    Processor, memory, disk, clock, ports, names, certificates, timestamping and OCSP authorities, and a backup that is
    made and restored. With --out the report is signed by the server owner's signing key.
    """
    import msgspec

    from gateway.health.preflight import Targets, judge, render_report
    from gateway.health.preflighting import gather_facts

    least = Targets() if targets is None else msgspec.convert(read_toml_file(targets), Targets)
    store = open_store(data)
    server = store.server_id().path()
    store.close()
    settings = settings_of(data, settings_file)
    address = url or find_health(data, settings_file)
    facts = gather_facts(data, settings, stored_configuration(data), address, server)
    checks = judge(facts, least)
    for check in checks:
        click.echo(f"{'ok    ' if check.passed else 'FAILED'}  {check.id:12}  {check.target}: {check.found}")
    if out is not None:
        from schemas.policy import SignedDocument, render_signed

        raw = render_report(server, datetime.now(UTC), checks)
        signature = asyncio.run(_sign(data, read_pin(pin_file), raw))
        out.write_bytes(render_signed(SignedDocument(raw, (signature,))))
        click.echo(_("signed report: {out}", out=out))
    sys.exit(0 if all(c.passed for c in checks) else 1)


async def _sign(data: Path, pin: str, raw: bytes) -> Signature:
    """The report signed by the active signing key of the server's owner. Raises ValueError without one."""
    from certs.algorithms import SignatureAlgorithm
    from certs.certificates import parse_certificate
    from certs.edges.tokenfiles import TokenFolder
    from certs.policies import sign_policy
    from certs.tokens.soft import SoftToken
    from gateway.keys.model import KeyUsage
    from gateway.keys.store import KeyConfStore

    store = open_store(data)
    owner = store.server_id().owner
    found = [
        c
        for c in KeyConfStore(store.database).certificates()
        if c.usage is KeyUsage.SIGNING and c.active and c.member in (owner, None)
    ]
    store.close()
    if not found:
        raise ValueError(
            _("{path} has no active signing certificate in {data}", path=owner.path(), data=data)
        )
    token = SoftToken(TokenFolder(data / "token"))
    token.unlock(pin)
    try:
        algorithm = SignatureAlgorithm.for_key(token.public_key(found[0].key_id))
        parse_certificate(found[0].der)
        return await sign_policy(raw, token, found[0].key_id, algorithm, found[0].der)
    finally:
        token.close()
