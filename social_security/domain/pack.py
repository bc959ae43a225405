"""The domain pack as this package reads it: code lists, services, members, errors, schemas.

The pack itself is data in ``schemas/domains/social_security``; this module opens it once and hands out checked values.
Nothing here decides anything. What ONIESS publishes signed stands for the package's own lists at the systems that trust it
(`social_security.domain.edition`); what is read here is the same for everybody, for ever.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import yaml

from schemas.jsontext import load_json

if TYPE_CHECKING:
    from collections.abc import Mapping

_PACK: Final = resources.files("schemas.domains") / "social_security"


def read_text(name: str) -> str:
    """A file of the pack, as text."""
    return (_PACK / name).read_text(encoding="utf-8")


@functools.cache
def document(name: str) -> dict[str, Any]:
    """A JSON document of the pack, as ``members.json``, read once; nobody may change it. Raises TypeError."""
    value = load_json(read_text(name))
    if not isinstance(value, dict):
        raise TypeError(f"{name} of the domain pack is not a JSON object")
    return value


@dataclass(frozen=True, slots=True)
class ErrorRow:
    """One row of the error table: HTTP status, whether it is a formal refusal, both languages, a refusal's usual basis."""

    code: str
    status: int
    is_refusal: bool
    retry: str
    es: str
    en: str
    action_es: str
    action_en: str
    basis: str | None = None

    @property
    def may_be_retried(self) -> bool:
        """Whether the same request can succeed later, whatever must happen first."""
        return self.retry not in ("no", "appeal", "elsewhere")


@dataclass(frozen=True, slots=True)
class PackPurpose:
    """A purpose: each entry of ``legal_bases`` is one set that must be named together."""

    code: str
    es: str
    en: str
    dpv: str
    legal_bases: tuple[frozenset[str], ...]
    minimum_level: int
    case_types: frozenset[str]


@dataclass(frozen=True, slots=True)
class ConditionalFields:
    """Answer fields that are granted only for some purposes and when the request asked for them."""

    fields: tuple[str, ...]
    purposes: frozenset[str]
    request: tuple[tuple[str, object], ...]


@dataclass(frozen=True, slots=True)
class PackOperation:
    """One operation of the service description with what the policy says of it."""

    name: str
    subsystem: str
    method: str
    path: str
    purposes: frozenset[str]
    roles: frozenset[str]
    category: str
    es: str
    en: str
    request_fields: tuple[str, ...]
    answer_fields: tuple[str, ...]
    conditional: tuple[ConditionalFields, ...]
    case_states: frozenset[str]
    daily_quota: int | None
    retention: str


@dataclass(frozen=True, slots=True)
class PackMember:
    """A member. ``zone`` is its IANA time zone: days are counted where the member is.

    ``successor`` is the code of the member that holds the persons of one that has left; empty while it has not.
    """

    code: str
    member_class: str
    name: str
    zone: str
    successor: str = ""

    @property
    def path(self) -> str:
        """The member's identifier in path form, as ``MX/GOB/15-ISSEMYM``."""
        return f"MX/{self.member_class}/{self.code}"

    @property
    def full_name(self) -> str:
        """The name by which people tell it from others: an institute's with its state, where the name does not say it."""
        state = next((str(e["name"]) for e in codes()["entities"] if e["number"] == self.code[:2]), "")
        if self.member_class != "GOB" or not state or state in self.name:
            return self.name
        return f"{self.name} ({state})"


@functools.cache
def errors() -> dict[str, ErrorRow]:
    """The error table by code."""
    table = document("errors.json")
    actions = table["actions"]
    return {
        e["code"]: ErrorRow(
            e["code"],
            e["status"],
            e["refusal"],
            e["retry"],
            e["es"],
            e["en"],
            actions[e["retry"]]["es"],
            actions[e["retry"]]["en"],
            e.get("basis"),
        )
        for e in table["errors"]
    }


@functools.cache
def purposes() -> dict[str, PackPurpose]:
    """The purposes of the code lists, by code, as ``PUR-ARCO``."""
    return {
        p["code"]: PackPurpose(
            p["code"],
            p["es"],
            p["en"],
            p["dpv"],
            tuple(frozenset(b) for b in p["legal_bases"]),
            p["minimum_level"],
            frozenset(p["case_types"]),
        )
        for p in codes()["purposes"]
    }


@functools.cache
def operations() -> dict[str, PackOperation]:
    """The services of the domain (``services.json``), by operation name."""
    return {o["operation"]: _operation(o) for o in document("services.json")["operations"]}


def _operation(o: dict[str, Any]) -> PackOperation:
    return PackOperation(
        o["operation"],
        o["subsystem"],
        o["method"],
        o["path"],
        frozenset(o["purposes"]),
        frozenset(o["roles"]),
        o["category"],
        o["es"],
        o["en"],
        tuple(o["request_fields"]),
        tuple(o["answer_fields"]),
        tuple(
            ConditionalFields(
                tuple(c["fields"]), frozenset(c["purposes"]), tuple(sorted(c["request"].items()))
            )
            for c in o.get("conditional_fields", ())
        ),
        frozenset(o.get("case_states", ())),
        o.get("daily_quota_per_user"),
        o["retention"],
    )


def codes() -> dict[str, Any]:
    """The pack's code lists (``codes.json``), as read; kept after the first reading."""
    return document("codes.json")


def services() -> dict[str, Any]:
    """The service rules as they stand in the pack."""
    return document("services.json")


@functools.cache
def members() -> dict[str, PackMember]:
    """The members in the package's own list, by code; a system goes by those of its `Edition`."""
    return parse_members(document("members.json"))


def parse_members(value: Mapping[str, Any]) -> dict[str, PackMember]:
    """The members of a list, by code."""
    return {
        m["code"]: PackMember(m["code"], m["class"], m["name"], m["zone"], m.get("successor", ""))
        for m in value["members"]
    }


def persons() -> dict[str, Any]:
    """The synthetic persons and the fixture keys."""
    return document("persons.json")


@functools.cache
def openapi() -> dict[str, Any]:
    """The OpenAPI description of the REST services. Raises TypeError."""
    value = yaml.safe_load(read_text("services.openapi.yaml"))
    if not isinstance(value, dict):
        raise TypeError("services.openapi.yaml of the domain pack is not a mapping")
    return value
