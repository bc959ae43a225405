"""A signed policy in the terms of a page: version, days, digest, how many signed, and what each permission says. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

from schemas.jsontext import load_json
from serving.language import Translated, as_it_is
from social_security.domain import pack


def describe_policy(signed: dict[str, Any]) -> dict[str, Any] | None:
    """A signed policy as a page shows it: version, days, digest, number of signatures, each permission; None when it cannot be read."""
    raw = _document(signed)
    if raw is None:
        return None
    document: dict[str, Any] = load_json(raw)
    return {
        "id": document.get("id"),
        "version": document.get("version"),
        "from": document.get("effective_from"),
        "until": document.get("effective_until"),
        "sha256": hashlib.sha256(raw).hexdigest(),
        "signatures": len(signed.get("signatures", [])),
        "permissions": [_permission(p) for p in document.get("permissions", [])],
    }


def _permission(permission: dict[str, Any]) -> dict[str, Any]:
    name = str(permission.get("id", "")).removeprefix("oss:perm-")
    known = pack.operations().get(name)
    return {
        "name": name,
        "title": as_it_is(name) if known is None else Translated({"es": known.es, "en": known.en}),
        "purposes": permission.get("purposes", []),
        "roles": permission.get("roles", []),
        "fields": permission.get("answer_fields", []),
        "retention": permission.get("retention"),
    }


def _document(signed: dict[str, Any]) -> bytes | None:
    try:
        return base64.b64decode(signed["document"], validate=True)
    except (KeyError, TypeError, binascii.Error):
        return None
