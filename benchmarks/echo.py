"""A small provider for tests and measuring: echoes, waits, fails and counts on demand."""

from __future__ import annotations

import argparse
import asyncio

import uvloop
from aiohttp import web

from schemas import soap
from schemas.multipart import MultipartParser, PartData, PartStart, parse_content_type


async def handle(request: web.Request) -> web.StreamResponse:
    """Answer by the path: /slow waits ?s=, /status answers ?code=, /size sends ?n= bytes, /soap speaks SOAP.

    Anything else echoes.
    """
    path = request.path
    if path.endswith("/soap"):
        return await _soap(request)
    if path.endswith("/slow"):
        await asyncio.sleep(float(request.query.get("s", "5")))
    if path.endswith("/status"):
        return web.Response(status=int(request.query["code"]))
    if path.endswith("/count"):
        total = 0
        async for chunk in request.content.iter_any():
            total += len(chunk)
        return web.json_response({"bytes": total})
    if path.endswith("/size"):
        answer = web.StreamResponse()
        await answer.prepare(request)
        left = int(request.query["n"])
        while left > 0:
            await answer.write(b"x" * min(left, 1 << 20))
            left -= 1 << 20
        await answer.write_eof()
        return answer
    body = await request.read()
    return web.Response(
        body=body or b'{"ok":true}',
        content_type=request.content_type or "application/json",
        headers={"X-Seen": path},
    )


async def _soap(request: web.Request) -> web.StreamResponse:
    """Tell how many attachments came and how large they were; ?n= sends that many bytes back as an attachment."""
    media, parameters = parse_content_type(request.headers.get("Content-Type", ""))
    sizes: list[int] = []
    if media != soap.MULTIPART_TYPE:
        envelope = await request.read()
    else:
        parser = MultipartParser(parameters["boundary"])
        parts: list[bytearray] = []
        async for chunk in request.content.iter_any():
            for event in parser.feed(chunk):
                if isinstance(event, PartStart):
                    parts.append(bytearray())
                    sizes.append(0)
                elif isinstance(event, PartData):
                    sizes[-1] += len(event.data)
                    if len(parts) == 1:
                        parts[0] += event.data
        parser.close()
        envelope = bytes(parts[0])
    message = soap.parse_message(envelope)
    name = f"{message.service.service_code}Response"
    sizes_text = " ".join(str(n) for n in sizes[1:])
    answer = soap.render_answer(
        message, f'<e:{name} xmlns:e="urn:echo"><e:attachments>{sizes_text}</e:attachments></e:{name}>'
    )
    if "n" not in request.query:
        return web.Response(body=answer, headers={"Content-Type": soap.CONTENT_TYPE})
    return await _with_attachment(request, answer, int(request.query["n"]))


async def _with_attachment(request: web.Request, envelope: bytes, size: int) -> web.StreamResponse:
    boundary = "echo-boundary"
    response = web.StreamResponse(
        headers={"Content-Type": f'multipart/related; type="text/xml"; boundary={boundary}'}
    )
    await response.prepare(request)
    head = f"--{boundary}\r\nContent-Type: text/xml; charset=UTF-8\r\n\r\n".encode()
    between = (
        f"\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-ID: <a>\r\n\r\n".encode()
    )
    await response.write(head + envelope + between)
    left = size
    while left > 0:
        await response.write(b"x" * min(left, 1 << 20))
        left -= 1 << 20
    await response.write(f"\r\n--{boundary}--\r\n".encode())
    await response.write_eof()
    return response


def main() -> None:
    """Serve."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9000)
    options = parser.parse_args()
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{tail:.*}", handle)
    uvloop.install()
    web.run_app(app, host=options.host, port=options.port, print=None, access_log=None)


if __name__ == "__main__":
    main()
