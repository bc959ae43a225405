"""Ordering certificates from an ACME server: account, external binding, order, HTTP-01, certificate.

The client library is synchronous, so an order runs in a thread. The account's key is kept in a file sealed with the
account secret. Names to be proved are those of the request's subject alternative name; its common name is a person's or an
institute's and is proved by nobody. An order that fails raises `Refused` with the admin API's ``acme.`` code.

Spec: RFC 8555, RFC 8738 (addresses), RFC 9773 (renewal information).
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from certs.edges.tokenfiles import write_whole
from gateway.refusals import GatewayCode
from serving.errors import Refused
from serving.language import N_
from serving.process.failing import FailureReason, causes_of, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ORDER_TIMEOUT_S = 120


class Account(msgspec.Struct, frozen=True):
    """Whom an ACME server knows us as. ``kid`` and ``mac_key`` (base64url) bind the account to an outside one."""

    folder: Path
    secret: str
    contact: tuple[str, ...] = ()
    kid: str = ""
    mac_key: str = ""


class ChallengeBoard:
    """The answers to HTTP-01 challenges (RFC 8555 8.3) while orders run."""

    def __init__(self) -> None:
        self._answers: dict[str, str] = {}

    @contextlib.contextmanager
    def showing(self, token: str, answer: str) -> Iterator[None]:
        """Answer one challenge for as long as this lasts."""
        self._answers[token] = answer
        try:
            yield
        finally:
            del self._answers[token]

    def app(self) -> web.Application:
        """The application for port 80: it serves ``GET /.well-known/acme-challenge/{token}`` and nothing else (RFC 8555 8.3)."""

        async def answer(request: web.Request) -> web.Response:
            found = self._answers.get(request.match_info["token"])
            if found is None:
                raise web.HTTPNotFound(text="no such challenge")
            return web.Response(text=found)

        app = web.Application()
        app.router.add_get("/.well-known/acme-challenge/{token}", answer)
        return app


class AcmeClient:
    """Orders from one ACME server with one account."""

    def __init__(
        self,
        directory_url: str,
        account: Account,
        board: ChallengeBoard,
        *,
        trusted_ca: str = "",
        timeout_s: int = ORDER_TIMEOUT_S,
    ) -> None:
        self._url = directory_url
        self._account = account
        self._board = board
        self._verify: Any = trusted_ca or True
        self._timeout_s = timeout_s

    async def order(self, request_der: bytes, profile: str | None = None) -> bytes:
        """The certificate (PEM, leaf only) for a request. Raises `Refused` (``acme.*``)."""
        return await asyncio.to_thread(self._order, request_der, profile)

    async def renewal_time(self, certificate_der: bytes) -> dt.datetime | None:
        """When the server suggests to renew; None when it does not say. Raises `Refused`."""
        pem = x509.load_der_x509_certificate(certificate_der).public_bytes(Encoding.PEM)

        def ask() -> dt.datetime | None:
            from acme import errors  # an extra, loaded where it is used

            try:
                client, _ = self._connected()
                at, _ = client.renewal_time(pem)
            except errors.ARIError as err:
                text = N_("the ACME server did not say when to renew: {why}", why=reason_of(err))
                raise Refused(GatewayCode.ACME_FETCHING_RENEWAL_INFO_FAILURE, text) from err
            suggested: dt.datetime | None = at
            return suggested if suggested is None or suggested.tzinfo else suggested.replace(tzinfo=dt.UTC)

        return await asyncio.to_thread(ask)

    async def demands_binding(self) -> bool:
        """Whether the server takes only accounts bound to outside ones. Raises `Refused`."""
        return await asyncio.to_thread(lambda: _demands_binding(self._directory()[0]))

    def _order(self, request_der: bytes, profile: str | None) -> bytes:
        client, key = self._connected()
        order = _step(
            GatewayCode.ACME_ORDER_CREATION_FAILURE, lambda: _new_order(client, request_der, profile)
        )
        with contextlib.ExitStack() as shown:
            for authorization in order.authorizations:
                if authorization.body.status.name == "valid":
                    continue
                challenge = _http_challenge(authorization)
                response, answer = challenge.response_and_validation(key)
                shown.enter_context(self._board.showing(challenge.chall.encode("token"), answer))
                _step(
                    GatewayCode.ACME_CHALLENGE_TRIGGER_FAILURE,
                    lambda c=challenge, r=response: client.answer_challenge(c, r),  # type: ignore[misc]
                )
            deadline = dt.datetime.now() + dt.timedelta(seconds=self._timeout_s)
            order = _step(
                GatewayCode.ACME_AUTHORIZATION_WAIT_FAILURE,
                lambda: client.poll_authorizations(order, deadline),
            )
            order = _step(
                GatewayCode.ACME_ORDER_FINALIZATION_FAILURE, lambda: client.finalize_order(order, deadline)
            )
        leaf = x509.load_pem_x509_certificates(order.fullchain_pem.encode())[0]
        return leaf.public_bytes(Encoding.PEM)

    def _connected(self) -> tuple[Any, Any]:
        """A client with its account, made at the server if it is new, and the account's key."""
        from acme import client, errors, messages

        directory, network, key = self._directory()
        connected = client.ClientV2(directory, network)
        binding = None
        if self._account.kid:
            binding = messages.ExternalAccountBinding.from_data(
                key.public_key(), self._account.kid, self._account.mac_key, directory
            )
        elif _demands_binding(directory):
            raise Refused(
                GatewayCode.ACME_EAB_CREDENTIALS_MISSING,
                N_(
                    "the ACME server at {url} binds accounts to outside ones: set kid and mac_key for it",
                    url=self._url,
                ),
            )
        registration = messages.NewRegistration.from_data(
            email=",".join(self._account.contact) or None,
            terms_of_service_agreed=True,
            external_account_binding=binding,
        )
        try:
            _step(
                GatewayCode.ACME_ACCOUNT_CREATION_FAILURE,
                lambda: connected.new_account(registration),
                errors.ConflictError,
            )
        except errors.ConflictError as known:
            network.account = messages.RegistrationResource(uri=known.location, body=messages.Registration())
        return connected, key

    def _directory(self) -> tuple[Any, Any, Any]:
        """The server's directory, with the network that asks and the account's key."""
        import josepy
        from acme import client

        key = josepy.jwk.JWKEC(key=self._account_key())
        network = client.ClientNetwork(key, alg=josepy.jwa.ES256, verify_ssl=self._verify, user_agent="sacbe")
        # Whoever answers as the server leads nowhere else: no redirect is followed, and nothing is asked without TLS.
        network.session.max_redirects = 0
        if self._url.startswith("https://"):
            del network.session.adapters["http://"]
        directory = _step(
            GatewayCode.ACME_FETCHING_METADATA_ERROR,
            lambda: client.ClientV2.get_directory(self._url, network),
        )
        return directory, network, key

    def _account_key(self) -> ec.EllipticCurvePrivateKey:
        if len(self._account.secret) < 8:
            raise Refused(
                GatewayCode.ACME_ACCOUNT_KEYSTORE_PASSWORD_MISSING,
                N_(
                    "the secret that seals the ACME account's key is missing or has less than eight characters"
                ),
            )
        path = self._account.folder / "account.pem"
        password = self._account.secret.encode()
        if path.exists():
            try:
                key = serialization.load_pem_private_key(path.read_bytes(), password)
            except ValueError as err:
                raise Refused(
                    GatewayCode.ACME_ACCOUNT_KEY_PAIR_ERROR,
                    N_("the key in {path} does not open: {err}", path=path, err=err),
                ) from err
            if isinstance(key, ec.EllipticCurvePrivateKey):
                return key
            raise Refused(
                GatewayCode.ACME_ACCOUNT_KEY_PAIR_ERROR, N_("the key in {path} is no EC key", path=path)
            )
        made = ec.generate_private_key(ec.SECP256R1())
        self._account.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sealed = made.private_bytes(
            Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(password)
        )
        # On disk before the account is asked for: a crash from here on leaves a key whose account is made, or found, next time.
        write_whole(path, sealed)
        return made


