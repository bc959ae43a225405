"""Talking to the OpenID provider: its metadata, its keys, and a code against an ID token.

What it answers is bounded, redirects are not followed, and its metadata must be its own: the issuer in it is compared.
Keys are read again when they are old, and when a token names one that is not there; that at most once in ten seconds, so
that made-up key ids cannot be used to hammer the provider.

Spec: OpenID Connect Discovery 1.0, 4; RFC 6749 4.1.3; RFC 7636.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus

import aiohttp
import msgspec

from schemas.jsontext import decode_json
from serving.config.oidcsettings import check_url
from serving.errors import OperatorError, Refused
from serving.login.oidc.token import ProviderCode, login_refused, read_keys
from serving.process.outward import outward_session

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from serving.config.oidcsettings import OidcSettings
    from serving.login.oidc.token import PublicKey

TIMEOUT = aiohttp.ClientTimeout(total=20, sock_connect=10)
LARGEST = 512 * 1024
METADATA_S = 3600.0
KEYS_AT_MOST_EVERY_S = 10.0


def provider_failed(reason: str) -> Refused:
    """The refusal of a login because the provider could not be asked, or answered what it must not."""
    return Refused(ProviderCode.PROVIDER_FAILED, reason)


class Metadata(msgspec.Struct, frozen=True):
    """The part of a provider's metadata that a login needs."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    code_challenge_methods_supported: list[str] | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class _TokenAnswer(msgspec.Struct, frozen=True):
    id_token: str


class _Error(msgspec.Struct, frozen=True):
    error: str
    error_description: str = ""


@dataclass(slots=True)
class _Kept:
    metadata: Metadata | None = None
    metadata_s: float = 0.0
    keys: tuple[PublicKey, ...] = ()
    keys_s: float | None = None


class Provider:
    """One OpenID provider: its metadata, its keys, and the exchange of a code for a token."""

    def __init__(
        self, settings: OidcSettings, environ: Mapping[str, str], monotonic: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._secret = settings.client_secret.read(environ) if settings.client_secret.is_set else None
        self._tls = ssl.create_default_context(cafile=settings.trusted_ca or None)
        self._monotonic = monotonic
        self._kept = _Kept()
        self._reading = asyncio.Lock()

    async def metadata(self) -> Metadata:
        """The addresses of the provider's services. Raises `Refused` (provider failed)."""
        kept, now_s = self._kept, self._monotonic()
        if kept.metadata is None or now_s - kept.metadata_s > METADATA_S:
            found = await self._read_metadata()
            kept.metadata, kept.metadata_s = found, now_s
        return kept.metadata

    async def keys(self, *, missing: bool = False) -> tuple[PublicKey, ...]:
        """The provider's keys; ``missing`` reads them again, for a token names another. Raises `Refused` (provider failed)."""
        async with self._reading:
            kept, now_s = self._kept, self._monotonic()
            age = None if kept.keys_s is None else now_s - kept.keys_s
            if age is None or age > self._settings.keys_s or (missing and age >= KEYS_AT_MOST_EVERY_S):
                document = await self._get((await self.metadata()).jwks_uri)
                try:
                    kept.keys, kept.keys_s = read_keys(decode_json(document)), now_s
                except (msgspec.DecodeError, Refused) as err:
                    raise provider_failed(f"the provider's key set cannot be read: {err}") from err
            return kept.keys

    async def redeem(self, code: str, verifier: str) -> str:
        """The ID token for a code; not proved yet. Raises `Refused`, by its code: the provider failed, or the code is no good."""
        metadata = await self.metadata()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._settings.redirect_url,
            "client_id": self._settings.client_id,
            "code_verifier": verifier,
        }
        headers: dict[str, str] = {}
        if self._secret is not None:
            methods = metadata.token_endpoint_auth_methods_supported
            if "client_secret_basic" in methods:
                pair = f"{quote_plus(self._settings.client_id)}:{quote_plus(self._secret)}"
                headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
            elif "client_secret_post" in methods:
                form["client_secret"] = self._secret
            else:
                raise provider_failed(f"the provider takes no client secret, only {', '.join(methods)[:200]}")
        status, body = await self._request("POST", metadata.token_endpoint, form, headers)
        if status == 400:
            raise login_refused(f"the provider refused the code: {_error_of(body)}")
        if status != 200:
            raise provider_failed(f"{metadata.token_endpoint} answered HTTP {status}: {_error_of(body)}")
        try:
            return decode_json(body, _TokenAnswer).id_token
        except msgspec.DecodeError as err:
            raise provider_failed(f"{metadata.token_endpoint} gave no ID token") from err

    async def _read_metadata(self) -> Metadata:
        url = self._settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
        try:
            found = decode_json(await self._get(url), Metadata)
            for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
                check_url(getattr(found, name), f"{name} of {url}")
        except (msgspec.DecodeError, OperatorError) as err:
            raise provider_failed(f"the provider's metadata at {url} cannot be used: {err}") from err
        if found.issuer != self._settings.issuer:
            raise provider_failed(
                f"{url} is metadata of issuer {found.issuer[:200]!r}; {self._settings.issuer!r} is set"
            )
        methods = found.code_challenge_methods_supported
        if methods is not None and "S256" not in methods:
            raise provider_failed(
                "the provider does not do PKCE with S256, without which a code could be stolen"
            )
        return found

    async def _get(self, url: str) -> bytes:
        status, body = await self._request("GET", url)
        if status != 200:
            raise provider_failed(f"{url} answered HTTP {status} where 200 was expected")
        return body

    async def _request(
        self,
        method: str,
        url: str,
        form: dict[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes]:
        try:
            async with (
                outward_session() as session,
                session.request(
                    method,
                    url,
                    data=form,
                    headers={"Accept": "application/json", **(headers or {})},
                    ssl=self._tls,
                    timeout=TIMEOUT,
                    allow_redirects=False,
                ) as answer,
            ):
                body = bytearray()
                async for chunk in answer.content.iter_any():
                    body += chunk
                    if len(body) > LARGEST:
                        raise provider_failed(f"{url} answered more than {LARGEST} bytes")
                return answer.status, bytes(body)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as err:
            raise provider_failed(f"{url} was not reached: {err or type(err).__name__}") from err


def _error_of(body: bytes) -> Any:
    try:
        found = decode_json(body, _Error)
    except msgspec.DecodeError:
        return "no reason given"
    return f"{found.error} {found.error_description}".strip()[:300]
