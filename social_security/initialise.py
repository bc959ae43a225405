"""``python -m social_security init``: a member's system from nothing, with random keys, and what it and the registry exchange.

The registry and an institute exchange public keys as two small files, once each way: the registry's (signatures of tokens)
goes to every institute before it is made; an institute's (sealing of tokens) goes back to the registry's officer. Neither
file holds a secret; each carries the digest of its key, which both sides read to each other before they trust it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Final

from social_security.domain import pack
from social_security.domain.eventchain import canonical
from social_security.domain.notices import all_notices
from social_security.institute.stores.steps import STEPS
from social_security.keys import InstituteKeys, new_registry_keys, save_institute_keys, save_registry_keys
from social_security.oniess.tables import STEPS as ONIESS_STEPS
from social_security.registry.store import RegistryStore
from social_security.registry.tables import STEPS as REGISTRY_STEPS
from social_security.wire import tokens
from social_security.wire.books import open_books
from social_security.wire.privacynotices import add_notices

if TYPE_CHECKING:
    from pathlib import Path

    from social_security.keys import RegistryKeys

REGISTRY: Final = "00-RNSS"
ONIESS: Final = "00-ONIESS"
FORMAT: Final = "sacbe-key/1"
KEY_FILE: Final = "public-key.json"
_FIELDS: Final = frozenset(("kty", "crv", "x", "y"))


def init_system(
    folder: Path,
    code: str,
    secret_file: Path,
    registry_key: Path | None,
    secret: str,
    database: str = "",
) -> list[str]:
    """Make a member's folder; what is left to do, a line each. Raises ValueError, with nothing written before the checks."""
    member = pack.members().get(code)
    if member is None:
        raise ValueError(f"{code[:40]} is no member's code; expected one as 15-ISSEMYM")
    if member.member_class == "GAR":
        raise ValueError(
            f"{code} is an authority: its system is a portal, made by `social_security portal init`"
        )
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"{folder} is not empty: a system is made once, in a folder of its own")
    trusted = None
    if code not in (REGISTRY, ONIESS):
        if registry_key is None:
            raise ValueError(
                f"an institute needs --registry-key: the {KEY_FILE} that the registry has handed out"
            )
        trusted = read_key(registry_key, pack.members()[REGISTRY].path)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _write_settings(folder, code, secret_file, database)
    if code == ONIESS:
        books = open_books(folder, "oniess", ONIESS_STEPS)
        add_notices(books, all_notices())
        books.close()
        return [f"set `gateway` in {folder / 'settings.toml'}, then start {unit_name(code)}"]
    public = _init_registry(folder, secret) if trusted is None else _init_institute(folder, trusted, secret)
    file = folder / KEY_FILE
    file.write_text(render_key(member.path, public), encoding="ascii")
    to = "every institute" if code == REGISTRY else "the registry's officer (officer add-recipient)"
    return [
        f"hand {file} to {to}; its digest, to be read aloud: {key_digest(public)}",
        f"set `gateway` in {folder / 'settings.toml'}, then start {unit_name(code)}",
    ]


def _init_registry(folder: Path, secret: str) -> dict[str, str]:
    keys = new_registry_keys()
    store = RegistryStore(open_books(folder, "registry", REGISTRY_STEPS), keys)
    add_notices(store.database, all_notices())
    store.close()
    # Last: without the keys' file the folder counts as not made, and nothing was kept under the keys.
    save_registry_keys(folder / "keys.json", keys, secret)
    return tokens.public_key(keys.signing)


def _init_institute(folder: Path, registry: dict[str, str], secret: str) -> dict[str, str]:
    own = tokens.new_key()
    database = open_books(folder, "institute", STEPS)
    add_notices(database, all_notices())
    database.close()
    save_institute_keys(folder / "keys.json", InstituteKeys(own, registry), secret)
    return tokens.public_key(own)


