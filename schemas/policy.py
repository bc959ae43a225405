"""Data policies: what may be asked of a service, for what, on which basis, by whom, and which fields may leave.

A policy is one JSON document that its authorities sign (see `certs.policies`) and that a provider's gateway enforces. It
names its own vocabulary: which headers carry purpose, legal basis, role and version, and what a refusal looks like, so
nothing here knows of a domain. A suspension is a second kind of document: a member whose requests are refused.

Pure: bytes in, values out, or `BadMessage` that says where the document is wrong. The signed bytes are the document as it
came; it is never re-serialised. Fields are granted by path: ``periodos.dias``, ``recibo.*`` with everything below, ``*``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec

from schemas.faults import BadMessage, Kind
from schemas.jsontext import decode_json, encode_json
from schemas.patterns import check_cost

POLICY_FORMAT = "sacbe-policy/1"
SUSPENSION_FORMAT = "sacbe-suspension/1"
LONGEST_HEADER = 8_192  # characters a context rule may have to look at
# Reasons a gateway refuses for; a policy must give an answer for each.
REASONS = (
    "suspended",
    "forbidden",
    "version",
    "context",
    "purpose",
    "role",
    "legal_basis",
    "request_fields",
    "quota",
    "answer_fields",
)


class _Struct(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class RefusalTemplate(_Struct, frozen=True):
    """The answer to what is refused: HTTP status and a body, to which the gateway adds ``regla`` and ``campo``."""

    status: Annotated[int, msgspec.Meta(ge=400, le=599)]
    body: dict[str, Any]


class Purpose(_Struct, frozen=True):
    """A purpose; each entry of ``legal_bases`` is one set that a request must name together."""

    legal_bases: tuple[tuple[str, ...], ...]


class Vocabulary(_Struct, frozen=True):
    """The headers that carry purpose, legal bases (comma separated), role, policy version and account."""

    purpose: str
    legal_basis: str
    role: str
    version: str
    account: str


class HeaderRule(_Struct, frozen=True):
    """A header every request must have, whole and of this form."""

    header: str
    pattern: str


class Forbidden(_Struct, frozen=True):
    """Something that may stand nowhere in a message but in the named fields of the named permissions' requests."""

    id: str
    pattern: str
    except_permissions: tuple[str, ...] = ()
    except_fields: tuple[str, ...] = ()


class Conditional(_Struct, frozen=True):
    """Answer fields granted only for some purposes, and only when the request's fields have these values."""

    fields: tuple[str, ...]
    purposes: tuple[str, ...]
    request: dict[str, bool | int | str] = {}


class Permission(_Struct, frozen=True):
    """One operation of a service: for what, by whom, with which fields, how often, kept how long."""

    id: str
    subsystem: str
    service_code: str
    method: str
    path: str
    purposes: tuple[str, ...]
    roles: tuple[str, ...]
    request_fields: tuple[str, ...]
    answer_fields: tuple[str, ...]
    conditional: tuple[Conditional, ...] = ()
    daily_quota: Annotated[int, msgspec.Meta(ge=1)] | None = None
    retention: str = ""
    category: str = ""


class Public(_Struct, frozen=True):
    """An operation that needs no purpose and whose answer is not looked at: it holds no personal data."""

    subsystem: str
    service_code: str
    method: str
    path: str


class SoapForm(_Struct, frozen=True):
    """The places in SOAP messages of what REST says in headers, and the form of a refusal in them.

    ``element`` of ``namespace`` is the SOAP header that holds the context; ``context`` gives each header of the vocabulary
    as a template over its parts, as ``{avisoPrivacidad.uri};sha256={avisoPrivacidad.sha256}``. ``error`` are the fields of
    a refusal's body, in the order of the error element. Permissions for SOAP have the method ``SOAP``.
    """

    namespace: str
    element: str
    context: dict[str, str]
    error: tuple[str, ...]


class Policy(_Struct, frozen=True):
    """A whole policy. ``previous`` is the SHA-256 of the version before it, in hex."""

    format: str
    id: str
    version: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}$")]
    effective_from: datetime
    vocabulary: Vocabulary
    purposes: dict[str, Purpose]
    permissions: tuple[Permission, ...]
    refusals: dict[str, RefusalTemplate]
    effective_until: datetime | None = None
    previous: str | None = None
    context: tuple[HeaderRule, ...] = ()
    forbidden: tuple[Forbidden, ...] = ()
    forbidden_fields: tuple[str, ...] = ()
    error_fields: tuple[str, ...] = ()
    # Fields of a request that name whom it is about, by pseudonym: kept with a refusal, so that she can be told of it.
    subject_fields: tuple[str, ...] = ()
    public: tuple[Public, ...] = ()
    soap: SoapForm | None = None

    @property
    def order(self) -> tuple[int, ...]:
        """The version as numbers, to compare."""
        return tuple(int(part) for part in self.version.split("."))

    def is_effective(self, now: datetime) -> bool:
        """Whether the policy is in force at a time."""
        return self.effective_from <= now and (self.effective_until is None or now < self.effective_until)


