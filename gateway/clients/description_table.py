"""Service descriptions and the services below them, in the database.

What a description says is decided elsewhere (`gateway.descriptions`); here it is kept. A service's identifier is
unique at its client, whatever describes it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.clients.model import Service, ServiceType, Validation
from gateway.clients.records import DescriptionRecord, Document, ServiceRecord
from gateway.refusals import GatewayCode
from gateway.rows import ROWS_TOGETHER, client_of, insert_all, instant, next_id, readable, seconds
from schemas.identifiers import ServiceId
from schemas.names import check_code
from serving.errors import Refused
from serving.language import N_

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from gateway.rows import Run
    from schemas.identifiers import ClientId

_DESCRIPTION = (
    "SELECT id, client_id, type, url, disabled, notice, refreshed_at, media_type, digest FROM description"
)
_SERVICE_COLUMNS = (
    "client_id",
    "service_code",
    "service_version",
    "description_id",
    "title",
    "url",
    "timeout_s",
    "ssl_auth",
    "validation",
)
_SERVICE = f"SELECT {', '.join(_SERVICE_COLUMNS)} FROM described_service"


class DescriptionTable:
    """Service descriptions, their documents and their services."""

    def __init__(self, rows: Run) -> None:
        self._rows = rows

    def all(self, client: ClientId | None = None) -> tuple[DescriptionRecord, ...]:
        """The descriptions of a client, or of all, with their services, in the order they were added."""
        services: dict[int, list[ServiceRecord]] = {}
        for service in self.services():
            services.setdefault(service.description_id, []).append(service)
        where, parameters = ("", ()) if client is None else (" WHERE client_id = ?", (client.path(),))
        found = self._rows(_DESCRIPTION + where + " ORDER BY id", parameters)
        return tuple(
            msgspec.structs.replace(_description(row), services=tuple(services.get(row[0], ())))
            for row in found
        )

    def get(self, number: int) -> DescriptionRecord:
        """One description. Refused (``service_description_not_found``) when there is none."""
        found = self.get_alone(number)
        rows = self._rows(_SERVICE + " WHERE description_id = ?", (number,))
        services = sorted(readable("described_service", rows, _service), key=lambda s: s.full_code)
        return msgspec.structs.replace(found, services=tuple(services))

    def get_alone(self, number: int) -> DescriptionRecord:
        """As `get`, without the services, of which there may be thousands. Raises `Refused` (``service_description_not_found``)."""
        found = self._rows(_DESCRIPTION + " WHERE id = ?", (number,))
        if not found:
            raise Refused(
                GatewayCode.SERVICE_DESCRIPTION_NOT_FOUND,
                N_("there is no service description {number}", number=number),
            )
        return _description(found[0])

    def add(
        self,
        client: ClientId,
        kind: ServiceType,
        url: str,
        now: datetime,
        *,
        disabled: bool = True,
        notice: str = "",
    ) -> DescriptionRecord:
        """Add a description without services. Whether its URL may be there twice is for the caller to say."""
        number = next_id(self._rows, "description")
        self._rows(
            "INSERT INTO description (id, client_id, type, url, disabled, notice, refreshed_at, media_type, digest) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, '', '')",
            (number, client.path(), kind.value, url, int(disabled), notice, seconds(now)),
        )
        return self.get_alone(number)

    def set_url(self, number: int, url: str) -> None:
        """Read the description from another URL from now on."""
        self._rows("UPDATE description SET url = ? WHERE id = ?", (url, number))

    def set_disabled(self, number: int, *, disabled: bool, notice: str) -> None:
        """Switch the description's services off, with a notice for callers, or on."""
        self.get_alone(number)
        self._rows(
            "UPDATE description SET disabled = ?, notice = ? WHERE id = ?", (int(disabled), notice, number)
        )

    def set_document(self, number: int, document: Document, now: datetime) -> None:
        """Keep the document as it came."""
        digest = hashlib.sha256(document.content).hexdigest()
        self._rows(
            "UPDATE description SET document = ?, media_type = ?, digest = ?, refreshed_at = ? WHERE id = ?",
            (document.content, document.media_type, digest, seconds(now), number),
        )

    def set_refreshed(self, number: int, now: datetime) -> None:
        """The description was read again and had not changed."""
        self._rows("UPDATE description SET refreshed_at = ? WHERE id = ?", (seconds(now), number))

    def size(self, number: int) -> int:
        """The number of endpoints of a description's services; a service without any counts as one."""
        found = self._rows(
            "SELECT COUNT(*) FROM described_service s LEFT JOIN endpoint e "
            "ON e.client_id = s.client_id AND e.service_code = s.service_code WHERE s.description_id = ?",
            (number,),
        )
        return int(found[0][0])

    def document(self, number: int) -> Document | None:
        """The stored document, or None when the description has none (REST, or written in a file)."""
        found = self._rows("SELECT document, media_type FROM description WHERE id = ?", (number,))
        return None if not found or found[0][0] is None else Document(bytes(found[0][0]), found[0][1])

    def document_of(self, service: ServiceId) -> Document | None:
        """The stored document that describes a service, or None."""
        found = self.find_service(service)
        return None if found is None else self.document(found.description_id)

    def remove(self, number: int) -> None:
        """Delete a description with its services, and with the endpoints and rights that no other service shares."""
        self.remove_services([s.id for s in self.get(number).services])
        self._rows("DELETE FROM description WHERE id = ?", (number,))

    # Services

    def services(self, client: ClientId | None = None) -> tuple[ServiceRecord, ...]:
        """The services of a client, or of all, in the order of their full codes."""
        where, parameters = ("", ()) if client is None else (" WHERE client_id = ?", (client.path(),))
        found = readable("described_service", self._rows(_SERVICE + where, parameters), _service)
        return tuple(sorted(found, key=lambda s: (s.id.client, s.full_code)))

    def served(self) -> list[Service]:
        """Every service as an exchange sees it, in no order: read at each change of the configuration, so in one statement."""
        descriptions = {d.id: d for d in readable("description", self._rows(_DESCRIPTION, ()), _description)}

        def served(row: tuple[Any, ...]) -> Service:
            client, code, version, number, title, url, timeout_s, ssl_auth, validation = row
            if number not in descriptions:
                raise ValueError(f"its description {number} is not there, or left out")
            description = descriptions[number]
            return Service(
                ServiceId(client_of(client), code, version or None),
                description.type,
                url,
                timeout_s,
                bool(ssl_auth),
                description.notice if description.disabled else None,
                title,
                Validation(validation),
                description.url,
                description.digest,
            )

        return list(readable("described_service", self._rows(_SERVICE, ()), served))

    def find_service(self, service: ServiceId) -> ServiceRecord | None:
        """The service's record, or None when there is none."""
        found = self._rows(
            _SERVICE + " WHERE client_id = ? AND service_code = ? AND service_version = ?", _key(service)
        )
        return _service(found[0]) if found else None

    def get_service(self, service: ServiceId) -> ServiceRecord:
        """The service. Refused (``service_not_found``) when there is none."""
        found = self.find_service(service)
        if found is None:
            raise Refused(
                GatewayCode.SERVICE_NOT_FOUND, N_("there is no service {service}", service=service.path())
            )
        return found

    def add_service(self, service: ServiceRecord) -> None:
        """Add a service below its description. Refused (``service_already_exists``) when its client has it."""
        _check_new(service, self.find_service(service.id))
        row = (*_key(service.id), service.description_id, *_settings(service))
        insert_all(self._rows, "described_service", _SERVICE_COLUMNS, [row])

    def add_services(self, services: Sequence[ServiceRecord]) -> None:
        """Add many services at once. Refused (``service_already_exists``) when a client has one of them."""
        clients = dict.fromkeys(s.id.client for s in services)
        there = {s.id: s for client in clients for s in self.services(client)}
        for service in services:
            _check_new(service, there.get(service.id))
        rows = [(*_key(s.id), s.description_id, *_settings(s)) for s in services]
        insert_all(self._rows, "described_service", _SERVICE_COLUMNS, rows)

    def update_service(self, service: ServiceRecord) -> None:
        """Change title, URL, timeout, TLS verification and message validation to those of the record."""
        self.get_service(service.id)
        self._rows(
            "UPDATE described_service SET title = ?, url = ?, timeout_s = ?, ssl_auth = ?, validation = ? "
            "WHERE client_id = ? AND service_code = ? AND service_version = ?",
            (*_settings(service), *_key(service.id)),
        )

    def move_service(self, service: ServiceId, description_id: int) -> None:
        """Put a service below another description of its client."""
        self._rows(
            "UPDATE described_service SET description_id = ? "
            "WHERE client_id = ? AND service_code = ? AND service_version = ?",
            (description_id, *_key(service)),
        )

    def set_code(self, service: ServiceId, code: str) -> None:
        """Give a service another code; its endpoints are for the caller to carry along."""
        check_code(code, f"service: the code {code!r}")
        self._rows(
            "UPDATE described_service SET service_code = ? "
            "WHERE client_id = ? AND service_code = ? AND service_version = ?",
            (code, *_key(service)),
        )

    def remove_services(self, services: Sequence[ServiceId]) -> None:
        """Delete services; their endpoints and rights go too unless another version shares the code."""
        for begin in range(0, len(services), ROWS_TOGETHER):
            keys = [part for s in services[begin : begin + ROWS_TOGETHER] for part in _key(s)]
            marks = ", ".join(["(?, ?, ?)"] * (len(keys) // 3))
            self._rows(
                f"DELETE FROM described_service WHERE (client_id, service_code, service_version) IN (VALUES {marks})",
                keys,
            )
            codes = [part for s in services[begin : begin + ROWS_TOGETHER] for part in _key(s)[:2]]
            marks = ", ".join(["(?, ?)"] * (len(codes) // 2))
            self._rows(
                f"DELETE FROM endpoint WHERE (client_id, service_code) IN (VALUES {marks}) AND NOT EXISTS ("
                "SELECT 1 FROM described_service s WHERE s.client_id = endpoint.client_id "
                "AND s.service_code = endpoint.service_code)",
                codes,
            )


def _check_new(service: ServiceRecord, there: ServiceRecord | None) -> None:
    if there is not None:
        raise Refused(
            GatewayCode.SERVICE_ALREADY_EXISTS,
            N_("service {service} is described already, at {url}", service=service.id.path(), url=there.url),
            service.full_code,
            there.url,
        )
    for part in (service.id.service_code, service.id.service_version):
        if part is not None:
            check_code(part, f"service: the code or version {part!r}")


def _key(service: ServiceId) -> tuple[str, str, str]:
    return service.client.path(), service.service_code, service.service_version or ""


def _settings(service: ServiceRecord) -> tuple[str, str, float, int, str]:
    return service.title, service.url, service.timeout_s, int(service.ssl_auth), service.validation.value


def _service(row: tuple[Any, ...]) -> ServiceRecord:
    client, code, version, description, title, url, timeout_s, ssl_auth, validation = row
    return ServiceRecord(
        ServiceId(client_of(client), code, version or None),
        description,
        title,
        url,
        timeout_s,
        bool(ssl_auth),
        Validation(validation),
    )


def _description(row: tuple[Any, ...]) -> DescriptionRecord:
    number, client, kind, url, disabled, notice, refreshed_at, media_type, digest = row
    return DescriptionRecord(
        number,
        client_of(client),
        ServiceType(kind),
        url,
        bool(disabled),
        notice,
        instant(refreshed_at),
        media_type,
        digest,
    )
