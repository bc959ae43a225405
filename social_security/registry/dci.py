"""The registry as a DCI speaker sees it: ``/registry/sync/search`` by identifier, in the envelope of spdci.org 1.0.0.

An outer adapter: it turns a search request into the registry's own look-up, with the same context, checks and quota, and
its answer back. ``consent.purpose`` carries purpose, reason and privacy notice; ``authorize.purpose`` case, role and legal
bases; member, message id and account come from the gateway's signed headers, whose signature is the proof: the envelope's
own ``signature`` is not looked at. Expressions and predicates are refused: nobody fishes here.

Spec: the domain reference 4.2 (take and leave).
"""

from __future__ import annotations

import re
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from schemas.jsontext import dump_json
from serving.entrance import load_json
from social_security.domain import pack
from social_security.domain.curp import find_curp
from social_security.domain.faults import DomainError, InputError
from social_security.wire import wireschema
from social_security.wire.context import check_context, parse_context
from social_security.wire.service import BODY_LIMIT, DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from social_security.registry.services import RegistryServices

PATH: Final = "/registry/sync/search"
VERSION: Final = "1.0.0"
MAX_SEARCHES: Final = 100
_ID_TYPES: Final = {"CURP": "curp", "MX-PID": "pid"}
_REG_TYPE: Final = "ns:oss:RegistryType:Person"


def add_dci(app: web.Application, services: RegistryServices) -> None:
    """Serve the adapter beside the registry's own operations."""

    async def search(request: web.Request) -> web.Response:
        try:
            envelope = _envelope(await request.content.read(BODY_LIMIT + 1))
            header, searches = _checked(envelope)
        except InputError as err:
            return web.json_response(_reply({}, [], err), status=400)
        results = [_search(services, request.headers, entry) for entry in searches]
        return web.json_response(_reply(header, results, None))

    app.router.add_post(PATH, search)


def _envelope(raw: bytes) -> dict[str, Any]:
    try:
        value = load_json(raw)
    except ValueError:
        value = None
    if len(raw) > BODY_LIMIT or not isinstance(value, dict):
        raise InputError("rjct.action.invalid", "a JSON envelope of at most 1 MiB is expected")
    return value


def _checked(envelope: Mapping[str, Any]) -> tuple[dict[str, Any], list[Any]]:
    """Header and searches of an envelope. Raises `InputError`."""
    header, message = envelope.get("header"), envelope.get("message")
    if not isinstance(header, dict) or not isinstance(message, dict):
        raise InputError("rjct.action.invalid", "header and message are expected")
    if header.get("version", VERSION) != VERSION:
        raise InputError("rjct.version.invalid", f"version {VERSION} is spoken here")
    if header.get("action") != "search":
        raise InputError("rjct.action.not_supported", "only the action search is supported")
    if not header.get("message_id"):
        raise InputError("rjct.message_id.invalid", "message_id is missing")
    if not _is_moment(header.get("message_ts")):
        raise InputError("rjct.message_ts.invalid", "message_ts is a time with its offset from UTC")
    searches = message.get("search_request")
    if not isinstance(searches, list) or header.get("total_count", len(searches)) != len(searches):
        raise InputError("rjct.total_count.invalid", "total_count is the number of searches")
    if not 0 < len(searches) <= MAX_SEARCHES:
        raise InputError("rjct.total_count.limit_exceeded", f"1 to {MAX_SEARCHES} searches are taken at once")
    return header, searches


def _search(services: RegistryServices, headers: Mapping[str, str], entry: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "reference_id": entry.get("reference_id") if isinstance(entry, dict) else None,
        "timestamp": services.now().isoformat(),
    }
    try:
        answer = _look_up(services, _domain_request(services, headers, entry)).body
    except InputError as err:
        return found | {
            "status": "rjct",
            "status_reason_code": err.subject,
            "status_reason_message": str(err),
        }
    except DomainError as error:
        return found | {
            "status": "rjct",
            "status_reason_code": "rjct.search_criteria.invalid",
            "status_reason_message": f"{error.code}: {error.to_json().get('message', error.en)}",
        }
    records = (
        [] if answer["resultado"] != "COINCIDE" else [{k: v for k, v in answer.items() if k != "resultado"}]
    )
    return found | {
        "status": "succ",
        "data": {
            "version": VERSION,
            "reg_type": _REG_TYPE,
            "reg_record_type": answer["resultado"],
            "reg_records": records,
        },
        "pagination": {"page_size": len(records), "page_number": 1, "total_count": len(records)},
    }


