"""``gateway diagnose``: what is wrong, when traffic will stop, what to do; its commands, which are rows of the table, show one part."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.keys import FOLDERS, NEW_DATA, SETTINGS, open_store, stored_configuration
from gateway.server.addresses import find_health
from schemas.jsontext import dump_json, load_json
from serving.cli.commands import report_errors
from serving.language import N_, _, language_of
from serving.process.httpget import open_url
from serving.process.outward import outward_session

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509

    from certs.configuration import TrustedConfiguration
    from gateway.health.diagnosis import Diagnosis

_SEVERITY = {"stopped": N_("STOPPED"), "will-stop": N_("WILL STOP"), "notice": N_("NOTICE")}


@click.group(invoke_without_command=True)
@NEW_DATA
@click.option("--url", help="a running gateway's health address; left out: found from --data")
@SETTINGS
@click.option("--json", "as_text", is_flag=True, help="for programs, with the texts in both languages")
@click.pass_context
@report_errors
def diagnose(
    context: click.Context, /, data: Path, url: str | None, settings_file: Path | None, *, as_text: bool
) -> None:
    """Say what is wrong with keys, certificates, OCSP, timestamps and clocks.

    Asks the running gateway; when none answers, reads its data folder, looks at the modules of its tokens and asks a server
    for the time. Exits 0 when nothing is wrong, 1 when traffic has
    stopped or will stop if nothing is done, 3 for notices only. A command after it shows one part, as the running gateway sees it.
    """
    if context.invoked_subcommand is not None:
        return
    if url is None:
        FOLDERS.check(data)
    found: dict[str, Any] | None
    found, source = _ask(url or find_health(data, settings_file))
    if found is None:
        FOLDERS.check(data)
        from gateway.health.diagnosing import as_json

        found = dict(as_json(asyncio.run(_from_folder(data, settings_file))))
        source = f"{data} ({source})"
    if as_text:
        click.echo(dump_json(found, indent=2, ensure_ascii=False))
    else:
        _print(found, source, language_of(os.environ))
    severities = {f["severity"] for f in found["findings"]}
    sys.exit(0 if not severities else 3 if severities == {"notice"} else 1)


def _ask(url: str) -> tuple[dict[str, Any] | None, str]:
    try:
        with open_url(f"{url.rstrip('/')}/diagnosis", 10) as answer:
            found: dict[str, Any] = load_json(answer.read())
            return found, url
    except (OSError, ValueError) as err:
        return None, f"{url}: {err}"


async def _from_folder(data: Path, given: Path | None) -> Diagnosis:
    from gateway.health.diagnosing import Sources, Timestamping, diagnose_now
    from gateway.health.stoppedtokens import StoppedTokens
    from gateway.keys.store import KeyConfStore
    from gateway.keys.tokens import Tokens
    from gateway.settings.livesettings import LiveSettings, settings_file
    from serving.process.devices import build_devices
    from serving.process.failing import FailureReason

    store = open_store(data)
    settings = LiveSettings(store.database, settings_file(data, given), os.environ).load()
    keyconf = KeyConfStore(store.database)
    tokens = Tokens(keyconf, build_devices(settings.keys, data))
    configuration = stored_configuration(data)
    stopped = FailureReason("the gateway is not running", ("not_running",))
    members = sorted({c.id.member for c in store.load().clients})

    def responses(certificate: x509.Certificate) -> tuple[bytes | None, FailureReason | None]:
        from certs.certificates import der_of

        digest = hashlib.sha1(der_of(certificate), usedforsecurity=False).hexdigest()
        path = data / "ocsp" / f"{digest}.ocsp"
        return (path.read_bytes() if path.exists() else None), stopped

    clock = await _ask_clocks(store.anchor(), configuration)
    sources = Sources(
        keyconf,
        StoppedTokens(tokens, settings.keys),
        lambda: members,
        lambda: configuration,
        lambda: stopped,
        responses,
        lambda: Timestamping(clock_offset_s=clock[0], clock_source=clock[1]) if clock else Timestamping(),
    )
    found = await diagnose_now(sources, datetime.now(UTC))
    await tokens.close()
    store.close()
    return found


async def _ask_clocks(anchor: bytes, configuration: TrustedConfiguration | None) -> tuple[float, str] | None:
    """Seconds that this clock is ahead of a timestamping authority's or the configuration source's, and whose; None when none answers."""

    from gateway.edges.httpclock import ask_clocks
    from schemas.globalconf.anchor import parse_anchor

    urls = [source.download_url for source in parse_anchor(anchor).sources]
    if configuration is not None:
        urls = [*(t.url for t in configuration.own.shared.approved_tsas), *urls]
    async with outward_session() as session:
        return await ask_clocks(session, urls, lambda: datetime.now(UTC))


def _print(found: dict[str, Any], source: str, language: str) -> None:
    click.echo(_("According to {source}, {at}", source=source, at=found["at"]))
    if not found["findings"]:
        click.echo(_("Nothing is wrong."))
    for finding in found["findings"]:
        texts = finding.get(language) or finding["en"]
        click.echo(f"\n[{_SEVERITY[finding['severity']].into(language)}] {texts['what']}")
        if finding["stops_at"]:
            click.echo("  " + _("Traffic stops: {at}", at=finding["stops_at"]))
        click.echo("  " + _("What to do: {action}", action=texts["do"]))
