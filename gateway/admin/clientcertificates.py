"""``/clients/{id}/tls-certificates``: the TLS certificates that a client's information systems may show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from certs.certificatefiles import read_certificate_der
from gateway.admin.context import AdminContext, row
from schemas.faults import Fault
from serving.api.certificateview import CertificateDetails, certificate_details
from serving.api.operations import Bytes
from serving.api.problems import bad_request, not_found

if TYPE_CHECKING:
    from collections.abc import Sequence

    from schemas.identifiers import ClientId
    from serving.api.operations import Call, Operation


@dataclass(frozen=True, slots=True)
class ClientCertificates:
    """The handlers of ``/clients/{id}/tls-certificates``, the certificates of a client's systems."""

    context: AdminContext

    def rows(self) -> Sequence[Operation]:
        """The rows of these handlers: path, right, input, answer."""
        tls = "/clients/{id}/tls-certificates"
        return [
            row("GET", tls, self.certificates, "Certificates of its systems", "VIEW_CLIENT_INTERNAL_CERTS",
                answer=list[CertificateDetails]),
            row("POST", tls, self.add_certificate, "Trust a system's certificate", "ADD_CLIENT_INTERNAL_CERT",
                body=Bytes(), answer=CertificateDetails, status=201, event="ADD_CLIENT_INTERNAL_CERT", scoped=True),
            row("GET", tls + "/{hash}", self.certificate, "One of them", "VIEW_CLIENT_INTERNAL_CERT_DETAILS",
                answer=CertificateDetails),
            row("DELETE", tls + "/{hash}", self.delete_certificate, "Trust it no longer",
                "DELETE_CLIENT_INTERNAL_CERT", status=204, event="DELETE_CLIENT_INTERNAL_CERT", scoped=True),
        ]  # fmt: skip

    async def certificates(self, call: Call) -> list[CertificateDetails]:
        client = self.context.client(call)
        return [certificate_details(c.der) for c in self.context.view.clients.certificates(client.id)]

    async def add_certificate(self, call: Call) -> CertificateDetails:
        client = self.context.client(call)
        try:
            der = read_certificate_der(call.file())
        except Fault as err:
            raise bad_request("invalid_certificate", err.detail) from err
        async with self.context.change() as tables:
            tables.clients.add_certificate(client.id, der, call.now)
        return certificate_details(der)

    async def certificate(self, call: Call) -> CertificateDetails:
        return certificate_details(self._certificate(call)[1])

    async def delete_certificate(self, call: Call) -> None:
        client, der = self._certificate(call)
        async with self.context.change() as tables:
            tables.clients.remove_certificate(client, der)

    def _certificate(self, call: Call) -> tuple[ClientId, bytes]:
        client, digest = self.context.client(call), call.path["hash"].upper()
        for found in self.context.view.clients.certificates(client.id):
            if certificate_details(found.der).hash == digest:
                return client.id, found.der
        raise not_found("certificate_not_found", digest)