def _look_up(services: RegistryServices, request: DomainRequest) -> DomainAnswer:
    """The look-up, which stands in the person's access log as every other does. Raises `DomainError`."""
    try:
        answer = services.find_person(request)
    except DomainError as error:
        services.record(request, None, error)
        raise
    services.record(request, answer, None)
    return answer


def _domain_request(services: RegistryServices, headers: Mapping[str, str], entry: Any) -> DomainRequest:
    """The search as the registry's own look-up, checked like one. Raises `InputError` or `DomainError`."""
    if not isinstance(entry, dict) or not entry.get("reference_id"):
        raise InputError("rjct.reference_id.invalid", "reference_id is missing")
    if not _is_moment(entry.get("timestamp")):
        raise InputError("rjct.timestamp.invalid", "timestamp is a time with its offset from UTC")
    criteria = entry.get("search_criteria")
    if not isinstance(criteria, dict) or criteria.get("query_type") != "idtype-value":
        raise InputError(
            "rjct.search_criteria.invalid", "query_type is idtype-value; nothing else is searched"
        )
    if "sort" in criteria:
        raise InputError("rjct.sort.invalid", "one person is looked up: there is nothing to sort")
    query = criteria.get("query")
    name = _ID_TYPES.get(str(query.get("type"))) if isinstance(query, dict) else None
    if name is None or not isinstance(query, dict) or not isinstance(query.get("value"), str):
        raise InputError("rjct.search_criteria.invalid", "query is {type: CURP or MX-PID, value}")
    body: dict[str, Any] = {name: query["value"], "atributos": ["nivel", "estadoVital"]}
    context = parse_context(_context_headers(services, headers, criteria))
    if find_curp(dump_json({k: v for k, v in criteria.items() if k != "query"})):
        raise DomainError("SS-105", field="search_criteria")
    operation, now = pack.operations()["buscarBeneficiario"], services.now()
    today = now.astimezone(services.zone).date()
    wireschema.check_values(body, today, takes_curp=True)
    wireschema.check_request(operation, body)
    check_context(operation, context, services.policy)
    request = DomainRequest(operation, context, {}, body, now, today)
    services.admit(request)
    return request


def _context_headers(
    services: RegistryServices, headers: Mapping[str, str], criteria: Mapping[str, Any]
) -> dict[str, str]:
    consent = _part(criteria, "consent", "purpose")
    authorize = _part(criteria, "authorize", "purpose")
    return {
        **{n: headers.get(n, "") for n in ("X-Road-Client", "X-Road-UserId")},
        "X-Road-Id": headers.get("X-Road-Id", "") or str(uuid.uuid4()),
        "X-Road-Issue": str(authorize.get("code", "")),
        "X-OSS-Rol": str(authorize.get("text", "")),
        "X-OSS-Fundamento": str(authorize.get("ref_uri", "")),
        "X-OSS-Proposito": str(consent.get("code", "")),
        "X-OSS-Motivo": str(consent.get("text", "")),
        "X-OSS-Aviso": str(consent.get("ref_uri", "")),
        "X-OSS-Sistema": "DCI",
        # A DCI speaker knows no policy version; the registry decides by the one in force here.
        "X-OSS-Politica": services.policy,
    }


def _part(value: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    found: Any = value
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _reply(
    header: Mapping[str, Any], results: list[dict[str, Any]], err: InputError | None
) -> dict[str, Any]:
    done = sum(r["status"] == "succ" for r in results)
    made: dict[str, Any] = {
        "version": VERSION,
        "message_id": str(uuid.uuid4()),
        "message_ts": results[0]["timestamp"] if results else None,
        "action": "search",
        "status": "succ" if done else "rjct",
        "total_count": len(results),
        "completed_count": done,
        "is_msg_encrypted": False,
    }
    if err is not None:
        made |= {"status_reason_code": err.subject, "status_reason_message": str(err)}
    body = {
        "transaction_id": str(uuid.uuid4()),
        "correlation_id": header.get("message_id"),
        "search_response": results,
    }
    return {"signature": "", "header": made, "message": body}


def _is_moment(value: object) -> bool:
    if not isinstance(value, str) or not re.match(r"\d{4}-\d{2}-\d{2}T", value, re.ASCII):
        return False
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        return False
