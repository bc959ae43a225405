"""Approved certification authorities as the global configuration has them, and what their profiles want in a request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from certs.certificates import name_text, parse_certificate
from gateway.admin.keycontext import KeyAdminContext, check_may_request, member_of, row, usage_of
from gateway.keys.model import KeyUsage
from gateway.refusals import GatewayCode
from schemas.faults import Fault, NotProved
from serving.api.certificateview import common_name
from serving.api.problems import bad_request
from serving.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from schemas.globalconf.shared import ApprovedCa, CaInfo
    from serving.api.operations import Call, Operation

_ASK = ("GENERATE_AUTH_CERT_REQ", "GENERATE_SIGN_CERT_REQ")
_IMPORT = ("IMPORT_AUTH_CERT", "IMPORT_SIGN_CERT")
_VIEW = "VIEW_APPROVED_CERTIFICATE_AUTHORITIES"
Usage = Annotated[str, msgspec.Meta(pattern="^(AUTHENTICATION|SIGNING)$")]


class OcspResponderView(msgspec.Struct, frozen=True):
    """An OCSP responder of a CA."""

    url: str
    cost_type: str


class AuthorityView(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An approved CA, or an intermediate below one."""

    name: str
    subject_distinguished_name: str
    issuer_distinguished_name: str
    ocsp_response: str
    not_after: str
    top_ca: bool
    path: str
    authentication_only: bool
    certificate_profile_info: str | None = None
    default_csr_format: str | None = None
    acme_capable: bool | None = None
    acme_server_ip_addresses: list[str] | None = None
    ocsp_responders: list[OcspResponderView] | None = None


