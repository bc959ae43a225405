"""Approved trust services: CAs with their intermediates and OCSP responders, timestamping authorities."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from central_server.admin.context import certificate_of, row
from central_server.admin.values import (
    certificate_file,
    check_url,
    cost_part,
    number_of,
    text_part,
    url_part,
)
from central_server.registry.refusals import RegistryCode, refuse
from central_server.store import trust
from central_server.store.loading import number_parameter
from certs.certificates import name_text, parse_certificate
from certs.profiles import JAVA_PACKAGE, JAVA_SUFFIX
from schemas.faults import Fault
from schemas.globalconf.shared import CostType
from serving.api.certificateview import CertificateDetails, certificate_details, common_name
from serving.api.operations import MultipartForm
from serving.api.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from central_server.admin.context import CentralAdminContext
    from certs.profiles import CertificateProfiles
    from serving.api.operations import Call, Operation

_SETTINGS = {
    "certificate_profile_info": False,
    "tls_auth": False,
    "default_csr_format": False,
    "acme_server_directory_url": False,
    "acme_server_ip_address": False,
    "authentication_certificate_profile_id": False,
    "signing_certificate_profile_id": False,
}
_COSTS = {"cost_type": tuple(c.value for c in CostType)}
_RESPONDER_FORM = MultipartForm({"url": True, "cost_type": False}, {"certificate": False}, _COSTS)
_RESPONDER_EDIT = MultipartForm({"url": False, "cost_type": False}, {"certificate": False}, _COSTS)
_TSA_FORM = MultipartForm({"url": True, "cost_type": False}, {"certificate": True}, _COSTS)
_TSA_EDIT = MultipartForm({"url": False, "cost_type": False}, {"certificate": False}, _COSTS)
_INTERMEDIATE_FORM = MultipartForm({}, {"certificate": True})


class CaListItem(msgspec.Struct, frozen=True):
    """An approved CA in the list."""

    id: int
    name: str
    not_before: str
    not_after: str


class CaView(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An approved CA, as the API shows it."""

    id: int
    name: str
    subject_distinguished_name: str
    issuer_distinguished_name: str
    not_before: str
    not_after: str
    certificate_profile_info: str
    tls_auth: bool
    default_csr_format: str | None = None
    acme_server_directory_url: str | None = None
    acme_server_ip_address: str | None = None
    authentication_certificate_profile_id: str | None = None
    signing_certificate_profile_id: str | None = None


class CaSettingsBody(msgspec.Struct, frozen=True):
    """New settings of an approved CA; what is left out stays."""

    certificate_profile_info: str | None = None
    tls_auth: str | bool | None = None
    default_csr_format: str | None = None
    acme_server_directory_url: str | None = None
    acme_server_ip_address: str | None = None
    authentication_certificate_profile_id: str | None = None
    signing_certificate_profile_id: str | None = None


class IntermediateView(msgspec.Struct, frozen=True):
    """An intermediate CA, as the API shows it."""

    id: int
    ca_certificate: CertificateDetails


class ResponderView(msgspec.Struct, frozen=True):
    """An OCSP responder, as the API shows it."""

    id: int
    url: str
    cost_type: str
    has_certificate: bool


class TsaView(msgspec.Struct, frozen=True):
    """An approved timestamping authority, as the API shows it."""

    id: int
    name: str
    url: str
    cost_type: str
    timestamping_interval: int
    certificate: CertificateDetails


def operations(context: CentralAdminContext) -> Sequence[Operation]:
    """The rows about approved CAs, OCSP responders and timestamping authorities."""
    return (*_ca_rows(context), *_rows_below(context), *_tsa_rows(context))


_DETAILS, _ADD, _EDIT = "VIEW_APPROVED_CA_DETAILS", "ADD_APPROVED_CA", "EDIT_APPROVED_CA"


