"""The development trust services as one web application.

``POST /ocsp``, ``POST /tsa``, ``POST /sign/{sign|auth}`` with a signing request, ``GET /{root,intermediate,ocsp,tsa}.pem``,
``POST /revoke?serial=``, and ``POST /behaviour`` with JSON to answer wrongly on purpose, each service one of `BEHAVIOURS`.

The face of X-Road's own test CA is here too, so that its scenarios run: ``POST /`` takes OCSP requests and timestamp
requests, told apart by their content type; ``POST /testca/sign`` a form with a signing request (``certreq``, with a file
name) and its ``type`` (``sign``, ``auth``, ``auto`` by the file's name); ``GET /testca/{ca,ocsp,tsa}.pem``; ``GET
/testca/certs``. ACME is below ``/acme/directory`` (`certs.dev.acme`).
"""

from __future__ import annotations

import asyncio
import email
import email.message
import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.dev.acme import AcmeAuthority
from certs.dev.responder import ocsp_reply
from certs.dev.timestamping import timestamp_reply
from schemas.identifiers import ClientId, ServerId

if TYPE_CHECKING:
    from collections.abc import Callable

    from certs.dev.authority import DevPki

BEHAVIOURS = {
    "ocsp": ("ok", "down", "hang", "stale", "future", "garbage", "wrong-responder", "wrong-nonce"),
    "tsa": ("ok", "down", "hang", "garbage", "wrong-imprint", "wrong-nonce"),
}
_HANG_S = 3600
_FORM = """<!doctype html><form method="post" action="sign" enctype="multipart/form-data">
<input type="file" name="certreq"><select name="type"><option>auto<option>sign<option>auth</select>
<button>Sign</button></form>"""