def render_key(member: str, public: dict[str, str]) -> str:
    """The file in which a member hands out its public key: format, member, key, digest."""
    value = {"format": FORMAT, "member": member, "key": public, "sha256": key_digest(public)}
    return json.dumps(value, indent=1) + "\n"


def key_digest(public: dict[str, str]) -> str:
    """SHA-256 over the key's canonical JSON, as both sides read it to each other."""
    return hashlib.sha256(canonical({n: public[n] for n in sorted(_FIELDS)})).hexdigest()


def read_key(file: Path, member: str = "") -> dict[str, str]:
    """The public key out of a member's file; of the named member, if one is named. Raises ValueError."""
    try:
        value = json.loads(file.read_bytes())
    except (OSError, ValueError) as err:
        raise ValueError(f"{file} cannot be read as a key file: {type(err).__name__}") from err
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise ValueError(f"{file} is no key file ({FORMAT} was expected)")
    key = value.get("key")
    if (
        not isinstance(key, dict)
        or not set(key) >= _FIELDS
        or not all(isinstance(v, str) for v in key.values())
    ):
        raise ValueError(f"{file} holds no public key on P-256")
    if "d" in key:
        raise ValueError(f"{file} holds a private key: it must not leave its member; make that system anew")
    if key["kty"] != "EC" or key["crv"] != "P-256" or key_digest(key) != value.get("sha256"):
        raise ValueError(f"{file}: the key is not that of its digest, or not on P-256")
    tokens.check_public_key(key)
    if member and value.get("member") != member:
        raise ValueError(f"{file} is the key of {value.get('member')}; {member}'s was expected")
    return {str(n): str(v) for n, v in key.items()}


def read_member(file: Path) -> str:
    """Whose key a file says it is. Raises ValueError for a member that does not exist."""
    value = json.loads(file.read_bytes())
    path = str(value.get("member", "")) if isinstance(value, dict) else ""
    known = pack.members().get(path.rpartition("/")[2])
    if known is None or known.path != path:
        raise ValueError(f"{file} is the key of {path[:60] or 'nobody'}, who is no member")
    return path


def check_not_published(keys: RegistryKeys) -> None:
    """Refuse the registry keys of the fixture, which anybody can read. Raises ValueError naming them."""
    fixture = pack.persons()
    for name, used in (("registry_key", keys.pid), ("index_key", keys.index)):
        if hmac.compare_digest(bytes.fromhex(fixture[name]), used):
            raise ValueError(
                f"these are the published fixture keys ({name} of persons.json): everybody can compute the pseudonyms. "
                "Make the registry with `social_security init`; exercises set fixture_keys = true"
            )


def unit_name(code: str) -> str:
    """The systemd unit of a member's system."""
    return f"sacbe-{code.lower()}.service"


def _write_settings(folder: Path, code: str, secret_file: Path, database: str) -> None:
    settings, secret = folder.resolve() / "settings.toml", secret_file.resolve()
    settings.write_text(
        f"member = {json.dumps(code)}\n"
        "# The member's own gateway: how this system asks others.\n"
        'gateway = ""\n'
        "# Where this system's books are, postgresql://...; empty: SQLite in this folder.\n"
        f"database = {json.dumps(database)}\n"
        f"[keys_secret]\nfile = {json.dumps(str(secret))}\n",
        encoding="utf-8",
    )
    (folder / unit_name(code)).write_text(
        f"[Unit]\nDescription=Sacbe, system of {code}\nAfter=network-online.target\n\n"
        "[Service]\n"
        f"ExecStart=python -m social_security serve --data {folder.resolve()} --settings {settings}\n"
        f"ReadWritePaths={folder.resolve()}\nProtectSystem=strict\nNoNewPrivileges=yes\nPrivateTmp=yes\n"
        "UMask=0077\nRestart=on-failure\n\n[Install]\nWantedBy=multi-user.target\n",
        encoding="utf-8",
    )