def _ca_form(context: CentralAdminContext) -> MultipartForm:
    """The form that approves a CA: its profile is one that is known here."""
    choices = {
        "certificate_profile_info": context.node.profiles.names(),
        "tls_auth": ("true", "false"),
        "default_csr_format": ("PEM", "DER"),
    }
    return MultipartForm(_SETTINGS | {"certificate_profile_info": True}, {"certificate": True}, choices)


def _ca_rows(context: CentralAdminContext) -> Sequence[Operation]:
    api, below = _Cas(context), _Below(context)
    one = "/certification-services/{certification_service_id}"
    return (
        row("GET", "/certification-services", api.all, "Approved CAs", "VIEW_APPROVED_CAS", answer=list[CaListItem]),
        row("POST", "/certification-services", api.add, "Approve a CA", _ADD,
            body=_ca_form(context), answer=CaView, status=201, event="ADD_CERTIFICATION_SERVICE"),
        row("GET", one, api.one, "One CA", _DETAILS, answer=CaView),
        row("PATCH", one, api.edit, "Edit a CA's settings", _EDIT,
            body=CaSettingsBody, answer=CaView, event="EDIT_CERTIFICATION_SERVICE_SETTINGS"),
        row("DELETE", one, api.delete, "Withdraw approval", "DELETE_APPROVED_CA",
            status=204, event="DELETE_CERTIFICATION_SERVICE"),
        row("GET", f"{one}/certificate", api.certificate, "The CA's certificate", _DETAILS,
            answer=CertificateDetails),
        row("GET", f"{one}/intermediate-cas", below.of_ca, "Its intermediate CAs", _DETAILS,
            answer=list[IntermediateView]),
        row("POST", f"{one}/intermediate-cas", below.add, "Add an intermediate CA", _ADD,
            body=_INTERMEDIATE_FORM, answer=IntermediateView, status=201,
            event="ADD_CERTIFICATION_SERVICE_INTERMEDIATE_CA"),
        row("GET", f"{one}/ocsp-responders", below.ca_responders, "Its OCSP responders", _DETAILS,
            answer=list[ResponderView]),
        row("POST", f"{one}/ocsp-responders", below.add_ca_responder, "Add an OCSP responder", _ADD,
            body=_RESPONDER_FORM, answer=ResponderView, status=201,
            event="ADD_CERTIFICATION_SERVICE_OCSP_RESPONDER"),
    )  # fmt: skip


def _rows_below(context: CentralAdminContext) -> Sequence[Operation]:
    below = _Below(context)
    intermediate, responder = "/intermediate-cas/{intermediate_ca_id}", "/ocsp-responders/{ocsp_responder_id}"
    return (
        row("GET", intermediate, below.one, "One intermediate CA", _DETAILS, answer=IntermediateView),
        row("DELETE", intermediate, below.delete, "Delete an intermediate CA", _ADD,
            status=204, event="DELETE_INTERMEDIATE_CA"),
        row("GET", f"{intermediate}/ocsp-responders", below.responders, "Its OCSP responders", _DETAILS,
            answer=list[ResponderView]),
        row("POST", f"{intermediate}/ocsp-responders", below.add_responder, "Add an OCSP responder", _ADD,
            body=_RESPONDER_FORM, answer=ResponderView, status=201, event="ADD_INTERMEDIATE_CA_OCSP_RESPONDER"),
        row("DELETE", f"{intermediate}/ocsp-responders/{{ocsp_responder_id}}", below.delete_responder,
            "Delete a responder", _ADD, status=204, event="DELETE_OCSP_RESPONDER"),
        row("GET", responder, below.responder, "One OCSP responder", _DETAILS, answer=ResponderView),
        row("PATCH", responder, below.edit_responder, "Change a responder", _EDIT,
            body=_RESPONDER_EDIT, answer=ResponderView, event="EDIT_OCSP_RESPONDER"),
        row("DELETE", responder, below.delete_responder, "Delete a responder", _EDIT,
            status=204, event="DELETE_OCSP_RESPONDER"),
        row("GET", f"{responder}/certificate", below.responder_certificate, "Its certificate", _DETAILS,
            answer=CertificateDetails),
    )  # fmt: skip


