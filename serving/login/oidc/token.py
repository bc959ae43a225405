"""Proving an ID token, and what its claims are worth here. Pure.

Spec: OpenID Connect Core 1.0, 3.1.3.7 (ID token validation); RFC 7515; RFC 8725 (algorithms are chosen by us).
"""

from __future__ import annotations

import base64
import binascii
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from joserfc import jwk, jwt
from joserfc.errors import JoseError

from schemas.jsontext import load_json
from serving.config.oidcsettings import ALGORITHMS, ALL
from serving.errors import RefusalCode, Refused

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from serving.config.oidcsettings import OidcSettings
    from serving.login.users import Roles

LARGEST_TOKEN = 64 * 1024
LONGEST_NAME = 200
PublicKey = jwk.RSAKey | jwk.ECKey | jwk.OKPKey


class ProviderCode(RefusalCode):
    """The two ways in which a login at a provider ends without a session."""

    # What the provider answered proves nothing here.
    LOGIN_REFUSED = "login_refused", 401
    # The provider could not be asked, or answered what it must not.
    PROVIDER_FAILED = "login_provider_failed", 500


def login_refused(reason: str) -> Refused:
    """The refusal of a login whose answer proves nothing."""
    return Refused(ProviderCode.LOGIN_REFUSED, reason)


@dataclass(frozen=True, slots=True)
class Header:
    """The algorithm and key id in a token's header; nothing of it is proved."""

    algorithm: str
    key_id: str | None


@dataclass(frozen=True, slots=True)
class Expected:
    """The issuer, client and nonce a token must be about, and the leeway for its times in seconds."""

    issuer: str
    client_id: str
    nonce: str
    leeway_s: float


@dataclass(frozen=True, slots=True)
class Identity:
    """Who logs in, and what he may do here."""

    name: str
    roles: frozenset[str]
    clients: frozenset[str]


def read_keys(document: Any) -> tuple[PublicKey, ...]:
    """The public signature keys of a JWK set; keys of other kinds are left out. Raises `Refused`."""
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise login_refused("the provider's key set holds no list of keys")
    found: list[PublicKey] = []
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("use", "sig") != "sig" or "d" in entry:
            continue
        try:
            key = jwk.import_key(entry)
        except (JoseError, ValueError, TypeError, KeyError):
            continue
        if isinstance(key, PublicKey):
            found.append(key)
    return tuple(found)


def read_header(raw: str) -> Header:
    """The header that must be known to prove a token. Raises `Refused`."""
    if len(raw) > LARGEST_TOKEN or raw.count(".") != 2:
        raise login_refused("the ID token is no signed token of three parts")
    first = raw.split(".", 1)[0]
    try:
        header = load_json(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
        algorithm, key_id = header["alg"], header.get("kid")
    except (ValueError, binascii.Error, KeyError, TypeError, AttributeError) as err:
        raise login_refused("the ID token's header cannot be read") from err
    if algorithm not in ALGORITHMS:
        raise login_refused(
            f"the ID token is signed with {str(algorithm)[:20]!r}; one of {', '.join(ALGORITHMS)} is taken"
        )
    return Header(algorithm, str(key_id) if key_id is not None else None)


def choose_key(header: Header, keys: Sequence[PublicKey]) -> PublicKey | None:
    """The key a token names; the only one when it names none; None when it is not there."""
    if header.key_id is None:
        return keys[0] if len(keys) == 1 else None
    return next((key for key in keys if key.kid == header.key_id), None)


def verify_id_token(raw: str, key: PublicKey, expected: Expected, now: datetime) -> dict[str, Any]:
    """The proved claims of an ID token. Raises `Refused`.

    1. It is signed by the key with an algorithm of the list, the key's own if the key names one.
    2. Its issuer is the provider.
    3. It is for this client, and for nobody else unless this client is the authorised party.
    4. It is of now: not expired, not issued in the future, valid already.
    5. It answers this very login (nonce).
    6. It names somebody.
    """
    header = read_header(raw)
    try:
        # 1
        token = jwt.decode(raw, key, algorithms=[header.algorithm])
    except (JoseError, ValueError) as err:
        raise login_refused("the ID token's signature does not hold") from err
    if key.alg not in (None, header.algorithm):
        raise login_refused(f"the ID token is signed with {header.algorithm}; its key is for {key.alg}")
    claims: dict[str, Any] = token.claims
    # 2
    if claims.get("iss") != expected.issuer:
        raise login_refused(f"the ID token is of issuer {_shown(claims.get('iss'))}, not {expected.issuer!r}")
    _check_audience(claims, expected.client_id)  # 3
    _check_times(claims, now.timestamp(), expected.leeway_s)  # 4
    # 5
    if claims.get("nonce") != expected.nonce:
        raise login_refused("the ID token answers another login: its nonce is not the one sent")
    # 6
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise login_refused("the ID token names nobody: it has no sub")
    return claims


def decide_identity(claims: Mapping[str, Any], settings: OidcSettings, roles: Roles) -> Identity:
    """Who somebody with proved claims is here. Raises `Refused` when the claims give no role, or no clients asked for."""
    name = _claim(claims, settings.name_claim)
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise login_refused(f"claim {settings.name_claim!r} holds no name of up to {LONGEST_NAME} characters")
    values = _words(_claim(claims, settings.roles_claim))
    given = {role for value in values for role in settings.roles.get(value, ())}
    if ALL in given:
        given = set(roles.of_people())
    if not given:
        raise login_refused(
            f"{name}: none of the {len(values)} values of claim {settings.roles_claim!r} gives a role on this server"
        )
    clients = _words(_claim(claims, settings.clients_claim)) if settings.clients_claim else []
    if settings.clients_claim and not clients:
        raise login_refused(f"{name}: claim {settings.clients_claim!r} names no client")
    return Identity(name, frozenset(given), frozenset(clients))


def _check_audience(claims: Mapping[str, Any], client_id: str) -> None:
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or client_id not in audiences:
        raise login_refused(f"the ID token is for {_shown(audience)}, not for {client_id!r}")
    party = claims.get("azp")
    if (len(audiences) > 1 or party is not None) and party != client_id:
        raise login_refused(f"the ID token's authorised party is {_shown(party)}, not {client_id!r}")


def _check_times(claims: Mapping[str, Any], now: float, leeway_s: float) -> None:
    expires, issued = _time(claims, "exp"), _time(claims, "iat")
    if now >= expires + leeway_s:
        raise login_refused(f"the ID token expired {now - expires:.0f} s ago")
    if issued > now + leeway_s:
        raise login_refused(f"the ID token was issued {issued - now:.0f} s in the future; compare the clocks")
    if "nbf" in claims and _time(claims, "nbf") > now + leeway_s:
        raise login_refused("the ID token is not valid yet")


def _time(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise login_refused(f"the ID token's {name} is no time")
    return float(value)


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    """A claim by its name, or within objects by a path with dots."""
    if path in claims:
        return claims[path]
    found: Any = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _words(value: Any) -> list[str]:
    values: Iterable[Any] = (
        value.split() if isinstance(value, str) else value if isinstance(value, list) else ()
    )
    return [v for v in values if isinstance(v, str) and v]


def _shown(value: object) -> str:
    return repr(value)[:200]
