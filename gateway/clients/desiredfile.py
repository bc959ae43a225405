"""A gateway's configuration as the file that ``gateway apply`` reads: applied to the same gateway it changes nothing.

Pure. Descriptions are not in it: a service that the file gives none keeps the one it has.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from schemas.identifiers import ClientId, GlobalGroupId
from serving.config.tomltext import toml_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gateway.clients.model import AccessRight, Client, ServerConf, Service, Subject
    from gateway.clients.records import TimestampingService

FOLDER = "certificates"


def render_desired(
    conf: ServerConf, timestamping: Sequence[TimestampingService], note: str = ""
) -> tuple[str, dict[str, bytes]]:
    """The file's text, and the DER of each certificate by the name the file gives it. ``note`` is its first comment."""
    lines = [f"# {line}" for line in note.splitlines()]
    files: dict[str, bytes] = {}
    for client in sorted(conf.clients, key=lambda c: c.id.components):
        lines += toml_lines(_client(client, files), "client")
        codes: set[str] = set()
        for service in (s for s in conf.services if s.id.client == client.id):
            lines += toml_lines(_service(service), "client.service")
            # Rights are of a code, whatever the version: they stand with its first service.
            if service.id.service_code not in codes:
                codes.add(service.id.service_code)
                for right in conf.rights:
                    if (right.provider, right.endpoint.service_code) == (client.id, service.id.service_code):
                        lines += toml_lines(_right(right), "client.service.allow")
        for group in (g for g in conf.groups if g.owner == client.id):
            members = sorted(m.path() for m in group.members)
            lines += toml_lines({"code": group.code, "members": members}, "client.group")
    for authority in timestamping:
        fields = {"name": authority.name, "url": authority.url, "cost_type": authority.cost_type}
        lines += toml_lines(fields, "timestamping")
    return "\n".join(lines) + "\n", files


def subject_text(subject: Subject) -> str:
    """A holder of rights as `gateway.desired.file.parse_subject` reads it."""
    if isinstance(subject, ClientId):
        return subject.path()
    if isinstance(subject, GlobalGroupId):
        return f"group:{subject.instance}/{subject.group_code}"
    return f"local:{subject.group_code}"


def _client(client: Client, files: dict[str, bytes]) -> dict[str, object]:
    names = []
    for der in sorted(client.certificates):
        names.append(f"{FOLDER}/{hashlib.sha256(der).hexdigest()[:16]}.pem")
        files[names[-1]] = der
    return {"id": client.id.path(), "connection": str(client.connection), "certificates": names}


def _service(service: Service) -> dict[str, object]:
    return {
        "code": service.id.service_code,
        "version": service.id.service_version,
        "type": str(service.type),
        "url": service.url,
        "timeout_s": service.timeout_s,
        "verify_tls": None if service.verify_tls else False,
        "disabled": service.disabled,
        "validation": str(service.validation),
    }


def _right(right: AccessRight) -> dict[str, object]:
    fields: dict[str, object] = {"subject": subject_text(right.subject)}
    if not right.endpoint.is_base:
        fields |= {"method": right.endpoint.method, "path": right.endpoint.path}
    return fields