def _tsa_rows(context: CentralAdminContext) -> Sequence[Operation]:
    tsas, tsa = _Tsas(context), "/timestamping-services/{timestamping_service_id}"
    return (
        row("GET", "/timestamping-services", tsas.all, "Approved TSAs", "VIEW_APPROVED_TSAS",
            answer=list[TsaView]),
        row("POST", "/timestamping-services", tsas.add, "Approve a TSA", "ADD_APPROVED_TSA",
            body=_TSA_FORM, answer=TsaView, status=201, event="ADD_TSP"),
        row("GET", tsa, tsas.one, "One TSA", "VIEW_APPROVED_TSAS", answer=TsaView),
        row("PATCH", tsa, tsas.edit, "Edit a TSA", "EDIT_APPROVED_TSA",
            body=_TSA_EDIT, answer=TsaView, event="EDIT_TIMESTAMP_SERVICE"),
        row("DELETE", tsa, tsas.delete, "Withdraw approval of a TSA", "DELETE_APPROVED_TSA",
            status=204, event="DELETE_TSP"),
    )  # fmt: skip


class _Cas:
    def __init__(self, context: CentralAdminContext) -> None:
        self._context = context

    async def all(self, _call: Call) -> list[CaListItem]:
        found = [_ca_view(ca) for ca in trust.list_cas(self._context.read())]
        return [CaListItem(ca.id, ca.name, ca.not_before, ca.not_after) for ca in found]

    async def add(self, call: Call) -> CaView:
        certificate = certificate_of(certificate_file(call.parts["certificate"]))
        settings = _settings(
            trust.CaSettings(""),
            CaSettingsBody(**{name: text_part(call, name) for name in _SETTINGS}),
            self._context.node.profiles,
        )
        subject = parse_certificate(certificate).subject
        name = common_name(subject) or name_text(subject)
        with self._context.change(call) as records:
            return _ca_view(trust.add_ca(records, name, certificate, settings))

    async def one(self, call: Call) -> CaView:
        return _ca_view(self._find(call))

    async def edit(self, call: Call) -> CaView:
        found = self._find(call)
        settings = _settings(found.settings, call.body_as(CaSettingsBody), self._context.node.profiles)
        with self._context.change(call) as records:
            return _ca_view(trust.set_ca(records, found.number, settings))

    async def delete(self, call: Call) -> None:
        with self._context.change(call) as records:
            trust.delete_ca(records, _ca_number(call))

    async def certificate(self, call: Call) -> CertificateDetails:
        return certificate_details(self._find(call).certificate)

    def _find(self, call: Call) -> trust.KeptCa:
        return trust.need_ca(self._context.read(), _ca_number(call))


