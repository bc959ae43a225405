"""Approved trust services: CAs with their intermediates and OCSP responders, timestamping authorities.

Certificates are kept as DER. Numbers are stable: a changed row keeps its number.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from central_server.registry.refusals import RegistryCode, refuse
from central_server.store.records import read_row, read_rows
from central_server.store.servers import certificate_digest
from schemas.globalconf.shared import CostType
from schemas.names import check_name

if TYPE_CHECKING:
    from central_server.store.records import Records

# Names of trust services are subjects of certificates, which have no bound of their own.
LONGEST_SUBJECT = 1024


@dataclass(frozen=True, slots=True)
class CaSettings:
    """The settings of an approved CA that may change; ``profile`` is a Java class name."""

    profile: str
    tls_auth: bool = False
    csr_format: str | None = None
    acme_url: str | None = None
    acme_ip: str | None = None
    acme_auth_profile: str | None = None
    acme_sign_profile: str | None = None


@dataclass(frozen=True, slots=True)
class KeptCa:
    """An approved CA with its row's number."""

    number: int
    name: str
    certificate: bytes
    settings: CaSettings


@dataclass(frozen=True, slots=True)
class KeptIntermediate:
    """An intermediate CA below an approved one."""

    number: int
    ca: int
    certificate: bytes


@dataclass(frozen=True, slots=True)
class KeptResponder:
    """An OCSP responder of an approved CA or of an intermediate one."""

    number: int
    url: str
    cost_type: CostType | None
    certificate: bytes | None
    ca: int | None
    intermediate: int | None


@dataclass(frozen=True, slots=True)
class KeptTsa:
    """An approved timestamping authority with its row's number."""

    number: int
    name: str
    url: str
    cost_type: CostType | None
    certificate: bytes


_CA_COLUMNS = "id, name, certificate, profile, tls_auth, csr_format, acme_url, acme_ip, acme_auth_profile, acme_sign_profile"


def list_cas(records: Records) -> list[KeptCa]:
    """Every approved CA, by number."""
    rows = records.rows(f"SELECT {_CA_COLUMNS} FROM approved_ca ORDER BY id")
    return read_rows(records, "approved_ca", rows, _ca)


def _ca(r: tuple[Any, ...]) -> KeptCa:
    return KeptCa(int(r[0]), r[1], bytes(r[2]), CaSettings(r[3], bool(r[4]), *r[5:]))


def need_ca(records: Records, number: int) -> KeptCa:
    """An approved CA. Raises `Refused`."""
    found = next((ca for ca in list_cas(records) if ca.number == number), None)
    if found is None:
        raise refuse(RegistryCode.CERTIFICATION_SERVICE_NOT_FOUND, number)
    return found


def add_ca(records: Records, name: str, certificate: bytes, settings: CaSettings) -> KeptCa:
    """Approve a CA. Raises `Refused` when its certificate is approved already."""
    check_name(name, "approved CA: the name", longest=LONGEST_SUBJECT)
    if any(ca.certificate == certificate for ca in list_cas(records)):
        raise refuse(RegistryCode.CERTIFICATION_SERVICE_EXISTS, name)
    number = records.insert("approved_ca", name=name, certificate=certificate, **_columns(settings))
    records.note(
        "ADD_CERTIFICATION_SERVICE",
        name,
        after=[f"certificate {certificate_digest(certificate)}", *_lines(settings)],
    )
    return need_ca(records, number)


def set_ca(records: Records, number: int, settings: CaSettings) -> KeptCa:
    """Change an approved CA's settings."""
    found = need_ca(records, number)
    values = _columns(settings)
    marks = ", ".join(f"{column} = ?" for column in values)
    records.rows(f"UPDATE approved_ca SET {marks} WHERE id = ?", *values.values(), number)
    records.note(
        "EDIT_CERTIFICATION_SERVICE_SETTINGS",
        found.name,
        before=_lines(found.settings),
        after=_lines(settings),
    )
    return replace(found, settings=settings)


def delete_ca(records: Records, number: int) -> None:
    """Withdraw approval of a CA and all below it."""
    found = need_ca(records, number)
    for intermediate in intermediates_of(records, number):
        delete_intermediate(records, intermediate.number)
    for responder in responders_of(records, ca=number):
        delete_responder(records, responder.number)
    records.rows("DELETE FROM approved_ca WHERE id = ?", number)
    records.note(
        "DELETE_CERTIFICATION_SERVICE",
        found.name,
        before=[f"certificate {certificate_digest(found.certificate)}", *_lines(found.settings)],
    )


