"""Sealed tokens: the registry tells one recipient, through somebody else's hands, whom a request is about.

A token is a JWE (ECDH-ES+A256KW, A256GCM) around a JWS (ES256) of the registry. Only the recipient opens it; only the
registry makes it; it holds for one purpose and one case, for a while, and interactive ones once. Pure but for the
library's own randomness.

Spec: the domain reference 2.7; RFC 7515, 7516, 7518 4.6.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from joserfc import jwe, jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from schemas.jsontext import dump_json
from serving.entrance import load_json
from social_security.domain.faults import DomainError
from social_security.domain.pseudonyms import Pid, parse_pid

INTERACTIVE_LIFE: Final = timedelta(minutes=10)
CASE_LIFE: Final = timedelta(days=30)
# A case of these kinds may need its token for days; anything else is asked while somebody waits.
CASE_TYPES: Final = frozenset(("PORT", "ARCO", "EXT"))
_CURVE: Final = "P-256"


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a token. ``subject`` is the recipient's own PID, ``pair`` the PID that both ends log,
    ``level`` the person's level of assurance.
    """

    issuer: str
    audience: str
    token_id: str
    issued: datetime
    expires: datetime
    purpose: str
    case: str
    client: str
    pair: Pid
    subject: Pid
    level: int

    @property
    def is_single_use(self) -> bool:
        """Whether the token may be presented once only."""
        return self.expires - self.issued <= INTERACTIVE_LIFE


def life_of(case: str) -> timedelta:
    """The life of a token for this case: `CASE_LIFE` where its folio is one of `CASE_TYPES`, else `INTERACTIVE_LIFE`."""
    return CASE_LIFE if case.partition("-")[0] in CASE_TYPES else INTERACTIVE_LIFE


def new_key() -> dict[str, str]:
    """A fresh P-256 key as a JWK with its private part."""
    return _as_text(ECKey.generate_key(_CURVE, private=True).as_dict(private=True))


def public_key(key: dict[str, str]) -> dict[str, str]:
    """The public part of a JWK."""
    return {name: value for name, value in key.items() if name != "d"}


def check_public_key(key: dict[str, str]) -> None:
    """Refuse a JWK that is no point of its curve. Raises ValueError."""
    try:
        ECKey.import_key(dict(key))
    except Exception as err:  # the library raises what its parts raise
        raise ValueError(f"the key is no public key on P-256: {type(err).__name__}") from err


def seal(claims: Claims, registry_key: dict[str, str], recipient_key: dict[str, str]) -> str:
    """The token, readable only with the recipient's private key."""
    payload = {
        "iss": claims.issuer,
        "aud": claims.audience,
        "jti": claims.token_id,
        "iat": int(claims.issued.timestamp()),
        "exp": int(claims.expires.timestamp()),
        "purpose": claims.purpose,
        "case": claims.case,
        "client": claims.client,
        "pidp": claims.pair,
        "sub": claims.subject,
        "nivel": claims.level,
    }
    signed = jws.serialize_compact(
        {"alg": "ES256", "typ": "JWT"}, dump_json(payload).encode(), ECKey.import_key(dict(registry_key))
    )
    return jwe.encrypt_compact(
        {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "cty": "JWT"},
        signed.encode(),
        ECKey.import_key(dict(recipient_key)),
        algorithms=["ECDH-ES+A256KW", "A256GCM"],
    )


def open_token(
    token: str, own_key: dict[str, str], registry_key: dict[str, str], audience: str, now: datetime
) -> Claims:
    """The claims of a token meant for ``audience`` and still alive. Raises `DomainError` SS-209."""
    try:
        inner = jwe.decrypt_compact(
            token, ECKey.import_key(dict(own_key)), algorithms=["ECDH-ES+A256KW", "A256GCM"]
        )
        plain = (inner.plaintext or b"").decode("ascii")
        payload = load_json(
            jws.deserialize_compact(plain, ECKey.import_key(dict(registry_key)), algorithms=["ES256"]).payload
        )
        claims = Claims(
            str(payload["iss"]),
            str(payload["aud"]),
            str(payload["jti"]),
            datetime.fromtimestamp(int(payload["iat"]), UTC),
            datetime.fromtimestamp(int(payload["exp"]), UTC),
            str(payload["purpose"]),
            str(payload["case"]),
            str(payload["client"]),
            parse_pid(str(payload["pidp"])),
            parse_pid(str(payload["sub"])),
            int(payload["nivel"]),
        )
    except (JoseError, ValueError, KeyError, TypeError):
        raise _refused(
            "no se pudo abrir con la llave de este miembro", "this member's key does not open it"
        ) from None
    if claims.audience != audience:
        raise _refused(f"es para {claims.audience}", f"it is for {claims.audience}")
    if not claims.issued - timedelta(minutes=1) <= now < claims.expires:
        raise _refused(
            f"vigente hasta {claims.expires:%Y-%m-%dT%H:%MZ}", f"valid until {claims.expires:%Y-%m-%dT%H:%MZ}"
        )
    return claims


def check_use(claims: Claims, *, client: str, purpose: str, case: str) -> None:
    """Refuse a token that was made for another client, purpose or case. Raises `DomainError` SS-209."""
    for what, claimed, expected in (
        ("client", claims.client, client),
        ("purpose", claims.purpose, purpose),
        ("case", claims.case, case),
    ):
        if claimed != expected:
            raise _refused(
                f"{what}: es {claimed}, llegó {expected}", f"{what}: it is for {claimed}, {expected} came"
            )


def _refused(es: str, en: str) -> DomainError:
    return DomainError("SS-209", es, en, field="testigo")


def _as_text(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        raise TypeError("a JWK is a JSON object")
    return {str(k): str(v) for k, v in value.items()}
