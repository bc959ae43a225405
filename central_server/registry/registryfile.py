"""The registry as the file that ``central-server apply`` reads: applied to the same server it changes nothing.

Pure: a `Registry` in, the TOML and the certificates it names out. What a file cannot say (signing keys, requests, trusted
instances, optional parts, users) is not in it; a backup holds all of it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from central_server.registry.model import OWNERS_GROUP
from certs.certificates import name_text, parse_certificate
from serving.config.tomltext import toml_lines

if TYPE_CHECKING:
    from central_server.registry.model import RegisteredServer, Registry
    from schemas.globalconf.shared import ApprovedCa, CaInfo, Member

FOLDER = "certificates"


def render_registry(registry: Registry, note: str = "") -> tuple[str, dict[str, bytes]]:
    """The file's text, and the DER of each certificate by the name the file gives it. ``note`` is its first comment."""
    names = _Names()
    lines = [f"# {line}" for line in note.splitlines()]
    lines += toml_lines(
        {
            "instance": registry.instance,
            "address": registry.address,
            "management_service": registry.management_service.path(),
            "ocsp_freshness_s": registry.ocsp_freshness_s,
            "timestamping_interval_s": registry.timestamping_interval_s,
            "expire_interval_s": registry.expire_interval_s,
        }
    )
    for found in registry.member_classes:
        lines += toml_lines({"code": found.code, "description": found.description}, "member_class")
    for member in registry.members:
        lines += toml_lines(_member(member), "member")
    for server in registry.servers:
        lines += toml_lines(_server(server, names), "server")
    for group in registry.groups:
        if group.id.group_code != OWNERS_GROUP:  # kept by the central server itself
            members = sorted(m.path() for m in group.members)
            fields = {"code": group.id.group_code, "description": group.description, "members": members}
            lines += toml_lines(fields, "group")
    for ca in registry.cas:
        lines += toml_lines(_ca(ca, names), "ca")
    for tsa in registry.tsas:
        fields = {"name": tsa.name, "url": tsa.url, "certificate": names.of(tsa.certificate)}
        lines += toml_lines({**fields, "cost_type": tsa.cost_type}, "tsa")
    return "\n".join(lines) + "\n", names.files


class _Names:
    """Gives certificates names of files."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def of(self, der: bytes) -> str:
        name = f"{FOLDER}/{hashlib.sha256(der).hexdigest()[:16]}.pem"
        self.files[name] = der
        return name


def _member(member: Member) -> dict[str, object]:
    subsystems = [s.code if s.name is None else {"code": s.code, "name": s.name} for s in member.subsystems]
    return {"id": member.id.path(), "name": member.name, "subsystems": subsystems}


def _server(server: RegisteredServer, names: _Names) -> dict[str, object]:
    return {
        "id": server.id.path(),
        "address": server.address,
        "maintenance": server.maintenance,
        "auth_certificates": [names.of(d) for d in server.auth_certificates],
        "clients": [c.path() for c in server.clients],
    }


def _ca(ca: ApprovedCa, names: _Names) -> dict[str, object]:
    own = name_text(parse_certificate(ca.top.certificate).subject)
    acme = ca.acme_server
    return {
        "name": None if ca.name == own else ca.name,
        "certificate": names.of(ca.top.certificate),
        "profile": ca.profile,
        "authentication_only": True if ca.authentication_only else None,
        "csr_format": ca.default_csr_format,
        "intermediates": [
            {"certificate": names.of(i.certificate), "ocsp": _responders(i, names)} for i in ca.intermediates
        ],
        "ocsp": _responders(ca.top, names),
        "acme": None
        if acme is None
        else _present(
            url=acme.directory_url,
            ip=acme.ip_address,
            auth_profile=acme.authentication_profile_id,
            sign_profile=acme.signing_profile_id,
        ),
    }


def _responders(info: CaInfo, names: _Names) -> list[dict[str, object]]:
    return [
        _present(
            url=o.url,
            certificate=None if o.certificate is None else names.of(o.certificate),
            cost_type=o.cost_type,
        )
        for o in info.ocsp
    ]


def _present(**fields: object) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}
