"""An OpenID provider for tests: real keys, real tokens, and whatever lie a test asks it to tell."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc import jwk, jwt

if TYPE_CHECKING:
    from datetime import datetime

CLIENT_ID = "sacbe-gateway"
SECRET = "provider & client know this"
BASIC = "Basic " + base64.b64encode(b"sacbe-gateway:provider+%26+client+know+this").decode()


@dataclass
class Lies:
    """What the provider says wrongly; nothing by default."""

    # Claims that are other than they should be; None leaves one out.
    claims: dict[str, Any] = field(default_factory=dict)
    # Signs with a key that it does not publish.
    hidden_key: bool = False
    unsigned: bool = False
    # Signs with the client's secret, as a forger who got hold of it would.
    symmetric: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)
    answer_issuer: str | None = None


class OpenIdProvider:
    """Authorization, token and key endpoints on a loopback address. Who logs in is ``claims``."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.claims: dict[str, Any] = {"sub": "u-17", "preferred_username": "ana", "roles": ["bosses"]}
        self.lies = Lies()
        self.keys: list[jwk.RSAKey] = []
        self.codes: dict[str, dict[str, str]] = {}
        self.key_reads = 0
        self.rotate()
        app = web.Application()
        app.router.add_get("/.well-known/openid-configuration", self._metadata)
        app.router.add_get("/authorize", self._authorize)
        app.router.add_post("/token", self._token)
        app.router.add_get("/keys", self._keys)
        self.server = TestServer(app)

    @property
    def issuer(self) -> str:
        return str(self.server.make_url("")).rstrip("/")

    def rotate(self) -> None:
        """Sign with a new key from now on, and publish no other."""
        self.keys = [jwk.RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "use": "sig"})]

    async def _metadata(self, _request: web.Request) -> web.Response:
        found = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }
        return web.json_response(found | self.lies.metadata)

    async def _authorize(self, request: web.Request) -> web.Response:
        """The person agrees at once."""
        query = dict(request.query)
        assert (query["response_type"], query["client_id"]) == ("code", CLIENT_ID)
        assert query["code_challenge_method"] == "S256"
        code = secrets.token_hex(16)
        self.codes[code] = query
        back = {"code": code, "state": query["state"], "iss": self.lies.answer_issuer or self.issuer}
        return web.Response(status=302, headers={"Location": f"{query['redirect_uri']}?{urlencode(back)}"})

    async def _token(self, request: web.Request) -> web.Response:
        form = await request.post()
        asked = self.codes.pop(str(form["code"]), None)
        if request.headers.get("Authorization") != BASIC:
            return web.json_response({"error": "invalid_client"}, status=401)
        digest = hashlib.sha256(str(form.get("code_verifier", "")).encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or (challenge, form["redirect_uri"]) != (
            asked["code_challenge"],
            asked["redirect_uri"],
        ):
            return web.json_response({"error": "invalid_grant"}, status=400)
        token = self._sign(self._claims(asked["nonce"]))
        return web.json_response({"access_token": "x", "token_type": "Bearer", "id_token": token})

    def _claims(self, nonce: str) -> dict[str, Any]:
        at = int(self.now.timestamp())
        claims = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": at,
            "exp": at + 60,
            "nonce": nonce,
            **self.claims,
            **self.lies.claims,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def _sign(self, claims: dict[str, Any]) -> str:
        if self.lies.unsigned:
            parts = ({"alg": "none"}, claims)
            return ".".join(_encoded(json.dumps(p).encode()) for p in parts) + "."
        if self.lies.symmetric:
            key = jwk.OctKey.import_key(SECRET.encode())
            return jwt.encode({"alg": "HS256", "kid": self.keys[0].kid}, claims, key)
        signing = jwk.RSAKey.generate_key(2048, {"kid": "hidden"}) if self.lies.hidden_key else self.keys[0]
        return jwt.encode({"alg": "RS256", "kid": signing.kid}, claims, signing)

    async def _keys(self, _request: web.Request) -> web.Response:
        self.key_reads += 1
        return web.json_response({"keys": [key.as_dict(private=False) for key in self.keys]})


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