def _columns(settings: CaSettings) -> dict[str, str | int | None]:
    return {
        "profile": settings.profile,
        "tls_auth": int(settings.tls_auth),
        "csr_format": settings.csr_format,
        "acme_url": settings.acme_url,
        "acme_ip": settings.acme_ip,
        "acme_auth_profile": settings.acme_auth_profile,
        "acme_sign_profile": settings.acme_sign_profile,
    }


def _lines(settings: CaSettings) -> list[str]:
    return [f"{name} {value}" for name, value in _columns(settings).items() if value is not None]


# Intermediates


def intermediates_of(records: Records, ca: int) -> list[KeptIntermediate]:
    """The intermediate CAs of an approved one."""
    need_ca(records, ca)
    rows = records.rows("SELECT id, ca_id, certificate FROM intermediate_ca WHERE ca_id = ? ORDER BY id", ca)
    return read_rows(records, "intermediate_ca", rows, _intermediate)


def need_intermediate(records: Records, number: int) -> KeptIntermediate:
    """An intermediate CA. Raises `Refused`."""
    row = records.row("SELECT id, ca_id, certificate FROM intermediate_ca WHERE id = ?", number)
    if row is None:
        raise refuse(RegistryCode.INTERMEDIATE_CA_NOT_FOUND, number)
    return read_row(records, "intermediate_ca", row, _intermediate)


def _intermediate(r: tuple[Any, ...]) -> KeptIntermediate:
    return KeptIntermediate(int(r[0]), int(r[1]), bytes(r[2]))


def add_intermediate(records: Records, ca: int, certificate: bytes) -> KeptIntermediate:
    """Add an intermediate CA below an approved one."""
    found = need_ca(records, ca)
    number = records.insert("intermediate_ca", ca_id=ca, certificate=certificate)
    records.note(
        "ADD_CERTIFICATION_SERVICE_INTERMEDIATE_CA",
        found.name,
        after=[f"certificate {certificate_digest(certificate)}"],
    )
    return need_intermediate(records, number)


def delete_intermediate(records: Records, number: int) -> None:
    """Remove an intermediate CA and its responders."""
    found = need_intermediate(records, number)
    for responder in responders_of(records, intermediate=number):
        delete_responder(records, responder.number)
    records.rows("DELETE FROM intermediate_ca WHERE id = ?", number)
    records.note(
        "DELETE_INTERMEDIATE_CA",
        str(number),
        before=[f"certificate {certificate_digest(found.certificate)}"],
    )


# OCSP responders

_RESPONDER = "SELECT id, url, cost_type, certificate, ca_id, intermediate_id FROM ocsp_responder"


def _responder(r: tuple[Any, ...]) -> KeptResponder:
    return KeptResponder(
        int(r[0]),
        r[1],
        None if r[2] is None else CostType(r[2]),
        None if r[3] is None else bytes(r[3]),
        r[4],
        r[5],
    )


def responders_of(
    records: Records, *, ca: int | None = None, intermediate: int | None = None
) -> list[KeptResponder]:
    """The responders of an approved CA itself, or of an intermediate one."""
    column, number = ("ca_id", ca) if ca is not None else ("intermediate_id", intermediate)
    rows = records.rows(f"{_RESPONDER} WHERE {column} = ? ORDER BY id", number)
    return read_rows(records, "ocsp_responder", rows, _responder)


def need_responder(records: Records, number: int) -> KeptResponder:
    """An OCSP responder. Raises `Refused`."""
    row = records.row(f"{_RESPONDER} WHERE id = ?", number)
    if row is None:
        raise refuse(RegistryCode.OCSP_RESPONDER_NOT_FOUND, number)
    return read_row(records, "ocsp_responder", row, _responder)


