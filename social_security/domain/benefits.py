"""The public catalogue of benefits, and whether a person's totals meet what one asks for.

Pure. Requirements are data per institute (`benefits.json` of the pack); a measure that nobody knows makes its requirement
unknown, never unmet. Nothing of a check is kept.

Spec: the domain reference 4.9 (CPSV), 5.2 (Beneficio), F09.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from social_security.domain.history import parse_rules, recognised_years

if TYPE_CHECKING:
    from collections.abc import Mapping

    from social_security.domain.edition import Edition
    from social_security.domain.history import Rules

MET, UNMET, UNKNOWN = "CUMPLE", "NO_CUMPLE", "DESCONOCIDO"
_HOLDS: Final = {
    "gteq": lambda has, value: has >= value,
    "lteq": lambda has, value: has <= value,
    "eq": lambda has, value: has == value,
}
_WORDS: Final = {"gteq": "al menos", "lteq": "a lo más", "eq": "exactamente"}
_SPACE = "https://oniess.example"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One thing a benefit asks for: a measure, how it is compared, with what."""

    measure: str
    operator: str
    value: int
    unit: str


@dataclass(frozen=True, slots=True)
class Benefit:
    """A benefit of one institute. ``provisional`` says whether an admission may be provisional for it."""

    key: str
    institute: str
    requirements: tuple[Requirement, ...]
    evidence: tuple[str, ...]
    basis: str
    time: str
    convention: str | None
    provisional: bool


def default_rules(edition: Edition) -> Rules:
    """The rules of the catalogue, by which is counted where no convention says otherwise."""
    return parse_rules(edition.part("benefits")["rules"])


def benefits(edition: Edition) -> tuple[Benefit, ...]:
    """Every benefit of the catalogue."""
    return tuple(
        Benefit(
            b["clave"],
            b["instituto"],
            tuple(Requirement(r["medida"], r["operador"], r["valor"], r["unidad"]) for r in b["requisitos"]),
            tuple(b["evidencias"]),
            b["fundamento"],
            b["tiempoProceso"],
            b["convenioAplicable"],
            b["provisional"],
        )
        for b in edition.part("benefits")["benefits"]
    )


def find_benefit(edition: Edition, institute: str, key: str) -> Benefit | None:
    """An institute's benefit, or None."""
    return next((b for b in benefits(edition) if (b.institute, b.key) == (institute, key)), None)


def measures(days: int | None, age: int | None, rules: Rules) -> dict[str, int | None]:
    """A person's figures by the measure that conditions name: days, whole weeks, years by the convention's rules, age; None is unknown."""
    return {
        "dias": days,
        "semanas": None if days is None else days // rules.days_per_week,
        "anios": None if days is None else recognised_years((days,), rules),
        "edad": age,
    }


def check_requirements(benefit: Benefit, known: Mapping[str, int | None]) -> dict[str, Any]:
    """Each requirement with its outcome and why, and the outcome of them all."""
    rows = [_outcome(r, known.get(r.measure)) for r in benefit.requirements]
    results = {row["resultado"] for row in rows}
    overall = UNMET if UNMET in results else UNKNOWN if UNKNOWN in results else MET
    return {
        "beneficio": benefit.key,
        "instituto": benefit.institute,
        "resultado": overall,
        "fundamento": benefit.basis,
        "requisitos": rows,
    }


def render_catalogue(edition: Edition) -> dict[str, Any]:
    """The catalogue as JSON-LD in CPSV-AP terms; it holds no personal data."""
    graph: list[dict[str, Any]] = [
        {"@id": _law(entry["id"]), "@type": "eli:LegalResource", "dct:title": entry["title"]}
        for entry in edition.part("benefits")["laws"]
    ]
    graph += [_service(b) for b in benefits(edition)]
    return {
        "@context": {
            "cpsv": "http://purl.org/vocab/cpsv#",
            "cv": "http://data.europa.eu/m8g/",
            "dct": "http://purl.org/dc/terms/",
            "eli": "http://data.europa.eu/eli/ontology#",
            "oss": f"{_SPACE}/ns/policy#",
        },
        "@graph": graph,
    }


def _service(b: Benefit) -> dict[str, Any]:
    where = f"{_SPACE}/beneficio/{b.institute}/{b.key}"
    return {
        "@id": where,
        "@type": "cpsv:PublicService",
        "dct:identifier": b.key,
        "cv:hasCompetentAuthority": {"@id": f"{_SPACE}/org/{b.institute}"},
        "cv:hasLegalResource": {"@id": _law(b.basis)},
        "cpsv:hasInput": [{"@id": f"{_SPACE}/evidencia/{e}"} for e in b.evidence],
        "cv:processingTime": b.time,
        "cv:holdsRequirement": [
            {
                "@id": f"{where}/{r.measure}",
                "oss:measure": r.measure,
                "oss:operator": r.operator,
                "oss:value": r.value,
                "oss:unit": r.unit,
            }
            for r in b.requirements
        ],
        "oss:convention": b.convention,
        "oss:provisional": b.provisional,
    }


def _outcome(r: Requirement, has: int | None) -> dict[str, Any]:
    row: dict[str, Any] = {"medida": r.measure, "operador": r.operator, "valor": r.value, "unidad": r.unit}
    required_text = f"se requieren {_WORDS[r.operator]} {r.value} {r.unit}"
    if has is None:
        return row | {"resultado": UNKNOWN, "motivo": f"{required_text}; no se conoce el dato"}
    met = _HOLDS[r.operator](has, r.value)
    return row | {
        "tiene": has,
        "resultado": MET if met else UNMET,
        "motivo": f"{required_text}; constan {has}",
    }


def _law(basis: str) -> str:
    return f"{_SPACE}/ley/{basis.removeprefix('mx:')}"
