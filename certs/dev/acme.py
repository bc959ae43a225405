"""An ACME server over a development authority: accounts, orders, HTTP-01, certificates, revocation, renewal information.

Everything is kept in memory, for as long as the process lives. Profile ``sign`` gives a signing certificate (nonRepudiation), ``auth``,
which is the default, an authentication certificate; the subject is the request's own, as at X-Road's test CA.

Spec: RFC 8555; RFC 8738 (identifiers of type ip); RFC 9773 (renewal information); draft-ietf-acme-profiles.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.dev.acmewire import (
    ALGORITHMS,
    AccountKey,
    SignedRequest,
    check_binding,
    from_base64url,
    jwk_of,
    parse_signed,
)
from certs.edges.fetch import read_answer
from schemas.jsontext import dump_json
from schemas.names import host_in_url

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from certs.dev.authority import DevPki

ROOT = "/acme"
PROFILES = {"auth": "TLS of a security server", "sign": "signatures of a member"}
DAYS = 90
_ORDER_LIFE = timedelta(hours=1)
_NONCES = 10_000
_MOST_NAMES = 100
_CHALLENGE_S = 5.0
_LONGEST_ANSWER = 4096
_STATUS: dict[str, type[web.HTTPException]] = {
    "unauthorized": web.HTTPForbidden,
    "orderNotReady": web.HTTPForbidden,
    "externalAccountRequired": web.HTTPForbidden,
    "notFound": web.HTTPNotFound,
}


def problem(kind: str, detail: str) -> web.HTTPException:
    """The answer that refuses, to be raised: a problem document of RFC 8555 6.7."""
    status = _STATUS.get(kind, web.HTTPBadRequest)
    named = "malformed" if kind == "notFound" else kind
    body = {
        "type": f"urn:ietf:params:acme:error:{named}",
        "detail": detail,
        "status": status.status_code,
    }
    return status(text=dump_json(body), content_type="application/problem+json")


@dataclass(slots=True)
class Enrolled:
    """An account: its key may be changed, and it may be deactivated."""

    id: str
    key: AccountKey
    contact: list[str]
    status: str = "valid"


@dataclass(slots=True)
class Proof:
    """An authorization with its one HTTP-01 challenge."""

    id: str
    account: str
    kind: str
    name: str
    expires: datetime
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    status: str = "pending"
    failure: str = ""


@dataclass(slots=True)
class Ordered:
    """An order and, once it is valid, its certificate."""

    id: str
    account: str
    profile: str
    proofs: list[Proof]
    expires: datetime
    certificate: x509.Certificate | None = None

    def status(self, now: datetime) -> str:
        """The order's state, by its authorizations (RFC 8555 7.1.6)."""
        if self.certificate is not None:
            return "valid"
        states = {proof.status for proof in self.proofs}
        if "invalid" in states or now > self.expires:
            return "invalid"
        return "ready" if states == {"valid"} else "pending"


