"""ONIESS's publication: the key it is signed with, publishing a version, showing one, and trusting its key at a system."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from schemas.jsontext import load_json
from serving.config.secret import SecretSource
from serving.entrance import write_whole
from serving.language import _
from social_security.domain.edition import package_edition
from social_security.domain.notices import all_notices
from social_security.domain.pack import parse_members
from social_security.domain.published import (
    PARTS,
    build_payload,
    key_id,
    read_public_key,
    sign_payload,
    verify_published,
)
from social_security.newfiles import new_file
from social_security.oniess.membership import standings
from social_security.oniess.store import OniessStore
from social_security.oniess.tables import STEPS
from social_security.wire.books import holds, open_books
from social_security.wire.publication import COPY_FILE, KEY_FILE, check_digest

if TYPE_CHECKING:
    from social_security.domain.published import SignedLists

NAME = "publicacion"
_DATA = click.option(
    "--data", required=True, type=click.Path(path_type=Path, exists=True), help="folder of the system"
)
_SECRET = click.option(
    "--secret-file",
    required=True,
    type=click.Path(path_type=Path, exists=True),
    help="file with the key's passphrase",
)


@click.group()
def publication() -> None:
    """Members, calendars, benefits, conventions and privacy notices as ONIESS's signed publication."""


@publication.command("key")
@_SECRET
@click.argument("out", type=click.Path(path_type=Path))
def make_key(secret_file: Path, out: Path) -> None:
    """Make the key that publications are signed with: OUT, sealed by the passphrase, and OUT.pub, which every system trusts."""
    key, secret = Ed25519PrivateKey.generate(), SecretSource(file=str(secret_file)).read({})
    sealed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(secret.encode()))
    public = out.with_name(out.name + ".pub")
    try:
        with new_file(out) as opened:
            opened.write(sealed.decode("ascii"))
            # On disk first: the key, not in its place yet, and what everybody trusts. A crash here leaves no key, and it is made anew.
            write_whole(
                public,
                key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
                mode=0o644,
            )
    except FileExistsError as err:
        raise click.ClickException(_("{out} is there already; a key is made once", out=out)) from err
    click.echo(_("{public}, to be read aloud: {digest}", public=public, digest=key_id(key.public_key())))


@publication.command("publish")
@_DATA
@click.option("--key", required=True, type=click.Path(path_type=Path, exists=True), help="the sealed key")
@_SECRET
@click.option(
    "--days", type=click.IntRange(1, 400), default=30, show_default=True, help="for how long it holds"
)
@click.option(
    "--part",
    "parts",
    multiple=True,
    help="NAME=FILE, as calendars=calendars.json; what is not named stays as it was",
)
def publish(data: Path, key: Path, secret_file: Path, days: int, parts: tuple[str, ...]) -> None:
    """Sign and publish the next version at ONIESS. Systems take it with their next look."""
    database = open_books(data, "oniess", STEPS)
    try:
        private = load_pem_private_key(
            key.read_bytes(), SecretSource(file=str(secret_file)).read({}).encode()
        )
        if not isinstance(private, Ed25519PrivateKey):
            raise ValueError(_("{key} is no key made by `publication key`", key=key))
        store = OniessStore(database)
        before = _published(store, private)
        now = datetime.now(UTC).replace(microsecond=0)
        version = 1 if before is None else before.version + 1
        payload = build_payload(version, now, now + timedelta(days=days), _parts(store, before, parts))
        store.publish(NAME, sign_payload(payload, private))
    except ValueError as err:
        raise click.ClickException(str(err)) from err
    finally:
        database.close()
    click.echo(
        _("version {version}, until {until}", version=version, until=(now + timedelta(days=days)).isoformat())
    )


@publication.command("show")
@_DATA
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="new file: the signed publication, for `init --publication`",
)
def show(data: Path, out: Path | None) -> None:
    """Show the publication that a system goes by, or that ONIESS publishes: version, end, digest, how many of each part."""
    try:
        if holds(data, "oniess"):
            database = open_books(data, "oniess", STEPS)
            raw = OniessStore(database).published(NAME)
            database.close()
        else:
            raw = (data / COPY_FILE).read_bytes() if (data / COPY_FILE).exists() else None
        if raw is None:
            raise ValueError(_("there is none: this system goes by the lists of its package"))
        envelope = load_json(raw)
        key = data / KEY_FILE
        if not key.exists():
            raise ValueError(_("no key of ONIESS is trusted here: `publication trust` takes it"))
        found = verify_published(envelope, read_public_key(key.read_bytes()))
        if out is not None and out.exists():
            raise ValueError(_("{out} is there already; it is a new file", out=out))
    except ValueError as err:
        raise click.ClickException(str(err)) from err
    click.echo(_("version {version}, until {until}", version=found.version, until=found.until.isoformat()))
    for name in PARTS:
        click.echo(f"{name:12} {_size(found.parts[name])}")
    click.echo(f"sha256       {found.sha256}")
    if out is not None:
        write_whole(out, bytes(raw))


@publication.command("trust")
@_DATA
@click.option("--digest", required=True, help="the key's SHA-256 as ONIESS read it aloud")
@click.argument("file", type=click.Path(path_type=Path, exists=True))
def trust(data: Path, digest: str, file: Path) -> None:
    """Trust ONIESS's key at this system (ONIESS's own too): from its next start it goes by what is published with it."""
    try:
        pem = file.read_bytes()
        check_digest(pem, digest)
    except ValueError as err:
        raise click.ClickException(str(err)) from err
    # On disk whole or not at all: half a key would trust nobody at the next start.
    write_whole(data / KEY_FILE, pem)


def _published(store: OniessStore, key: Ed25519PrivateKey) -> SignedLists | None:
    raw = store.published(NAME)
    return None if raw is None else verify_published(load_json(raw), key.public_key())


def _parts(store: OniessStore, before: SignedLists | None, named: tuple[str, ...]) -> dict[str, Any]:
    """Every part: from the file that is named for it, else as published before, else the package's; conventions are ONIESS's."""
    own = package_edition()
    made: dict[str, Any] = {
        **{name: own.part(name) for name in ("members", "calendars", "benefits")},
        "notices": {
            "notices": [
                {"member": code, "uri": uri, "sha256": digest}
                for code, (uri, digest) in zip(own.members, all_notices(own), strict=True)
            ]
        },
        **({} if before is None else before.parts),
        "conventions": {"conventions": store.conventions()},
    }
    for text in named:
        name, equals, file = text.partition("=")
        if not equals or name not in PARTS or name == "conventions":
            raise ValueError(
                _(
                    "--part is NAME=FILE with a NAME of {names}, not {text}",
                    names=", ".join(PARTS),
                    text=text[:60],
                )
            )
        made[name] = load_json(Path(file).read_bytes())
    # Who has left, and who holds its persons, is ONIESS's own decision and no file's.
    left = {r["miembro"]: r["sucesor"] for r in standings(store.database) if r["sucesor"]}
    rows = parse_members(made["members"])
    made["members"] = {
        "members": [
            {k: v for k, v in m.items() if k != "successor"}
            | (
                {"successor": left[rows[m["code"]].path].rpartition("/")[2]}
                if rows[m["code"]].path in left
                else {}
            )
            for m in made["members"]["members"]
        ]
    }
    return made


def _size(part: Any) -> int:
    """The number of entries of a part."""
    lists = [value for value in part.values() if isinstance(value, list)]
    return max((len(value) for value in lists), default=0)
