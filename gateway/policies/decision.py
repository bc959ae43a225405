"""The policy decision on one request and on its answer. Pure: a policy, what was asked, what came back; a decision out.

Deny by default. The order is the one in which a person would want to know: is the member suspended, does something stand
where it may not, which policy, is the context whole, is there a permission for purpose and role, is the basis right, are
the fields granted, is there quota left. Every decision names its rule, so that it can be explained.

An answer with a field that is not granted is refused, or, where the operator chose so, stripped of it: never passed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from gateway.exchange.access import pattern_fits
from schemas.faults import BadMessage
from schemas.headers import overriding_of
from schemas.jsontext import dump_json, load_json
from schemas.policy import Permission, Public
from schemas.readings import holds
from schemas.target import parse_service_target

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from schemas.policy import Policy


@dataclass(frozen=True, slots=True)
class PolicyInput:
    """The request as a policy sees it: ``headers`` by lower-case name, ``target`` path and query, ``body`` None if none came."""

    client: str
    subsystem: str
    service_code: str
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Permit:
    """The request may go on under a permission; ``fields`` are those its answer may carry, None for any."""

    rule: str
    policy: Policy
    fields: tuple[str, ...] | None
    quota: tuple[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Deny:
    """The request, or its answer, is refused: for which of `schemas.policy.REASONS`, by which rule, where."""

    reason: str
    rule: str
    policy: Policy
    field: str = ""


def decide_request(policy: Policy, request: PolicyInput) -> Permit | Deny:
    """Whether a request may reach the service."""
    overriding = overriding_of(request.method, request.target.partition("?")[2], request.headers.items())
    if overriding is not None:
        return Deny("request_fields", policy.id, policy, overriding)
    found = _public(policy, request)
    leak = _forbidden(policy, request, None if found else _permission(policy, request))
    if leak is not None:
        return leak
    if found is not None:
        return Permit(found, policy, None)
    vocabulary = policy.vocabulary
    if request.headers.get(vocabulary.version.lower()) != policy.version:
        return Deny("version", policy.id, policy, vocabulary.version)
    for rule in policy.context:
        if not re.fullmatch(rule.pattern, request.headers.get(rule.header.lower(), "")):
            return Deny("context", policy.id, policy, rule.header)
    permission = _permission(policy, request)
    purpose = request.headers.get(vocabulary.purpose.lower(), "")
    if permission is None or purpose not in permission.purposes:
        rule_id = policy.id if permission is None else permission.id
        return Deny("purpose", rule_id, policy, vocabulary.purpose)
    if request.headers.get(vocabulary.role.lower(), "") not in permission.roles:
        return Deny("role", permission.id, policy, vocabulary.role)
    bases = {b.strip() for b in request.headers.get(vocabulary.legal_basis.lower(), "").split(",")}
    if not any(set(required) <= bases for required in policy.purposes[purpose].legal_bases):
        return Deny("legal_basis", permission.id, policy, vocabulary.legal_basis)
    return _fields(policy, permission, request, purpose)


def decide_answer(granted: Permit, status: int, body: bytes) -> Deny | None:
    """Whether an answer may leave as it is; None when it may."""
    policy = granted.policy
    if granted.fields is None or not body:
        return None
    value = _parse(body)
    raw = body.decode("utf-8", "replace")
    for rule in policy.forbidden:
        pattern = _compiled(rule.pattern)
        if pattern.search(raw) or _in_body(pattern, body, ()) is not None:
            return Deny("answer_fields", rule.id, policy, "")
    fields = granted.fields if status < 400 else (*granted.fields, *policy.error_fields)
    if value is None:
        return None if fields == ("*",) else Deny("answer_fields", granted.rule, policy, "")
    for path in _paths(value):
        if not _is_granted(path, fields) or _is_forbidden_field(policy, path, fields):
            return Deny("answer_fields", granted.rule, policy, path)
    return None


def strip_answer(granted: Permit, status: int, body: bytes) -> bytes | None:
    """The answer without what is not granted; None when it cannot be stripped (no JSON object)."""
    fields = (*(granted.fields or ()), *(granted.policy.error_fields if status >= 400 else ()))
    value = _parse(body)
    if value is None:
        return None
    return dump_json(_stripped(granted.policy, value, fields, ""), ensure_ascii=False).encode()


def describes(policy: Policy, subsystem: str, service_code: str) -> bool:
    """Whether a policy says anything of a service."""
    pair = (subsystem, service_code)
    return any((p.subsystem, p.service_code) == pair for p in policy.permissions) or any(
        (p.subsystem, p.service_code) == pair for p in policy.public
    )


def claims_of(policy: Policy, request: PolicyInput) -> dict[str, str]:
    """The request's claims about itself: the headers that the policy names and its subject fields, nothing forbidden."""
    vocabulary = policy.vocabulary
    names = dict.fromkeys(
        (
            *(c.header for c in policy.context),
            *(vocabulary.purpose, vocabulary.legal_basis, vocabulary.role, vocabulary.account),
        )
    )
    claims = {name: request.headers.get(name.lower(), "") for name in names}
    for path, text in _strings(_parse(request.body or b"{}"), ""):
        if path in policy.subject_fields and text != path:
            claims[path] = text
    return {
        name: value
        for name, value in claims.items()
        if value and not any(holds(_compiled(rule.pattern), value) for rule in policy.forbidden)
    }


def needs_body(granted: Permit) -> bool:
    """Whether the answer must be looked at before it is signed."""
    return granted.fields is not None


def _public(policy: Policy, request: PolicyInput) -> str | None:
    entry = _entry(policy, request)
    return f"public:{entry.method} {entry.path}" if isinstance(entry, Public) else None


