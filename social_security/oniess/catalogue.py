"""The catalogue of registers and services (DCAT, CPSV): the pack's entries, and each member's with how its conformance stands.

A member is flagged by its last signed report: in force for a year, out of date after it, or without one. Everybody reads it with
the entry, before granting anything.

Spec: the domain reference F30, 5.7 (catalogo).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from social_security.domain import pack
from social_security.oniess.adoption import is_report_in_force

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import date

    from social_security.domain.edition import Edition
    from social_security.oniess.store import Application

_BASE: Final = "https://oniess.example"
_OF_MEMBERS: Final = frozenset(("cv:PublicOrganisation", "dcat:DataService"))


def build_catalogue(
    edition: Edition, standings: Iterable[Mapping[str, Any]], applications: Iterable[Application], today: date
) -> dict[str, Any]:
    """The catalogue on a day: ``standings`` are the members with their states, ``applications`` say what each brought."""
    document: dict[str, Any] = copy.deepcopy(pack.document("catalogue.jsonld"))
    by_code = {str(a.request["codigoPropuesto"]): a for a in applications}
    graph = [e for e in document["@graph"] if e["@type"] not in _OF_MEMBERS]
    services: list[str] = []
    for member in standings:
        code = member["miembro"].rpartition("/")[2]
        brought = by_code.get(code)
        flag = _flag({} if brought is None else brought.gates, today)
        known = edition.members.get(code)
        entry = {"@id": f"{_BASE}/org/{member['miembro']}", "@type": "cv:PublicOrganisation"}
        graph.append(
            entry | {"dct:title": known.name if known else code, "oss:estado": member["estado"]} | flag
        )
        for subsystem in sorted(set(() if brought is None else brought.request["subsistemas"])):
            place = f"{member['miembro']}/{subsystem}/oss-v1"
            services.append(f"{_BASE}/svc/{place}")
            graph.append(
                {
                    "@id": services[-1],
                    "@type": "dcat:DataService",
                    "dct:publisher": {"@id": entry["@id"]},
                    "dcat:endpointURL": {"@id": f"https://security-server.example/r1/{place}"},
                    "dcat:endpointDescription": {"@id": f"{_BASE}/esquemas/oss-openapi.yaml"},
                    "oss:estado": member["estado"],
                }
                | flag
            )
    for entry in graph:
        if entry["@type"] == "dcat:Catalog":
            entry["dcat:service"] = [{"@id": s} for s in services]
    return document | {"@graph": graph}


def _flag(gates: Mapping[str, Mapping[str, str]], today: date) -> dict[str, str]:
    reported = gates.get("conformidad", {}).get("reporte")
    if reported is None:
        return {"oss:conformidad": "SIN_REPORTE"}
    state = "VIGENTE" if is_report_in_force(reported, today) else "VENCIDA"
    return {"oss:conformidad": state, "oss:reporteConformidad": reported}