class AcmeAuthority:
    """The routes below ``/acme``; ``outside`` are MAC keys (base64url) by key id, and where there are any, an account must be bound."""

    def __init__(
        self,
        pki: DevPki,
        now: Callable[[], datetime],
        *,
        challenge_port: int = 80,
        outside: dict[str, str] | None = None,
    ) -> None:
        self._pki = pki
        self._now = now
        self._port = challenge_port
        self._outside = outside or {}
        self._nonces: OrderedDict[str, None] = OrderedDict()
        self._accounts: dict[str, Enrolled] = {}
        self._orders: dict[str, Ordered] = {}
        self._proofs: dict[str, Proof] = {}
        self._issued: dict[int, Ordered] = {}

    def routes(self) -> list[web.RouteDef]:
        """The routes of the server, to be added to an application."""
        posts = {
            "/new-account": self._new_account,
            "/account/{id}": self._account,
            "/key-change": self._change_key,
            "/new-order": self._new_order,
            "/order/{id}": self._order,
            "/order/{id}/finalize": self._finalize,
            "/authorization/{id}": self._authorization,
            "/challenge/{id}": self._challenge,
            "/certificate/{id}": self._certificate,
            "/revoke-certificate": self._revoke,
        }
        return [
            web.get(f"{ROOT}/directory", self._directory),
            web.get(f"{ROOT}/new-nonce", self._new_nonce),
            web.get(ROOT + "/renewal-info/{id}", self._renewal),
            *(web.post(ROOT + path, self._signed(do)) for path, do in posts.items()),
        ]

    # What every request goes through

    def _signed(
        self, do: Callable[[web.Request, SignedRequest, AccountKey], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            try:
                signed = parse_signed(await request.read())
                answer = await do(request, signed, self._proved(request, signed))
            except web.HTTPException as refused:
                refused.headers["Replay-Nonce"] = self._nonce()
                raise
            except (ValueError, KeyError, TypeError) as err:
                malformed = problem("malformed", str(err))
                malformed.headers["Replay-Nonce"] = self._nonce()
                raise malformed from err
            answer.headers["Replay-Nonce"] = self._nonce()
            answer.headers.add("Link", f'<{_at(request, "/directory")}>;rel="index"')
            return answer

        return handle

    def _proved(self, request: web.Request, signed: SignedRequest) -> AccountKey:
        """The key that signed a request, which is for this URL and has a nonce of ours that nobody used. Raises the problem."""
        header = signed.header
        if request.content_type != "application/jose+json":
            raise problem("malformed", f"application/jose+json is expected, not {request.content_type}")
        if header.get("alg") not in ALGORITHMS:
            refused = f"the algorithms are {', '.join(ALGORITHMS)}, not {header.get('alg')!r}"
            raise problem("badSignatureAlgorithm", refused)
        if ("jwk" in header) == ("kid" in header):
            raise problem("malformed", "the header must hold jwk or kid, and not both")
        bare = header.get("jwk")
        key = AccountKey(bare) if bare is not None else self._known(request, str(header["kid"])).key
        try:
            key.check(signed)
        except ValueError as err:
            raise problem("unauthorized", str(err)) from err
        if header.get("url") != str(request.url):
            raise problem("unauthorized", f"the request was signed for {header.get('url')!r}")
        nonce = str(header.get("nonce"))
        if nonce not in self._nonces:
            raise problem("badNonce", "the nonce is not one of this server, or was used")
        del self._nonces[nonce]
        return key

    def _known(self, request: web.Request, kid: str) -> Enrolled:
        found = self._accounts.get(kid.removeprefix(_at(request, "/account/")))
        if found is None:
            raise problem("accountDoesNotExist", f"there is no account {kid}")
        if found.status != "valid":
            raise problem("unauthorized", f"the account is {found.status}")
        return found

    def _asking(self, request: web.Request, signed: SignedRequest) -> Enrolled:
        """The account that asks. Raises the problem where a bare key does."""
        if "kid" not in signed.header:
            raise problem("malformed", "this is asked with an account: the header must hold kid")
        return self._known(request, str(signed.header["kid"]))

    def _nonce(self) -> str:
        made = secrets.token_urlsafe(24)
        self._nonces[made] = None
        while len(self._nonces) > _NONCES:
            self._nonces.popitem(last=False)
        return made

    # Directory, nonces, accounts

    async def _directory(self, request: web.Request) -> web.Response:
        meta: dict[str, Any] = {"profiles": PROFILES}
        if self._outside:
            meta["externalAccountRequired"] = True
        paths = {
            "newNonce": "/new-nonce",
            "newAccount": "/new-account",
            "newOrder": "/new-order",
            "revokeCert": "/revoke-certificate",
            "keyChange": "/key-change",
            "renewalInfo": "/renewal-info",
        }
        return web.json_response({**{n: _at(request, p) for n, p in paths.items()}, "meta": meta})

    async def _new_nonce(self, request: web.Request) -> web.Response:
        headers = {"Replay-Nonce": self._nonce(), "Cache-Control": "no-store"}
        return web.Response(status=200 if request.method == "HEAD" else 204, headers=headers)

    async def _new_account(
        self, request: web.Request, signed: SignedRequest, key: AccountKey
    ) -> web.Response:
        if "jwk" not in signed.header:
            raise problem(
                "malformed", "a new account is asked for with its own key: the header must hold jwk"
            )
        given = signed.json()
        known = self._account_of(key)
        if known is not None:
            return _account_view(request, known, 200)
        if given.get("onlyReturnExisting"):
            raise problem("accountDoesNotExist", "this key has no account")
        if self._outside:
            if "externalAccountBinding" not in given:
                raise problem("externalAccountRequired", "accounts are bound to outside ones here")
            try:
                check_binding(given["externalAccountBinding"], key, str(request.url), self._outside)
            except ValueError as err:
                raise problem("unauthorized", str(err)) from err
        made = Enrolled(secrets.token_hex(8), key, [str(c) for c in given.get("contact", [])])
        self._accounts[made.id] = made
        return _account_view(request, made, 201)

    def _account_of(self, key: AccountKey) -> Enrolled | None:
        found = (a for a in self._accounts.values() if a.key.thumbprint == key.thumbprint)
        return next(found, None)

    async def _account(self, request: web.Request, signed: SignedRequest, _key: AccountKey) -> web.Response:
        account = self._asking(request, signed)
        if account.id != request.match_info["id"]:
            raise problem("unauthorized", "the account is another's")
        given = signed.json()
        account.contact = [str(c) for c in given.get("contact", account.contact)]
        if given.get("status") == "deactivated":
            account.status = "deactivated"
        return _account_view(request, account, 200)

    async def _change_key(self, request: web.Request, signed: SignedRequest, key: AccountKey) -> web.Response:
        account = self._asking(request, signed)
        inner = parse_signed(signed.json())
        new = AccountKey(inner.header.get("jwk"))
        new.check(inner)
        inside = inner.json()
        if inner.header.get("url") != str(request.url) or inside.get("account") != signed.header["kid"]:
            raise problem("malformed", "the inner object is for another URL or account")
        if AccountKey(inside.get("oldKey")).thumbprint != key.thumbprint:
            raise problem("malformed", "oldKey is not the account's key")
        if self._account_of(new) is not None:
            raise problem("malformed", "the new key has an account already")
        account.key = new
        return _account_view(request, account, 200)

    # Orders

    async def _new_order(self, request: web.Request, signed: SignedRequest, _key: AccountKey) -> web.Response:
        account, given = self._asking(request, signed), signed.json()
        profile = str(given.get("profile") or "auth")
        if profile not in PROFILES:
            raise problem("invalidProfile", f"the profiles are {', '.join(PROFILES)}, not {profile!r}")
        names = sorted({_identifier(one) for one in given.get("identifiers", ())})
        if not 0 < len(names) <= _MOST_NAMES:
            raise problem("malformed", f"an order names 1 to {_MOST_NAMES} identifiers, not {len(names)}")
        expires = self._now() + _ORDER_LIFE
        proofs = [Proof(secrets.token_hex(8), account.id, kind, name, expires) for kind, name in names]
        order = Ordered(secrets.token_hex(8), account.id, profile, proofs, expires)
        self._orders[order.id] = order
        self._proofs.update({proof.id: proof for proof in proofs})
        return self._order_view(request, order, 201)

    def _own_order(self, request: web.Request, signed: SignedRequest) -> Ordered:
        account = self._asking(request, signed)
        found = self._orders.get(request.match_info["id"])
        if found is None or found.account != account.id:
            raise problem("notFound", "the account has no such order")
        return found

    def _own_proof(self, request: web.Request, signed: SignedRequest) -> tuple[Enrolled, Proof]:
        account = self._asking(request, signed)
        found = self._proofs.get(request.match_info["id"])
        if found is None or found.account != account.id:
            raise problem("notFound", "the account has no such authorization")
        return account, found

    async def _order(self, request: web.Request, signed: SignedRequest, _key: AccountKey) -> web.Response:
        return self._order_view(request, self._own_order(request, signed), 200)

    async def _authorization(
        self, request: web.Request, signed: SignedRequest, _key: AccountKey
    ) -> web.Response:
        _account, proof = self._own_proof(request, signed)
        if proof.status == "pending" and signed.json().get("status") == "deactivated":
            proof.status = "deactivated"
        return web.json_response(
            {
                "status": proof.status,
                "expires": _time(proof.expires),
                "identifier": {"type": proof.kind, "value": proof.name},
                "challenges": [_challenge_view(request, proof)],
            }
        )

    async def _challenge(self, request: web.Request, signed: SignedRequest, _key: AccountKey) -> web.Response:
        account, proof = self._own_proof(request, signed)
        if proof.status == "pending" and signed.payload:
            proof.failure = await self._looked_up(proof, f"{proof.token}.{account.key.thumbprint}")
            proof.status = "invalid" if proof.failure else "valid"
        answer = web.json_response(_challenge_view(request, proof))
        answer.headers.add("Link", f'<{_at(request, f"/authorization/{proof.id}")}>;rel="up"')
        return answer

    async def _looked_up(self, proof: Proof, expected: str) -> str:
        """Why the name does not answer the challenge; empty when it does (RFC 8555 8.3)."""
        url = f"http://{host_in_url(proof.name)}:{self._port}/.well-known/acme-challenge/{proof.token}"
        timeout = aiohttp.ClientTimeout(total=_CHALLENGE_S)
        try:
            async with (
                aiohttp.ClientSession(trust_env=False, timeout=timeout) as session,
                session.get(url, allow_redirects=False) as answer,
            ):
                found = await read_answer(answer, _LONGEST_ANSWER)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as err:
            return f"{url}: {str(err) or type(err).__name__}"
        if answer.status != 200 or found.decode("ascii", "replace").strip() != expected:
            return f"{url} answered HTTP {answer.status} with something else than the key authorization"
        return ""

    async def _finalize(self, request: web.Request, signed: SignedRequest, _key: AccountKey) -> web.Response:
        order = self._own_order(request, signed)
        if order.status(self._now()) != "ready":
            raise problem("orderNotReady", f"the order is {order.status(self._now())}")
        try:
            given = x509.load_der_x509_csr(from_base64url(str(signed.json()["csr"])))
            _check_names(given, order)
            order.certificate = await asyncio.to_thread(
                self._pki.certify, given, order.profile, days=DAYS, now=self._now()
            )
        except (ValueError, TypeError, KeyError) as err:
            raise problem("badCSR", f"the request cannot be certified: {err}") from err
        self._issued[order.certificate.serial_number] = order
        return self._order_view(request, order, 200)

    async def _certificate(
        self, request: web.Request, signed: SignedRequest, _key: AccountKey
    ) -> web.Response:
        order = self._own_order(request, signed)
        if order.certificate is None:
            raise problem("notFound", "the order has no certificate yet")
        chain = [order.certificate]
        if self._pki.intermediate != self._pki.root:
            chain.append(self._pki.intermediate)
        pem = b"".join(c.public_bytes(Encoding.PEM) for c in chain)
        return web.Response(body=pem, content_type="application/pem-certificate-chain")

    async def _revoke(self, request: web.Request, signed: SignedRequest, key: AccountKey) -> web.Response:
        serial = x509.load_der_x509_certificate(
            from_base64url(str(signed.json()["certificate"]))
        ).serial_number
        order = self._issued.get(serial)
        if order is None or order.certificate is None:
            raise problem("notFound", "the certificate was not issued here")
        owner = self._accounts[order.account]
        its_own = AccountKey(jwk_of(order.certificate.public_key())).thumbprint
        if key.thumbprint not in (owner.key.thumbprint, its_own):
            raise problem("unauthorized", "only the account that ordered it, or its own key, may revoke it")
        if self._pki.is_revoked(serial):
            raise problem("alreadyRevoked", "the certificate is revoked already")
        self._pki.revoke(serial)
        return web.Response()

    async def _renewal(self, request: web.Request) -> web.Response:
        """The last third of a certificate's life; now, when it is revoked (RFC 9773 4.2)."""
        order = None
        with contextlib.suppress(ValueError):
            serial = request.match_info["id"].partition(".")[2]
            order = self._issued.get(int.from_bytes(from_base64url(serial), "big", signed=True))
        if order is None or order.certificate is None:
            raise problem("notFound", "the certificate was not issued here")
        begins, ends = order.certificate.not_valid_before_utc, order.certificate.not_valid_after_utc
        start = begins + (ends - begins) * 2 / 3
        if self._pki.is_revoked(order.certificate.serial_number):
            start = self._now() - timedelta(hours=1)
        window = {"start": _time(start), "end": _time(start + timedelta(days=1))}
        return web.json_response({"suggestedWindow": window}, headers={"Retry-After": "21600"})

    def _order_view(self, request: web.Request, order: Ordered, status: int) -> web.Response:
        view: dict[str, Any] = {
            "status": order.status(self._now()),
            "expires": _time(order.expires),
            "identifiers": [{"type": p.kind, "value": p.name} for p in order.proofs],
            "authorizations": [_at(request, f"/authorization/{p.id}") for p in order.proofs],
            "finalize": _at(request, f"/order/{order.id}/finalize"),
            "profile": order.profile,
        }
        if order.certificate is not None:
            view["certificate"] = _at(request, f"/certificate/{order.id}")
        headers = {"Location": _at(request, f"/order/{order.id}")}
        return web.json_response(view, status=status, headers=headers)


def _at(request: web.Request, path: str) -> str:
    return f"{request.url.origin()}{ROOT}{path}"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _account_view(request: web.Request, account: Enrolled, status: int) -> web.Response:
    body = {"status": account.status, "contact": account.contact, "termsOfServiceAgreed": True}
    headers = {"Location": _at(request, f"/account/{account.id}")}
    return web.json_response(body, status=status, headers=headers)


def _challenge_view(request: web.Request, proof: Proof) -> dict[str, Any]:
    view: dict[str, Any] = {
        "type": "http-01",
        "url": _at(request, f"/challenge/{proof.id}"),
        "token": proof.token,
        "status": proof.status if proof.status in ("pending", "valid") else "invalid",
    }
    if proof.failure:
        view["error"] = {"type": "urn:ietf:params:acme:error:connection", "detail": proof.failure}
    return view


def _identifier(one: object) -> tuple[str, str]:
    """Type and value of an identifier. Raises the problem."""
    kind, value = (one.get("type"), str(one.get("value", ""))) if isinstance(one, dict) else (None, "")
    if kind == "ip":
        return kind, str(ipaddress.ip_address(value))
    if kind != "dns":
        raise problem("unsupportedIdentifier", f"identifiers are of type dns or ip, not {kind!r}")
    if not value or value.startswith("*") or not value.replace("-", "").replace(".", "").isalnum():
        raise problem("rejectedIdentifier", f"{value!r} is no name that HTTP-01 can prove")
    return kind, value.lower()


def _check_names(given: x509.CertificateSigningRequest, order: Ordered) -> None:
    """Refuse a request for other names than the order's. Raises ValueError."""
    try:
        names = given.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise ValueError("it has no subject alternative name") from None
    found = {("dns", name.lower()) for name in names.get_values_for_type(x509.DNSName)}
    found |= {("ip", str(address)) for address in names.get_values_for_type(x509.IPAddress)}
    expected = {(proof.kind, proof.name) for proof in order.proofs}
    if found != expected:
        raise ValueError(f"it names {sorted(found)}, the order {sorted(expected)}")
