"""``/system/certificate``: what this server shows to information systems."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec

from certs.certificates import der_of
from gateway.admin.context import AdminContext, row
from gateway.edges.internaltls import export_certificate
from serving.api.certificateview import CertificateDetails, certificate_details
from serving.api.operations import Bytes, Download
from serving.api.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Sequence

    from serving.api.operations import Call, Operation


class InternalSubjectName(msgspec.Struct, frozen=True):
    """A name such as ``CN=gw.example,O=Institute``."""

    name: Annotated[str, msgspec.Meta(max_length=255)] = ""


@dataclass(frozen=True, slots=True)
class InternalCertificate:
    """The handlers of ``/system/certificate``, the certificate that information systems see."""

    context: AdminContext

    def rows(self) -> Sequence[Operation]:
        """The rows of these handlers: path, right, input, answer."""
        tls = "/system/certificate"
        return [
            row("GET", tls, self.certificate, "The internal TLS certificate", "VIEW_INTERNAL_TLS_CERT",
                answer=CertificateDetails),
            row("POST", tls, self.make_certificate, "A new internal key and certificate",
                "GENERATE_INTERNAL_TLS_KEY_CERT", status=201, event="GENERATE_INTERNAL_TLS_KEY_CERT"),
            row("GET", tls + "/export", self.export_certificate, "The internal certificate as an archive",
                "EXPORT_INTERNAL_TLS_CERT", answer="application/gzip"),
            row("POST", tls + "/csr", self.certificate_request, "A request for the internal key",
                "GENERATE_INTERNAL_TLS_CSR", body=InternalSubjectName, answer="application/octet-stream",
                event="GENERATE_INTERNAL_TLS_CSR"),
            row("POST", tls + "/import", self.import_certificate, "Install an internal certificate",
                "IMPORT_INTERNAL_TLS_CERT", body=Bytes(), answer=CertificateDetails,
                event="IMPORT_INTERNAL_TLS_CERT"),
        ]  # fmt: skip

    async def certificate(self, _call: Call) -> CertificateDetails:
        return certificate_details(der_of(self.context.gateway.internal_tls.current.chain[0]))

    async def make_certificate(self, call: Call) -> None:
        address = self.context.process.settings.systems.tls_address
        self.context.gateway.internal_tls.make(address, call.now)
        await self.context.take()

    async def export_certificate(self, call: Call) -> Download:
        shown = self.context.gateway.internal_tls.current.chain[0]
        return Download(export_certificate(shown, call.now), "application/gzip", "certs.tar.gz")

    async def certificate_request(self, call: Call) -> Download:
        der = self.context.gateway.internal_tls.request(call.body_as(InternalSubjectName).name)
        return Download(der, "application/octet-stream", "request.csr")

    async def import_certificate(self, call: Call) -> CertificateDetails:
        try:
            found = self.context.gateway.internal_tls.import_certificate(call.file())
        except ValueError as err:
            code = getattr(err, "code", "invalid_certificate")
            is_conflict = code in ("certificate_already_exists", "action_not_possible")
            raise Problem(409 if is_conflict else 400, code, [str(err)]) from err
        await self.context.take()
        return certificate_details(der_of(found))
