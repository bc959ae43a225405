"""What a visitor may do, as links and forms of pages: each leads to the page of its operation, and back. Pure.

A page names an operation by its id; without the permission there is no link, and the API refuses it all the same. Values that the page
knows already are settled: the operation's page shows them and asks only for the rest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlencode

from serving.web.blocks import Cell, OperationForm, PageLink, link
from serving.web.formnames import BACK, FIXED, ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from serving.api.operations import Operation, Principal
    from serving.language import Translatable
    from serving.web.console import ConsoleRequest


def may(principal: Principal, operation: Operation) -> bool:
    """Whether somebody has a permission for an operation."""
    return not operation.permissions or any(p in principal.permissions for p in operation.permissions)


def here(request: ConsoleRequest) -> str:
    """The address of the page that is being made, without what was done before."""
    query = {n: v for n, v in request.http.query.items() if n not in ("hecho", "csv", "lang", "zona")}
    return request.http.path + (f"?{urlencode(query)}" if query else "")


def act(
    request: ConsoleRequest,
    name: str,
    label: Translatable,
    settled: Mapping[str, str] | None = None,
    *,
    given: Mapping[str, str] | None = None,
    back: str | None = None,
    main: bool = False,
) -> PageLink | None:
    """A link to an operation's page; None for who may not. ``settled`` is not asked again, ``given`` may be changed there."""
    operation = request.api.operation(name)
    if operation is None or not may(request.principal, operation):
        return None
    settled = settled or {}
    query = {
        **settled,
        **(given or {}),
        BACK: here(request) if back is None else back,
        FIXED: ",".join(settled),
    }
    return PageLink(label, f"{ROOT}/operacion/{name}?{urlencode(query)}", main)


def act_cell(
    request: ConsoleRequest,
    name: str,
    label: Translatable,
    settled: Mapping[str, str],
    given: Mapping[str, str] | None = None,
) -> Cell | None:
    """The same as a value in a list."""
    found = act(request, name, label, settled, given=given)
    return None if found is None else link(found.text, found.href)


def download(
    request: ConsoleRequest, name: str, label: Translatable, fields: Mapping[str, str] | None = None
) -> PageLink | None:
    """A link to the file of an operation; None for who may not."""
    operation = request.api.operation(name)
    if operation is None or not may(request.principal, operation):
        return None
    return PageLink(label, f"{ROOT}/descarga/{name}?{urlencode(fields or {})}")


def form_of(
    request: ConsoleRequest,
    name: str,
    button: Translatable,
    fields: Sequence[Any],
    settled: Mapping[str, str] | None = None,
    back: str | None = None,
) -> OperationForm | None:
    """An operation's form on a page, with the fields that it shall ask for; None for who may not."""
    operation = request.api.operation(name)
    if operation is None or not may(request.principal, operation):
        return None
    has_file = any(f.field.kind == "file" for f in fields)
    return OperationForm(
        operation,
        (("", fields),),
        tuple((settled or {}).items()),
        has_file,
        button,
        here(request) if back is None else back,
    )