class _Below:
    """Intermediate CAs and OCSP responders."""

    def __init__(self, context: CentralAdminContext) -> None:
        self._context = context

    async def of_ca(self, call: Call) -> list[IntermediateView]:
        return [_intermediate_view(i) for i in trust.intermediates_of(self._context.read(), _ca_number(call))]

    async def add(self, call: Call) -> IntermediateView:
        certificate = certificate_of(certificate_file(call.parts["certificate"]))
        with self._context.change(call) as records:
            return _intermediate_view(trust.add_intermediate(records, _ca_number(call), certificate))

    async def one(self, call: Call) -> IntermediateView:
        return _intermediate_view(trust.need_intermediate(self._context.read(), _intermediate_number(call)))

    async def delete(self, call: Call) -> None:
        with self._context.change(call) as records:
            trust.delete_intermediate(records, _intermediate_number(call))

    # Responders

    async def ca_responders(self, call: Call) -> list[ResponderView]:
        records = self._context.read()
        ca = trust.need_ca(records, _ca_number(call))
        return [_responder_view(r) for r in trust.responders_of(records, ca=ca.number)]

    async def add_ca_responder(self, call: Call) -> ResponderView:
        with self._context.change(call) as records:
            ca = trust.need_ca(records, _ca_number(call))
            added = trust.add_responder(
                records, url_part(call, "url"), cost_part(call), _optional_certificate(call), ca=ca.number
            )
        return _responder_view(added)

    async def responders(self, call: Call) -> list[ResponderView]:
        records = self._context.read()
        found = trust.need_intermediate(records, _intermediate_number(call))
        return [_responder_view(r) for r in trust.responders_of(records, intermediate=found.number)]

    async def add_responder(self, call: Call) -> ResponderView:
        with self._context.change(call) as records:
            found = trust.need_intermediate(records, _intermediate_number(call))
            added = trust.add_responder(
                records,
                url_part(call, "url"),
                cost_part(call),
                _optional_certificate(call),
                intermediate=found.number,
            )
        return _responder_view(added)

    async def responder(self, call: Call) -> ResponderView:
        return _responder_view(trust.need_responder(self._context.read(), _responder_number(call)))

    async def edit_responder(self, call: Call) -> ResponderView:
        with self._context.change(call) as records:
            old = trust.need_responder(records, _responder_number(call))
            changed = trust.set_responder(
                records,
                old.number,
                url_part(call, "url", old.url),
                cost_part(call, old.cost_type),
                _optional_certificate(call) or old.certificate,
            )
        return _responder_view(changed)

    async def delete_responder(self, call: Call) -> None:
        with self._context.change(call) as records:
            found = trust.need_responder(records, _responder_number(call))
            if "intermediate_ca_id" in call.path and found.intermediate != _intermediate_number(call):
                raise refuse(RegistryCode.OCSP_RESPONDER_NOT_FOUND, found.number)
            trust.delete_responder(records, found.number)

    async def responder_certificate(self, call: Call) -> CertificateDetails:
        found = trust.need_responder(self._context.read(), _responder_number(call))
        if found.certificate is None:
            raise refuse(RegistryCode.OCSP_RESPONDER_NOT_FOUND, found.number)
        return certificate_details(found.certificate)


class _Tsas:
    def __init__(self, context: CentralAdminContext) -> None:
        self._context = context

    async def all(self, _call: Call) -> list[TsaView]:
        return [self._view(t) for t in trust.list_tsas(self._context.read())]

    async def add(self, call: Call) -> TsaView:
        certificate = certificate_of(certificate_file(call.parts["certificate"]))
        subject = parse_certificate(certificate).subject
        name = common_name(subject) or name_text(subject)
        with self._context.change(call) as records:
            added = trust.add_tsa(records, name, url_part(call, "url"), cost_part(call), certificate)
        return self._view(added)

    async def one(self, call: Call) -> TsaView:
        return self._view(trust.need_tsa(self._context.read(), _tsa_number(call)))

    async def edit(self, call: Call) -> TsaView:
        with self._context.change(call) as records:
            old = trust.need_tsa(records, _tsa_number(call))
            changed = trust.set_tsa(
                records,
                old.number,
                url_part(call, "url", old.url),
                cost_part(call, old.cost_type),
                _optional_certificate(call) or old.certificate,
            )
        return self._view(changed)

    async def delete(self, call: Call) -> None:
        with self._context.change(call) as records:
            trust.delete_tsa(records, _tsa_number(call))

    def _view(self, tsa: trust.KeptTsa) -> TsaView:
        interval = number_parameter(self._context.read(), "timestamping_interval_s")
        return TsaView(
            tsa.number,
            tsa.name,
            tsa.url,
            tsa.cost_type or "UNDEFINED",
            interval,
            certificate_details(tsa.certificate),
        )