def add_responder(
    records: Records,
    url: str,
    cost_type: CostType | None,
    certificate: bytes | None,
    *,
    ca: int | None = None,
    intermediate: int | None = None,
) -> KeptResponder:
    """Add a responder to an approved CA or to an intermediate one."""
    number = records.insert(
        "ocsp_responder",
        ca_id=ca,
        intermediate_id=intermediate,
        url=url,
        cost_type=cost_type,
        certificate=certificate,
    )
    event = "ADD_CERTIFICATION_SERVICE_OCSP_RESPONDER" if ca else "ADD_INTERMEDIATE_CA_OCSP_RESPONDER"
    records.note(event, str(number), after=_responder_lines(url, cost_type, certificate))
    return need_responder(records, number)


def set_responder(
    records: Records, number: int, url: str, cost_type: CostType | None, certificate: bytes | None
) -> KeptResponder:
    """Change an OCSP responder. Raises `Refused` (``ocsp_responder_not_found``)."""
    found = need_responder(records, number)
    records.rows(
        "UPDATE ocsp_responder SET url = ?, cost_type = ?, certificate = ? WHERE id = ?",
        url,
        cost_type,
        certificate,
        number,
    )
    records.note(
        "EDIT_OCSP_RESPONDER",
        str(number),
        before=_responder_lines(found.url, found.cost_type, found.certificate),
        after=_responder_lines(url, cost_type, certificate),
    )
    return need_responder(records, number)


def delete_responder(records: Records, number: int) -> None:
    """Remove an OCSP responder. Raises `Refused` (``ocsp_responder_not_found``)."""
    found = need_responder(records, number)
    records.rows("DELETE FROM ocsp_responder WHERE id = ?", number)
    records.note(
        "DELETE_OCSP_RESPONDER",
        str(number),
        before=_responder_lines(found.url, found.cost_type, found.certificate),
    )


def _responder_lines(url: str, cost_type: CostType | None, certificate: bytes | None) -> list[str]:
    shown = "none" if certificate is None else certificate_digest(certificate)
    return [f"url {url}", f"cost type {cost_type}", f"certificate {shown}"]


# Timestamping authorities

_TSA = "SELECT id, name, url, cost_type, certificate FROM tsa"


def _tsa(r: tuple[Any, ...]) -> KeptTsa:
    return KeptTsa(int(r[0]), r[1], r[2], None if r[3] is None else CostType(r[3]), bytes(r[4]))


def list_tsas(records: Records) -> list[KeptTsa]:
    """Every approved timestamping authority, by number."""
    return read_rows(records, "tsa", records.rows(f"{_TSA} ORDER BY id"), _tsa)


def need_tsa(records: Records, number: int) -> KeptTsa:
    """An approved TSA. Raises `Refused`."""
    row = records.row(f"{_TSA} WHERE id = ?", number)
    if row is None:
        raise refuse(RegistryCode.TIMESTAMPING_AUTHORITY_NOT_FOUND, number)
    return read_row(records, "tsa", row, _tsa)


def add_tsa(records: Records, name: str, url: str, cost_type: CostType | None, certificate: bytes) -> KeptTsa:
    """Approve a timestamping authority by its certificate (DER)."""
    check_name(name, "timestamping authority: the name", longest=LONGEST_SUBJECT)
    number = records.insert("tsa", name=name, url=url, cost_type=cost_type, certificate=certificate)
    records.note("ADD_TSP", name, after=_responder_lines(url, cost_type, certificate))
    return need_tsa(records, number)


def set_tsa(
    records: Records, number: int, url: str, cost_type: CostType | None, certificate: bytes
) -> KeptTsa:
    """Change an approved timestamping authority. Raises `Refused` (``timestamping_authority_not_found``)."""
    found = need_tsa(records, number)
    records.rows(
        "UPDATE tsa SET url = ?, cost_type = ?, certificate = ? WHERE id = ?",
        url,
        cost_type,
        certificate,
        number,
    )
    records.note(
        "EDIT_TIMESTAMP_SERVICE",
        found.name,
        before=_responder_lines(found.url, found.cost_type, found.certificate),
        after=_responder_lines(url, cost_type, certificate),
    )
    return need_tsa(records, number)


def delete_tsa(records: Records, number: int) -> None:
    """Withdraw approval of a TSA."""
    found = need_tsa(records, number)
    records.rows("DELETE FROM tsa WHERE id = ?", number)
    records.note(
        "DELETE_TSP", found.name, before=_responder_lines(found.url, found.cost_type, found.certificate)
    )
