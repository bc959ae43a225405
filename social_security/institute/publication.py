"""What an institute publishes without login: refusals by cause, retirees, counts for indicators, violations at its services.

Everything but the retirees is a count, and a cell below five is suppressed. The list of retirees with amounts is public by
law (LGTAIP 65 XL); it is a publication of its own, kept apart from files and pseudonyms, and holds names and amounts only.

Spec: the domain reference 3.5, F17, F18; S07, S15.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from aiohttp import web

from schemas.jsontext import load_json
from social_security.domain.faults import DomainError
from social_security.domain.indicators import SMALL_CELL, Count
from social_security.domain.opendata import render_csv
from social_security.institute.counting import count_month
from social_security.institute.refusedattempts import take_refusals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from social_security.institute.services import InstituteServices

BASIS = "mx:LGTAIP-65-XL"


async def read_retirees(services: InstituteServices, query: Mapping[str, str]) -> web.Response:
    """``/jubilados``: as JSON, or with ``formato=csv`` as CSV."""
    rows = [
        {"instituto": services.member, "nombre": name, "montoCentavos": cents}
        for name, cents in services.retirees.paid()
    ]
    return open_data(query, {"fundamento": BASIS, "jubilados": rows}, "jubilados")


async def read_refusals(services: InstituteServices, query: Mapping[str, str]) -> web.Response:
    """``/negativas``: how many, by what was asked, cause and legal basis, and how many were appealed; never of whom."""
    await take_refusals(services)
    counts = {
        **{("ARCO", c): n for c, n in services.arco.refusals_by_cause("ARCO").items()},
        **{("INFORMACION", c): n for c, n in services.arco.refusals_by_cause("INFORMACION").items()},
        **{("SERVICIO", c): n for c, n in services.persons.refusals_by_code().items()},
    }
    rows = [
        {"miembro": services.member, "ambito": scope, "causa": cause, **suppressed(number)}
        for (scope, cause), number in sorted(counts.items())
    ]
    rows += _rejected_cases(services)
    return open_data(query, {"negativas": rows}, "negativas")


def _rejected_cases(services: InstituteServices) -> list[dict[str, Any]]:
    """Portability cases that this institute rejected: by cause, legal basis and the authority that hears the appeal."""
    rejected: dict[tuple[str, str, str], list[str]] = {}
    appealed: set[str] = set()
    for case_id, sender, text in services.database.query(
        "SELECT case_id, sender, event FROM port_event WHERE event LIKE '%\"RECHAZAR\"%' "
        "OR event LIKE '%\"RECURRIR\"%' ORDER BY case_id, sequence"
    ):
        event = load_json(text)
        if event["evento"] == "RECURRIR":
            appealed.add(case_id)
        elif event["evento"] == "RECHAZAR" and sender == services.member:
            refusal = event["negativa"]
            kind = (refusal["codigo"], refusal["fundamento"], refusal["autoridad"])
            rejected.setdefault(kind, []).append(case_id)
    return [
        {
            "miembro": services.member,
            "ambito": "PORTABILIDAD",
            "causa": cause,
            **suppressed(len(cases)),
            "fundamento": basis,
            "autoridad": authority,
            "recurridas": suppressed(sum(case in appealed for case in cases))["casos"],
        }
        for (cause, basis, authority), cases in sorted(rejected.items())
    ]


async def read_indicators(services: InstituteServices, query: Mapping[str, str]) -> web.Response:
    """``/indicadores``: this institute's counts of a month, as numerator and denominator, for ONIESS to add up."""
    period = period_of(query)
    await take_refusals(services)
    counts = count_month(services, period)
    evidence = await _evidence(services, period)
    if evidence is not None:
        counts["IND-11"] = evidence.to_json()
    return web.json_response({"periodo": period, "miembro": services.member, "conteos": counts})


async def _evidence(services: InstituteServices, period: str) -> Count | None:
    """Messages of the month in this institute's gateway that were timestamped in time; None when it does not tell."""
    if not services.gateway.is_set:
        return None
    place = f"BITACORA/getEvidenceStatistics?month={period}"
    response = await services.gateway.read("BITACORA", services.member, place)
    return Count(response.body["timestampedInTime"], response.body["messages"]) if response.is_done else None


async def read_violations(services: InstituteServices, query: Mapping[str, str]) -> web.Response:
    """``/violaciones``: blocked requests by member and rule."""
    await take_refusals(services)
    return open_data(query, {"violaciones": services.gateway_refusals.violations()}, "violaciones")


def period_of(query: Mapping[str, str]) -> str:
    """The month asked for. Raises `DomainError` SS-100."""
    period = query.get("periodo", "")
    if not re.fullmatch(r"20\d{2}-(0[1-9]|1[0-2])", period, re.ASCII):
        raise DomainError("SS-100", "periodo es AAAA-MM", "periodo is YYYY-MM", field="periodo")
    return period


def suppressed(number: int) -> dict[str, Any]:
    """A count, or that it is too small to be told."""
    if 0 < number < SMALL_CELL:
        return {"casos": None, "suprimido": True}
    return {"casos": number, "suprimido": False}


def open_data(query: Mapping[str, str], body: dict[str, Any], rows: str) -> web.Response:
    """A document as JSON, or its rows as CSV. Raises `DomainError` SS-100 for another format."""
    format_name = query.get("formato", "json")
    if format_name == "json":
        return web.json_response(body)
    if format_name != "csv":
        raise DomainError("SS-100", "formato es json o csv", "formato is json or csv", field="formato")
    table = body[rows]
    columns = list(dict.fromkeys(k for row in table for k in row))
    text = render_csv([columns, *([row.get(c) for c in columns] for row in table)])
    return web.Response(text=text, content_type="text/csv", charset="utf-8")
