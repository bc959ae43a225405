"""Applying one file to a gateway's configuration: read, compare, prepare, change in one transaction.

Order and crashes: a key for a wanted certificate is made on its token first, where alone it changes nothing and is found
again by its label; then everything the file asks for is changed in one transaction, signing requests included; then
requests are written as files and certificates ordered, which the next `apply` does when a crash or a CA came between.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import msgspec

from certs.certificatefiles import read_certificate_der
from certs.certificates import parse_certificate
from gateway.clients.descriptions.reading import read_for_command
from gateway.desired.certificates import Missing, find_missing, read_certificates
from gateway.desired.file import compare, compare_timestamping, parse_desired, settle
from gateway.keys.store import KeyConfStore
from serving.config.textfiles import read_text_file
from serving.errors import OperatorError
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from certs.configuration import TrustedConfiguration
    from gateway.clients.store import ServerConfStore
    from gateway.desired.certificates import CertificateEntry
    from gateway.keys.model import KeyCertificate, SigningRequest
    from schemas.identifiers import ServerId


class CertificateWork(Protocol):
    """The work on missing certificates that needs keys: requests are made first, files and orders last."""

    def prepare(self, missing: Sequence[Missing]) -> tuple[SigningRequest, ...]:
        """Requests, not kept yet, with their keys on their tokens. Raises before anything is changed."""
        ...

    def finish(self, missing: Sequence[Missing], folder: Path) -> None:
        """Write the requests' files, and order what is ordered."""
        ...


class ApplyContext(msgspec.Struct, frozen=True):
    """The configuration that certificates are judged by, and who can make them; without ``work`` a file may ask for none that is missing."""

    configuration: TrustedConfiguration | None = None
    work: CertificateWork | None = None


def apply_file(
    store: ServerConfStore,
    file: Path,
    now: datetime,
    *,
    dry_run: bool = False,
    context: ApplyContext | None = None,
) -> list[str]:
    """Make the configuration what ``file`` asks for; the changes in words, none when all was so already."""
    context = context or ApplyContext()

    def read_certificate(name: str) -> bytes:
        return read_certificate_der(read(name))

    def read(name: str) -> bytes:
        return (file.parent / name).read_bytes()

    there = store.load()
    desired = parse_desired(
        read_text_file(file),
        there.server_id,
        read_certificate,
        read,
        yaml=file.suffix in (".yaml", ".yml"),
        parse_document=read_for_command,
    )
    conf = settle(there, desired.conf) if desired.says_clients else there
    changes = compare(there, conf)
    changes += compare_timestamping(store.view.timestamping.all(), desired.timestamping)
    missing: tuple[Missing, ...] = ()
    if desired.certificates:
        missing = _missing(
            store, there.server_id, desired.certificates, context.configuration, file.parent, now
        )
        changes += [f"+ {m.desired.line()}" for m in missing]
    if not changes or dry_run:
        return changes
    new = [m for m in missing if m.request is None]
    work = _work(context) if missing else None
    requests = work.prepare(new) if work is not None and new else ()
    # On the tokens now: keys that nothing speaks of. A crash here leaves the old configuration; the keys are found again.
    store.replace(conf, now, desired.documents, desired.timestamping, requests, since=there.generation)
    # On the disk now: everything the file asks for. What a crash leaves undone below is done by the next `apply`.
    if work is not None:
        made = {(r.usage, r.member, r.ca_name): r for r in requests}
        work.finish(
            [
                Missing(m.desired, m.request or made[m.desired.usage, m.desired.member, m.desired.ca])
                for m in missing
            ],
            file.parent,
        )
    return changes


def _missing(
    store: ServerConfStore,
    server: ServerId,
    certificates: tuple[CertificateEntry, ...],
    configuration: TrustedConfiguration | None,
    folder: Path,
    now: datetime,
) -> tuple[Missing, ...]:
    """The certificates that a file asks for and that are still to be had, but for those whose request already waits in its file."""
    approved = [] if configuration is None else [c.name for c in configuration.own.shared.approved_cas]
    try:
        requested = read_certificates(certificates, server, approved)
    except ValueError as err:
        raise OperatorError(str(err)) from err
    keys = KeyConfStore(store.database).list_keys()
    found = find_missing(requested, keys, lambda c, ca: _is_good(c, ca, configuration, now))
    return tuple(m for m in found if _needs_work(m, folder))


def _work(context: ApplyContext) -> CertificateWork:
    if context.work is None or context.configuration is None:
        raise OperatorError(
            N_("certificates are wanted, and there is no global configuration yet to take CAs from")
        )
    return context.work


def _needs_work(missing: Missing, folder: Path) -> bool:
    """A request that waits, with its file written, is all that can be done; an order is tried again."""
    waits = missing.request is not None and (folder / missing.desired.file).exists()
    return missing.desired.by_acme or not waits


def _is_good(
    certificate: KeyCertificate, ca: str, configuration: TrustedConfiguration | None, now: datetime
) -> bool:
    """Whether a certificate is valid in time and, where that can be told, of the named CA."""
    parsed = parse_certificate(certificate.der)
    if not parsed.not_valid_before_utc <= now <= parsed.not_valid_after_utc:
        return False
    if configuration is None:
        return True
    entries = configuration.approved_ca_entries(parsed.issuer, configuration.instance)
    return any(entry[0].name == ca for entry in entries)