def _permission(policy: Policy, request: PolicyInput) -> Permission | None:
    entry = _entry(policy, request)
    return entry if isinstance(entry, Permission) else None


def _entry(policy: Policy, request: PolicyInput) -> Public | Permission | None:
    """The one entry of the policy for a request, the same however its path is decoded; None when there is none or two."""
    try:
        target = parse_service_target(request.target)
    except BadMessage:
        return None
    key = (request.subsystem, request.service_code, request.method)
    known: tuple[Public | Permission, ...] = (*policy.public, *policy.permissions)
    entries = [entry for entry in known if (entry.subsystem, entry.service_code, entry.method) == key]
    found = [
        next((e for e in entries if pattern_fits(e.path, target, reading)), None)
        for reading in target.readings
    ]
    return found[0] if all(entry is found[0] for entry in found) else None


def _forbidden(policy: Policy, request: PolicyInput, permission: Permission | None) -> Deny | None:
    """Something that may stand nowhere: in the address, in a header, or in a body field that no exception names."""
    for rule in policy.forbidden:
        pattern = _compiled(rule.pattern)
        if holds(pattern, request.target):
            return Deny("forbidden", rule.id, policy, "URL")
        for name, value in request.headers.items():
            if holds(pattern, name):
                return Deny("forbidden", rule.id, policy, "")
            if holds(pattern, value):
                return Deny("forbidden", rule.id, policy, name)
        spared = rule.except_fields if permission and permission.id in rule.except_permissions else ()
        where = _in_body(pattern, request.body, spared)
        if where is not None:
            return Deny("forbidden", rule.id, policy, where)
    return None


def _in_body(pattern: re.Pattern[str], body: bytes | None, spared: Sequence[str]) -> str | None:
    if not body:
        return None
    value = _parse(body)
    if value is None:
        return "body" if holds(pattern, body.decode("utf-8", "replace")) else None
    # As whoever parses it will read it: escapes and other encodings of JSON hide nothing. A text may come in pieces.
    for path, text in (*_strings(value, ""), *_rows(value, "")):
        if path not in spared and holds(pattern, text):
            return path
    return None


def _fields(policy: Policy, permission: Permission, request: PolicyInput, purpose: str) -> Permit | Deny:
    value = _parse(request.body) if request.body else {}
    if value is None:
        return Deny("request_fields", permission.id, policy, "body")
    for path in _paths(value):
        if not _is_granted(path, permission.request_fields):
            return Deny("request_fields", permission.id, policy, path)
    fields = list(permission.answer_fields)
    for entry in permission.conditional:
        is_granted = all(
            type(value.get(name)) is type(right) and value.get(name) == right
            for name, right in entry.request.items()
        )
        if purpose in entry.purposes and is_granted:
            fields += entry.fields
    quota = None
    if permission.daily_quota is not None:
        account = request.headers.get(policy.vocabulary.account.lower(), "")
        quota = (f"{permission.id} {request.client} {account}", permission.daily_quota)
    return Permit(permission.id, policy, tuple(fields), quota)


def _parse(body: bytes) -> dict[str, Any] | None:
    """The JSON object of a body; None for any other body, and where a field hides behind another of the same name."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) != len(pairs):
            raise ValueError("a name stands twice in one object")
        return made

    try:
        value = load_json(body, object_pairs_hook=once, any_integer=True)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _name(key: str) -> str:
    # A dot inside a name must not pass for a level.
    return key.replace("\\", "\\\\").replace(".", "\\.")


def _paths(value: Any, path: str = "") -> Iterator[str]:
    """The path of every leaf; lists add no level. An empty object or list is a leaf whose path ends in a dot."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _paths(inner, f"{path}.{_name(key)}" if path else _name(key))
    elif isinstance(value, list) and value:
        for inner in value:
            yield from _paths(inner, path)
    elif path:
        yield f"{path}." if isinstance(value, (dict, list)) else path


def _strings(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            where = f"{path}.{_name(key)}" if path else _name(key)
            yield where, key
            yield from _strings(inner, where)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner, path)
    elif isinstance(value, str):
        yield path, value
    elif isinstance(value, (int, float)):
        yield path, str(value)


def _rows(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """The texts and numbers of every list that holds more than one, as one text."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _rows(inner, f"{path}.{_name(key)}" if path else _name(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _rows(inner, path)
        pieces = [str(inner) for inner in value if isinstance(inner, (str, int, float))]
        if len(pieces) > 1:
            yield path, " ".join(pieces)


def _is_granted(path: str, fields: Sequence[str]) -> bool:
    if path.endswith("."):
        # Nothing is in it: it may be there when it, or something below it, is granted.
        if any(field == path[:-1] or field.startswith(path) for field in fields):
            return True
        path = path[:-1]
    for field in fields:
        if field in ("*", path):
            return True
        if field.endswith(".*") and (path == field[:-2] or path.startswith(field[:-1])):
            return True
    return False


def _is_forbidden_field(policy: Policy, path: str, fields: Sequence[str]) -> bool:
    """A name that may not be in any answer, unless the very path is granted."""
    return path not in fields and any(part in policy.forbidden_fields for part in path.split("."))


def _stripped(policy: Policy, value: Any, fields: Sequence[str], path: str) -> Any:
    if isinstance(value, dict):
        kept: dict[str, Any] = {}
        for key, inner in value.items():
            where = f"{path}.{_name(key)}" if path else _name(key)
            if any(
                _is_granted(leaf, fields) and not _is_forbidden_field(policy, leaf, fields)
                for leaf in (*_paths(inner, where),)
            ):
                kept[key] = _stripped(policy, inner, fields, where)
        return kept
    if isinstance(value, list):
        return [_stripped(policy, inner, fields, path) for inner in value]
    return value


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII | re.IGNORECASE)