class FieldView(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A field of a signing request's subject."""

    id: str
    label: str | None = None
    label_key: str | None = None
    default_value: str | None = None
    read_only: bool
    required: bool
    localized: bool


class EabView(msgspec.Struct, frozen=True):
    """Whether a CA wants external account credentials, and whether they are there."""

    acme_eab_required: bool
    has_acme_external_account_credentials: bool


class ListQuery(msgspec.Struct, frozen=True):
    """The choice among authorities: for which usage, and whether intermediate ones too."""

    key_usage_type: Usage | None = None
    include_intermediate_cas: bool = False


class FieldsQuery(msgspec.Struct, frozen=True):
    """For what kind of certificate, and for whom."""

    key_usage_type: Usage
    key_id: str | None = None
    member_id: str | None = None
    is_new_member: bool = False


class AccountQuery(msgspec.Struct, frozen=True):
    """For what kind of certificate, and for whom."""

    key_usage_type: Usage
    member_id: str | None = None


class OrderBody(msgspec.Struct, frozen=True):
    """A kept signing request that the CA shall answer at once."""

    csr_id: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    key_usage_type: Usage


def operations(context: KeyAdminContext) -> Sequence[Operation]:
    """The rows of ``/certificate-authorities``: path, right, input, answer."""
    api = _Authorities(context)
    one = "/certificate-authorities/{ca_name}"
    return (
        row("GET", "/certificate-authorities", api.all, "Approved CAs", _VIEW, *_ASK,
            query=ListQuery, answer=list[AuthorityView], errors=(500,)),
        row("GET", "/certificate-authorities/ocsp-prioritization-strategy", api.strategy,
            "In which order responders that cost are asked", _VIEW, answer=str),
        row("GET", f"{one}/csr-subject-fields", api.fields, "What the CA's profile wants in a request", *_ASK,
            query=FieldsQuery, answer=list[FieldView], errors=(500,)),
        row("GET", f"{one}/has-acme-eab-credentials", api.account, "External account credentials for ACME", *_IMPORT,
            query=AccountQuery, answer=EabView),
        row("POST", f"{one}/acme-order", api.order, "Order a certificate for a kept request", *_IMPORT,
            body=OrderBody, status=204, event="ACME_ORDER_CERTIFICATE", errors=(500,)),
    )  # fmt: skip


class _Authorities:
    def __init__(self, context: KeyAdminContext) -> None:
        self._context = context

    async def all(self, call: Call) -> list[AuthorityView]:
        query = call.query_as(ListQuery)
        if not call.may(_VIEW):
            check_may_request(call, usage_of(query.key_usage_type or "AUTHENTICATION"), ordering=False)
        found: list[AuthorityView] = []
        for ca in self._approved():
            if query.key_usage_type == "SIGNING" and ca.authentication_only:
                continue
            found += self._views(ca, call.now, intermediates=query.include_intermediate_cas)
        return found

    async def strategy(self, _call: Call) -> str:
        return self._context.ocsp_strategy()

    async def fields(self, call: Call) -> list[FieldView]:
        query = call.query_as(FieldsQuery)
        usage, member = usage_of(query.key_usage_type), member_of(query.member_id)
        check_may_request(call, usage, ordering=False)
        if usage is KeyUsage.SIGNING and member is None:
            raise bad_request("memberId_required_for_sign_csr", "say for which member: member_id")
        if query.key_id is not None:
            _, key = await self._context.keys.key(query.key_id)
            if key.usage not in (None, usage):
                raise Refused(GatewayCode.WRONG_KEY_USAGE, f"the key is for {key.usage}", key.id)
        described = self._context.keys.subject_fields(call.path["ca_name"], usage, member)
        return [
            FieldView(
                id=f.id,
                label_key=f.label_key,
                default_value=f.default_value or None,
                read_only=f.read_only,
                required=f.required,
                localized=True,
            )
            for f in described
        ]

    async def account(self, call: Call) -> EabView:
        query = call.query_as(AccountQuery)
        ca = self._context.keys.approved_ca(call.path["ca_name"])
        if ca.acme_server is None:
            return EabView(acme_eab_required=False, has_acme_external_account_credentials=False)
        return EabView(*await self._context.orders.account_state(ca.name, member_of(query.member_id)))

    async def order(self, call: Call) -> None:
        body = call.body_as(OrderBody)
        usage = usage_of(body.key_usage_type)
        call.check_may("IMPORT_AUTH_CERT" if usage is KeyUsage.AUTHENTICATION else "IMPORT_SIGN_CERT")
        ca = self._context.keys.approved_ca(call.path["ca_name"])
        for token in await self._context.keys.tokens():
            for key in token.keys:
                for request in key.requests:
                    if request.id == body.csr_id and request.usage is usage and request.ca_name == ca.name:
                        await self._context.orders.order(key.id, request.id)
                        return
        raise Refused(
            GatewayCode.CSR_NOT_FOUND, f"there is no request {body.csr_id!r} of this usage to {ca.name}"
        )

    def _approved(self) -> tuple[ApprovedCa, ...]:
        configuration = self._context.configuration()
        if configuration is None:
            raise Refused(
                GatewayCode.GLOBAL_CONF_OUTDATED, "there is no valid global configuration to take CAs from"
            )
        return tuple(configuration.own.shared.approved_cas)

    def _views(self, ca: ApprovedCa, now: datetime, *, intermediates: bool) -> Iterator[AuthorityView]:
        yield self._view(ca, ca.top, now, path=ca.name, top=True)
        if not intermediates:
            return
        for info in ca.intermediates:
            name = _common_name(info)
            yield self._view(ca, info, now, path=f"{ca.name}:{name}", top=False)

    def _view(self, ca: ApprovedCa, info: CaInfo, now: datetime, *, path: str, top: bool) -> AuthorityView:
        certificate = parse_certificate(info.certificate)
        return AuthorityView(
            name=ca.name if top else _common_name(info),
            subject_distinguished_name=name_text(certificate.subject),
            issuer_distinguished_name=name_text(certificate.issuer),
            ocsp_response=self._ocsp(info, now, top=top),
            not_after=certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
            top_ca=top,
            path=path,
            authentication_only=bool(ca.authentication_only),
            certificate_profile_info=ca.profile,
            default_csr_format=ca.default_csr_format,
            acme_capable=ca.acme_server is not None,
            acme_server_ip_addresses=_addresses(ca),
            ocsp_responders=[OcspResponderView(o.url, (o.cost_type or "UNDEFINED")) for o in info.ocsp],
        )

    def _ocsp(self, info: CaInfo, now: datetime, *, top: bool) -> str:
        """The OCSP status of the CA's own certificate; a root has no responder above it."""
        if top:
            return "NOT_AVAILABLE"
        try:
            self._context.ocsp_status(parse_certificate(info.certificate), now)
        except Fault as fault:
            is_revoked = isinstance(fault, NotProved) and fault.is_revoked
            return "OCSP_RESPONSE_REVOKED" if is_revoked else "NOT_AVAILABLE"
        return "OCSP_RESPONSE_GOOD"


def _common_name(info: CaInfo) -> str:
    return common_name(parse_certificate(info.certificate).subject)


def _addresses(ca: ApprovedCa) -> list[str] | None:
    given = None if ca.acme_server is None else ca.acme_server.ip_address
    return None if given is None else [a.strip() for a in given.split(",") if a.strip()]