class Suspension(_Struct, frozen=True):
    """An order to refuse a member's requests, as ``MX/GOB/30-IPE``."""

    format: str
    id: str
    member: str
    effective_from: datetime
    reason: str
    effective_until: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Whether the order is in force at a time."""
        return self.effective_from <= now and (self.effective_until is None or now < self.effective_until)


@dataclass(frozen=True, slots=True)
class Signature:
    """One authority's signature: its certificate (DER), the algorithm's URI, the value (ECDSA as DER)."""

    certificate: bytes
    algorithm: str
    value: bytes


@dataclass(frozen=True, slots=True)
class SignedDocument:
    """A document's exact bytes and who signed them."""

    raw: bytes
    signatures: tuple[Signature, ...]


class _SignatureEntry(_Struct, frozen=True):
    certificate: bytes
    algorithm: str
    value: bytes


D = TypeVar("D", Policy, Suspension)


class _Signed(_Struct, frozen=True):
    document: bytes
    signatures: tuple[_SignatureEntry, ...]


def parse_document(raw: bytes) -> Policy | Suspension:
    """The policy or suspension in a document. Raises `BadMessage`."""
    found = parse_unchecked(raw)
    if isinstance(found, Policy):
        _check(found)
    return found


def parse_unchecked(raw: bytes) -> Policy | Suspension:
    """As `parse_document`, also what must not be enforced: to compare with what follows it. Raises `BadMessage` (``invalid_message``)."""
    try:
        value = decode_json(raw)
        kind = value.get("format") if isinstance(value, dict) else None
        if kind == SUSPENSION_FORMAT:
            return _aware(decode_json(raw, Suspension))
        if kind != POLICY_FORMAT:
            raise BadMessage(
                Kind.INVALID_MESSAGE,
                f"the document's format is {kind!r}; {POLICY_FORMAT} or {SUSPENSION_FORMAT} is expected",
            )
        return _aware(decode_json(raw, Policy))
    except msgspec.MsgspecError as err:
        raise BadMessage(Kind.INVALID_MESSAGE, f"the document is not understood: {err}") from err


def parse_signed(raw: bytes) -> SignedDocument:
    """The signed form: JSON with base64 of the document and of each signature. Raises `BadMessage`."""
    try:
        signed = decode_json(raw, _Signed)
    except msgspec.MsgspecError as err:
        raise BadMessage(Kind.INVALID_MESSAGE, f"the signed document is not understood: {err}") from err
    return SignedDocument(
        signed.document, tuple(Signature(s.certificate, s.algorithm, s.value) for s in signed.signatures)
    )


def render_signed(signed: SignedDocument) -> bytes:
    """The signed form, to publish or load."""
    return encode_json(
        _Signed(
            document=signed.raw,
            signatures=tuple(
                _SignatureEntry(certificate=s.certificate, algorithm=s.algorithm, value=s.value)
                for s in signed.signatures
            ),
        )
    )


def _aware(document: D) -> D:
    for name in ("effective_from", "effective_until"):
        value = getattr(document, name)
        if value is not None and value.tzinfo is None:
            raise BadMessage(Kind.INVALID_MESSAGE, f"{name} must carry its offset from UTC")
    return document


def _check(policy: Policy) -> None:
    missing = [r for r in REASONS if r not in policy.refusals]
    if missing:
        raise BadMessage(
            Kind.INVALID_MESSAGE, f"the policy says no answer for refusals of kind {', '.join(missing)}"
        )
    for rule in policy.context:
        check_cost(rule.pattern, longest=LONGEST_HEADER)
    for forbidden in policy.forbidden:  # sought in addresses and bodies, from each of their places
        check_cost(forbidden.pattern)
    seen: set[str] = set()
    for permission in policy.permissions:
        if permission.id in seen:
            raise BadMessage(Kind.INVALID_MESSAGE, f"permission {permission.id} is there twice")
        seen.add(permission.id)
        unknown = set(permission.purposes) - set(policy.purposes)
        if unknown:
            raise BadMessage(
                Kind.INVALID_MESSAGE,
                f"permission {permission.id} names unknown purposes {', '.join(sorted(unknown))}",
            )
