"""The policy of the domain pack in the form that a gateway enforces (`docs/policy.md`), as bytes to be signed.

Pure. The pack's `services.json` and `codes.json` say everything; nothing is decided here, so that a changed field set is
a changed pack and a new version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from schemas.jsontext import dump_json
from social_security.domain import pack
from social_security.domain.curp import LEAK
from social_security.wire import soapwords

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

POLICY_ID = "https://oniess.example/politica"
REFUSAL_CODES = {
    "suspended": "SS-603",
    "forbidden": "SS-105",
    "version": "SS-203",
    "context": "SS-200",
    "purpose": "SS-201",
    "role": "SS-210",
    "legal_basis": "SS-202",
    "request_fields": "SS-100",
    "quota": "SS-304",
    "answer_fields": "SS-201",
}
_CONTEXT = {
    "X-Road-UserId": r"MX-[0-9]{2}-[A-Z0-9]{2,24}:[A-Za-z0-9._-]{1,40}",
    "X-Road-Issue": r"(PORT|ARCO|EXT|ALTA|NEG|CONS)-[0-9]{2}-20[0-9]{2}-[0-9]{8}",
    "X-OSS-Motivo": r".{1,600}",
    "X-OSS-Sistema": r".{1,200}",
    "X-OSS-Aviso": r"https://[^ ;]+;sha256=[0-9a-f]{64}",
}
# Where a SOAP message says what REST says in headers.
_SOAP_CONTEXT = {
    "X-OSS-Proposito": "{proposito}",
    "X-OSS-Fundamento": "{fundamento}",
    "X-OSS-Rol": "{rolSolicitante}",
    "X-OSS-Motivo": "{motivo}",
    "X-OSS-Sistema": "{sistema}",
    "X-OSS-Politica": "{versionPolitica}",
    "X-OSS-Aviso": "{avisoPrivacidad.uri};sha256={avisoPrivacidad.sha256}",
}
_SOAP_ERROR = ("codigo", "mensaje", "campo", "reintentable")
_ERROR_FIELDS = (
    *("codigo", "mensaje", "message", "campo", "reintentable", "regla"),
    *("fundamento", "motivacion", "medioImpugnacion", "autoridad", "limiteImpugnacion", "causa"),
    "resolucionComite",
)


_VOCABULARY = {
    "purpose": "X-OSS-Proposito",
    "legal_basis": "X-OSS-Fundamento",
    "role": "X-OSS-Rol",
    "version": "X-OSS-Politica",
    "account": "X-Road-UserId",
}
_NO_CURP = {
    "id": "oss:no-curp",
    "pattern": LEAK.pattern,
    "except_permissions": ["oss:perm-buscarBeneficiario", "oss:soap-buscarBeneficiario"],
    "except_fields": ["curp", "persona.curp"],
}


def build_policy(
    version: str,
    effective_from: datetime,
    *,
    effective_until: datetime | None = None,
    previous: str | None = None,
    more_answer_fields: Mapping[str, tuple[str, ...]] | None = None,
    daily_quota: int | None = None,
) -> bytes:
    """The policy's bytes. ``more_answer_fields`` grants fields to operations by name: it needs a new version.

    ``daily_quota`` is another number for the operations that have one: quotas are the policy's to set.
    """
    services = pack.services()
    code = services["service_code"]
    document: dict[str, Any] = {
        "format": "sacbe-policy/1",
        "id": POLICY_ID,
        "version": version,
        "effective_from": effective_from.isoformat(),
        "effective_until": None if effective_until is None else effective_until.isoformat(),
        "previous": previous,
        "vocabulary": _VOCABULARY,
        "purposes": {
            p.code: {"legal_bases": [sorted(b) for b in p.legal_bases]} for p in pack.purposes().values()
        },
        "context": [{"header": h, "pattern": p} for h, p in _CONTEXT.items()],
        "forbidden": [_NO_CURP],
        "forbidden_fields": services["forbidden_fields"],
        "error_fields": list(_ERROR_FIELDS),
        "subject_fields": ["pid", "testigo", "persona.pid", "persona.testigo"],
        "soap": {
            "namespace": soapwords.NS,
            "element": "contexto",
            "context": _SOAP_CONTEXT,
            "error": _SOAP_ERROR,
        },
        "public": [{**entry, "service_code": code} for entry in services["public"]],
        "permissions": [
            _permission(o, code, (more_answer_fields or {}).get(o.name, ()))
            for o in pack.operations().values()
        ]
        + [_soap_permission(entry) for entry in services["soap"]],
        "refusals": {reason: _refusal(row) for reason, row in REFUSAL_CODES.items()},
    }
    if daily_quota is not None:
        for permission in document["permissions"]:
            permission["daily_quota"] = permission["daily_quota"] and daily_quota
    return dump_json(document, ensure_ascii=False, indent=1).encode()


def build_suspension(order: str, member: str, effective_from: datetime, reason: str) -> bytes:
    """An order to refuse a member's requests, to be signed by the same authorities."""
    return dump_json(
        {
            "format": "sacbe-suspension/1",
            "id": order,
            "member": member,
            "effective_from": effective_from.isoformat(),
            "reason": reason,
        },
        ensure_ascii=False,
    ).encode()


def _permission(operation: pack.PackOperation, code: str, more: tuple[str, ...]) -> dict[str, Any]:
    return {
        "id": f"oss:perm-{operation.name}",
        "subsystem": operation.subsystem,
        "service_code": code,
        "method": operation.method,
        "path": "/".join("*" if p.startswith("{") else p for p in operation.path.split("/")),
        "purposes": sorted(operation.purposes),
        "roles": sorted(operation.roles),
        "request_fields": list(operation.request_fields),
        "answer_fields": [*operation.answer_fields, *more],
        "conditional": [
            {"fields": list(c.fields), "purposes": sorted(c.purposes), "request": dict(c.request)}
            for c in operation.conditional
        ],
        "daily_quota": operation.daily_quota,
        "retention": operation.retention,
        "category": operation.category,
    }


def _soap_permission(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The permission of a service over SOAP: that of its operation, with the fields as the XML schema names them."""
    operation = pack.operations()[soapwords.OPERATIONS[entry["service"]]]
    return _permission(operation, entry["service"], ()) | {
        "id": f"oss:soap-{entry['service']}",
        "method": "SOAP",
        "path": "/",
        "request_fields": entry["request_fields"],
        "answer_fields": [*entry["answer_fields"], "error.*", "negativa.*"],
        "conditional": entry.get("conditional_fields", []),
    }


def _refusal(code: str) -> dict[str, Any]:
    row = pack.errors()[code]
    return {
        "status": row.status,
        "body": {
            "codigo": code,
            "mensaje": f"{row.es}. {row.action_es}.",
            "message": f"{row.en}. {row.action_en}.",
            "reintentable": row.may_be_retried,
        },
    }