class TrustServices:
    """The services of one authority, with switchable misbehaviour."""

    def __init__(
        self,
        pki: DevPki,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        challenge_port: int = 80,
        outside_accounts: dict[str, str] | None = None,
    ) -> None:
        """``challenge_port`` is where names answer HTTP-01; ``outside_accounts`` are MAC keys by key id that ACME accounts are bound to."""
        self._pki = pki
        self._now = now
        self._acme = AcmeAuthority(pki, now, challenge_port=challenge_port, outside=outside_accounts)
        self._serials = itertools.count(int(now().timestamp() * 1000))
        self.behaviour = {"ocsp": "ok", "tsa": "ok"}

    def app(self) -> web.Application:
        """The aiohttp application that serves CA, OCSP and timestamps."""
        app = web.Application(client_max_size=256 * 1024)
        app.add_routes(
            [
                web.get("/", self._health),
                web.post("/ocsp", self._ocsp),
                web.post("/tsa", self._tsa),
                web.post("/sign/{kind:sign|auth}", self._sign),
                web.post("/revoke", self._revoke),
                web.post("/unrevoke", self._unrevoke),
                web.post("/behaviour", self._behave),
                web.post("/", self._by_content_type),
                web.get("/testca/", self._form),
                web.get("/testca/certs", self._issued),
                web.post("/testca/sign", self._test_ca_sign),
                web.get("/testca/{role:ca|ocsp|tsa}.pem", self._certificate),
                web.get("/{role:root|intermediate|ocsp|tsa}.pem", self._certificate),
                *self._acme.routes(),
            ]
        )
        return app

    async def _health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "up", **self.behaviour})

    async def _misbehave(self, service: str) -> web.Response | None:
        match self.behaviour[service]:
            case "down":
                return web.Response(status=503, text="down on purpose")
            case "hang":
                await asyncio.sleep(_HANG_S)
            case "garbage":
                return web.Response(body=b"garbage", content_type="application/octet-stream")
        return None

    async def _ocsp(self, request: web.Request) -> web.Response:
        wrong = await self._misbehave("ocsp")
        if wrong is not None:
            return wrong
        at = self._now()
        signer = None
        if self.behaviour["ocsp"] == "stale":
            at -= timedelta(days=1)
        elif self.behaviour["ocsp"] == "future":
            at += timedelta(days=1)
        elif self.behaviour["ocsp"] == "wrong-responder":
            signer = (self._pki.tsa_certificate, self._pki.key_of("tsa"))
        wrong_nonce = self.behaviour["ocsp"] == "wrong-nonce"
        reply = ocsp_reply(self._pki, await request.read(), at, signer=signer, wrong_nonce=wrong_nonce)
        return web.Response(body=reply, content_type="application/ocsp-response")

    async def _tsa(self, request: web.Request) -> web.Response:
        wrong = await self._misbehave("tsa")
        if wrong is not None:
            return wrong
        body = await request.read()
        if self.behaviour["tsa"] == "wrong-imprint" and len(body) > 40:
            body = body.replace(body[-16:], bytes(16))
        wrong_nonce = self.behaviour["tsa"] == "wrong-nonce"
        reply = timestamp_reply(self._pki, body, self._now(), next(self._serials), wrong_nonce=wrong_nonce)
        return web.Response(body=reply, content_type="application/timestamp-reply")

    async def _by_content_type(self, request: web.Request) -> web.StreamResponse:
        if request.content_type == "application/timestamp-query":
            return await self._tsa(request)
        return await self._ocsp(request)

    async def _form(self, _request: web.Request) -> web.Response:
        return web.Response(text=_FORM, content_type="text/html")

    async def _issued(self, _request: web.Request) -> web.Response:
        items = "".join(f"<li>{name}</li>" for name in self._pki.issued_names())
        return web.Response(text=f"<!doctype html><ul>{items}</ul>", content_type="text/html")

    async def _test_ca_sign(self, request: web.Request) -> web.Response:
        form = _form_parts(request.headers.get("Content-Type", ""), await request.read())
        file_name, content = form.get("certreq", (None, b""))
        if not file_name:
            raise web.HTTPBadRequest(text="the form field certreq must be a file with a name")
        kind = form.get("type", (None, b"auto"))[1].decode("ascii", "replace").strip()
        if kind == "auto":
            kind = "sign" if "sign" in file_name else "auth"
        if kind not in ("sign", "auth"):
            raise web.HTTPBadRequest(text=f"type is {kind!r}; sign, auth or auto was expected")
        try:
            issued = self._pki.certify(_load_request(content), kind)
        except (ValueError, TypeError) as err:
            return web.Response(status=500, text=f"the request cannot be certified: {err}")
        return web.Response(
            body=issued.public_bytes(Encoding.PEM),
            content_type="application/octet-stream",
            headers={"Content-Disposition": f'attachment; filename="{issued.serial_number}.pem"'},
        )

    async def _sign(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            csr = _load_request(body)
            identifier = request.query["id"].split("/")
            if request.match_info["kind"] == "sign":
                member = ClientId(*identifier)
                profile = request.query.get("profile", "Basic")
                issued = self._pki.issue_sign(csr, member, request.query.get("name"), profile)
            else:
                address = request.query.get("address", "localhost")
                issued = self._pki.issue_auth(csr, ServerId(*identifier), address)
        except (ValueError, KeyError, TypeError) as err:
            raise web.HTTPBadRequest(
                text=f"send a PEM or DER request and ?id=instance/class/code[/server]: {err}"
            ) from err
        return web.Response(body=issued.public_bytes(Encoding.PEM), content_type="application/x-pem-file")

    async def _revoke(self, request: web.Request) -> web.Response:
        self._pki.revoke(_serial(request))
        return web.json_response({"revoked": True})

    async def _unrevoke(self, request: web.Request) -> web.Response:
        self._pki.unrevoke(_serial(request))
        return web.json_response({"revoked": False})

    async def _behave(self, request: web.Request) -> web.Response:
        for service, behaviour in (await request.json()).items():
            if behaviour not in BEHAVIOURS.get(service, ()):
                raise web.HTTPBadRequest(text=f"{service}={behaviour} is not one of {BEHAVIOURS}")
            self.behaviour[service] = behaviour
        return web.json_response(self.behaviour)

    async def _certificate(self, request: web.Request) -> web.Response:
        certificates = {
            "ca": self._pki.intermediate,
            "root": self._pki.root,
            "intermediate": self._pki.intermediate,
            "ocsp": self._pki.ocsp_certificate,
            "tsa": self._pki.tsa_certificate,
        }
        pem = certificates[request.match_info["role"]].public_bytes(Encoding.PEM)
        return web.Response(body=pem, content_type="application/x-pem-file")


def _form_parts(content_type: str, body: bytes) -> dict[str, tuple[str | None, bytes]]:
    """File name and content of each part of a multipart form, with line ends of either kind, as X-Road's test CA reads it."""
    message = email.message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    found: dict[str, tuple[str | None, bytes]] = {}
    for part in message.get_payload() if message.is_multipart() else ():
        if isinstance(part, email.message.Message):
            name = str(part.get_param("name", "", header="content-disposition"))
            content = part.get_payload(decode=True)
            found[name] = (part.get_filename(), content if isinstance(content, bytes) else b"")
    return found


def _load_request(body: bytes) -> x509.CertificateSigningRequest:
    load = x509.load_pem_x509_csr if body.lstrip().startswith(b"-----") else x509.load_der_x509_csr
    return load(body)


def _serial(request: web.Request) -> int:
    try:
        return int(request.query["serial"])
    except (KeyError, ValueError) as err:
        raise web.HTTPBadRequest(text="?serial= must be the certificate's serial number in decimal") from err
