"""What an admin API reads from a request: bounded bodies, forms and queries."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import BodyPartReader
from aiohttp.http_exceptions import HttpProcessingError

from schemas.names import unsuitable_characters
from serving.api.operations import Part
from serving.api.problems import Problem
from serving.api.validation import checked

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from aiohttp import web

    from serving.api.operations import MultipartForm

MOST_FORM_PARTS = 30
LOOK_S = 0.25


def address_of(request: web.Request) -> str:
    """The address of the connection's other end, whatever a header says; ``unknown`` when there is none."""
    peer = None if request.transport is None else request.transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else "unknown"


async def while_connected(request: web.Request, work: Awaitable[None]) -> None:
    """Do some work, or stop it when the caller has gone. Raises `Problem` then."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            if request.transport is None or request.transport.is_closing():
                raise Problem(
                    400, "caller_left", ["the caller closed the connection before the work was done"]
                )
            await asyncio.wait({task}, timeout=LOOK_S)
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})
    await task


async def read_bytes(request: web.Request, limit: int) -> bytes:
    """The whole body. Raises `Problem` (413) above the limit."""
    if (request.content_length or 0) > limit:
        raise Problem(413, "request_too_large", [f"at most {limit} bytes are taken"])
    found = bytearray()
    async for chunk in request.content.iter_chunked(65_536):
        found += chunk
        if len(found) > limit:
            raise Problem(413, "request_too_large", [f"at most {limit} bytes are taken"])
    return bytes(found)


async def read_form(request: web.Request, form: MultipartForm, limit: int) -> dict[str, Part]:
    """The parts of a multipart form by name. Raises `Problem`."""
    if not request.content_type.startswith("multipart/form-data"):
        raise Problem(
            415, "invalid_content_type", [f"multipart/form-data is expected, not {request.content_type}"]
        )
    raw_limit = limit
    found: dict[str, Part] = {}
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if not isinstance(part, BodyPartReader) or part.name is None or len(found) >= MOST_FORM_PARTS:
                raise Problem(400, "validation_failure", ["the form has nested, unnamed or too many parts"])
            if unsuitable_characters(part.name) or unsuitable_characters(part.filename or ""):
                raise Problem(
                    400,
                    "validation_failure",
                    ["a name in the form holds what no text may hold, or is not UTF-8"],
                )
            content = bytearray()
            while chunk := await part.read_chunk():
                content += chunk
                raw_limit -= len(chunk)
                if raw_limit < 0:
                    raise Problem(413, "request_too_large", [f"at most {limit} bytes are taken"])
            found[part.name] = Part(bytes(content), part.filename, part.headers.get("Content-Type"))
    except (ValueError, AssertionError, EOFError, LookupError, HttpProcessingError) as err:
        raise Problem(400, "validation_failure", ["the multipart form cannot be read"]) from err
    check_parts(form, found)
    return found


def check_parts(form: MultipartForm, found: Mapping[str, Part]) -> None:
    """Refuse a form without a part that must be there. Raises `Problem`."""
    missing = {n: ["NotNull"] for n, must in {**form.fields, **form.files}.items() if must and n not in found}
    if missing:
        raise Problem(400, "validation_failure", validation_errors=missing)


def read_query(request: web.Request, kind: type[msgspec.Struct]) -> Any:
    """The query as ``kind``; a parameter that is repeated is a list, written with commas. Raises `Problem`."""
    values = {k: ",".join(v.strip() for v in request.query.getall(k)) for k in request.query}
    known = {f.encode_name for f in msgspec.structs.fields(kind)}
    return checked(kind, {k: v for k, v in values.items() if v and k in known}, strict=False)


def check_path(path: Mapping[str, str]) -> None:
    """Refuse a value in the path that nothing can be called by."""
    bad = {name: ["NoControlChars"] for name, value in path.items() if unsuitable_characters(value)}
    if bad:
        raise Problem(400, "validation_failure", validation_errors=bad)