def _demands_binding(directory: Any) -> bool:
    return bool(getattr(directory.meta, "external_account_required", False))


def _new_order(client: Any, request_der: bytes, profile: str | None) -> Any:
    """An order for the names of the request's alternative name only."""
    from acme import messages

    request = x509.load_der_x509_csr(request_der)
    try:
        names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise Refused(
            GatewayCode.ACME_ORDER_CREATION_FAILURE,
            N_(
                "the request has no subject alternative name, which is what an ACME server proves; use a profile with one"
            ),
        ) from None
    identifiers = [
        messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=n)
        for n in names.get_values_for_type(x509.DNSName)
    ] + [
        messages.Identifier(typ=messages.IDENTIFIER_IP, value=str(a))
        for a in names.get_values_for_type(x509.IPAddress)
    ]
    order = messages.NewOrder(identifiers=identifiers, profile=profile or "")
    response = client._post(client.directory["newOrder"], order)
    body = messages.Order.from_json(response.json())
    authorizations = [
        client._authzr_from_response(client._post_as_get(url), uri=url) for url in body.authorizations
    ]
    return messages.OrderResource(
        body=body,
        uri=response.headers.get("Location"),
        authorizations=authorizations,
        csr_pem=request.public_bytes(Encoding.PEM),
    )


def _http_challenge(authorization: Any) -> Any:
    from acme import challenges

    for offered in authorization.body.challenges:
        if isinstance(offered.chall, challenges.HTTP01):
            return offered
    raise Refused(
        GatewayCode.ACME_HTTP_CHALLENGE_MISSING,
        N_(
            "the ACME server offers no HTTP-01 challenge for {name}",
            name=authorization.body.identifier.value,
        ),
    )


def _step(code: GatewayCode, do: Callable[[], Any], passed: type[Exception] | tuple[()] = ()) -> Any:
    """A step of an order; what goes wrong in it is refused with its code."""
    import josepy
    import requests
    from acme import errors

    try:
        return do()
    except passed:
        raise
    except (errors.Error, josepy.errors.Error, requests.RequestException, ValueError) as err:
        if isinstance(err, Refused):
            raise
        why = FailureReason(_detail(err), causes_of(err))
        raise Refused(
            code, N_("the ACME server did not do it ({code}): {why}", code=code.value, why=why), why.detail
        ) from err


def _detail(err: Exception) -> str:
    failed = getattr(err, "failed_authzrs", None)
    if failed:
        details = [c.error.detail for a in failed for c in a.body.challenges if c.error is not None]
        return "; ".join(str(d) for d in details) or str(err)
    return str(err) or type(err).__name__