def _ca_number(call: Call) -> int:
    return number_of(call, "certification_service_id", RegistryCode.CERTIFICATION_SERVICE_NOT_FOUND)


def _intermediate_number(call: Call) -> int:
    return number_of(call, "intermediate_ca_id", RegistryCode.INTERMEDIATE_CA_NOT_FOUND)


def _responder_number(call: Call) -> int:
    return number_of(call, "ocsp_responder_id", RegistryCode.OCSP_RESPONDER_NOT_FOUND)


def _tsa_number(call: Call) -> int:
    return number_of(call, "timestamping_service_id", RegistryCode.TIMESTAMPING_AUTHORITY_NOT_FOUND)


def _optional_certificate(call: Call) -> bytes | None:
    part = call.parts.get("certificate")
    return None if part is None or not part.content else certificate_of(certificate_file(part))


def _settings(old: trust.CaSettings, body: CaSettingsBody, profiles: CertificateProfiles) -> trust.CaSettings:
    settings = old
    if body.certificate_profile_info is not None:
        settings = replace(settings, profile=_profile(body.certificate_profile_info, profiles))
    if body.tls_auth is not None:
        if str(body.tls_auth).lower() not in ("true", "false"):
            raise Problem(400, "validation_failure", validation_errors={"tlsAuth": ["Pattern"]})
        settings = replace(settings, tls_auth=str(body.tls_auth).lower() == "true")
    if body.default_csr_format is not None:
        if body.default_csr_format not in ("PEM", "DER"):
            raise Problem(400, "validation_failure", validation_errors={"defaultCsrFormat": ["Pattern"]})
        settings = replace(settings, csr_format=body.default_csr_format)
    if body.acme_server_directory_url is not None:
        url = body.acme_server_directory_url
        settings = replace(settings, acme_url=check_url(url) if url else None)
    if body.acme_server_ip_address is not None:
        settings = replace(settings, acme_ip=_addresses(body.acme_server_ip_address))
    if body.authentication_certificate_profile_id is not None:
        settings = replace(settings, acme_auth_profile=body.authentication_certificate_profile_id or None)
    if body.signing_certificate_profile_id is not None:
        settings = replace(settings, acme_sign_profile=body.signing_certificate_profile_id or None)
    return settings


def _profile(java_class: str, profiles: CertificateProfiles) -> str:
    try:
        return f"{JAVA_PACKAGE}{profiles.named(java_class).name}{JAVA_SUFFIX}"
    except Fault:
        raise refuse(RegistryCode.CERTIFICATE_PROFILE_INFO_CLASS_NOT_FOUND, java_class) from None


def _addresses(text: str) -> str | None:
    for address in (a.strip() for a in text.split(",") if a.strip()):
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise refuse(RegistryCode.INVALID_IP_ADDRESS, address) from None
    return text or None


def _ca_view(ca: trust.KeptCa) -> CaView:
    details, settings = certificate_details(ca.certificate), ca.settings
    return CaView(
        id=ca.number,
        name=ca.name,
        subject_distinguished_name=details.subject_distinguished_name,
        issuer_distinguished_name=details.issuer_distinguished_name,
        not_before=details.not_before,
        not_after=details.not_after,
        certificate_profile_info=settings.profile,
        tls_auth=settings.tls_auth,
        default_csr_format=settings.csr_format,
        acme_server_directory_url=settings.acme_url,
        acme_server_ip_address=settings.acme_ip,
        authentication_certificate_profile_id=settings.acme_auth_profile,
        signing_certificate_profile_id=settings.acme_sign_profile,
    )


def _intermediate_view(found: trust.KeptIntermediate) -> IntermediateView:
    return IntermediateView(found.number, certificate_details(found.certificate))


def _responder_view(found: trust.KeptResponder) -> ResponderView:
    return ResponderView(
        found.number, found.url, found.cost_type or "UNDEFINED", found.certificate is not None
    )
