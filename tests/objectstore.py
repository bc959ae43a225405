"""An object store for tests that speaks as much of S3 as our tools ask for, and refuses as S3 documents it.

PUT (with ``If-None-Match: *``), GET with ranges, HEAD, ListObjectsV2 in pages and DeleteObjects, addressed by path, signed by AWS Signature
Version 4; as a bucket with Object Lock it takes only objects that bring a checksum. What it is not asked for it answers with 501.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import re
import threading
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote
from xml.sax.saxutils import escape, unescape

from aiohttp import web
from aiohttp.test_utils import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

KEY_ID, SECRET, REGION, BUCKET = "AKIATEST", "a secret of the test", "mx-test-1", "evidencia"
_CREDENTIAL = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})"
)
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


class ObjectStore:
    """One bucket. ``ignores_conditions``: like stores from before conditional writes; ``conflicts``: so many answers of 409 first."""

    def __init__(self, *, ignores_conditions: bool = False, conflicts: int = 0, page: int = 3) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts: list[str] = []
        self.url = ""
        # When everything in it was written, as it says.
        self.modified = "2024-01-01T00:00:00.000Z"
        # While it is set, every request is refused with 503.
        self.is_away = False
        self._ignores_conditions = ignores_conditions
        self._conflicts = conflicts
        self._page = page

    def environment(self, secret: str = SECRET) -> dict[str, str]:
        """The variables of a client that may use it."""
        return {
            "AWS_ACCESS_KEY_ID": KEY_ID,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_REGION": REGION,
            "AWS_ENDPOINT": self.url,
            "AWS_ALLOW_HTTP": "true",
        }

    async def answer(self, request: web.Request) -> web.Response:
        """Any request."""
        body = await request.read()
        refusal = _refused(request, body)
        if refusal is not None:
            return refusal
        bucket, _, key = request.path.lstrip("/").partition("/")
        if bucket != BUCKET:
            return _error(404, "NoSuchBucket")
        if self.is_away:
            return _error(503, "SlowDown")
        if request.method == "POST" and "delete" in request.query:
            return self._delete(body)
        if request.method == "PUT" and key:
            return self._put(request, key, body)
        if request.method == "GET" and not key and request.query.get("list-type") == "2":
            return self._list(request)
        if request.method in ("GET", "HEAD") and key:
            return self._get(request, key)
        return _error(501, "NotImplemented")

    def _put(self, request: web.Request, key: str, body: bytes) -> web.Response:
        if request.headers.get("x-amz-checksum-sha256") != _checksum(body):
            return _error(400, "InvalidRequest")  # Object Lock: a checksum is required
        condition = request.headers.get("If-None-Match")
        if condition not in (None, "*"):
            return _error(501, "NotImplemented")
        if condition and self._conflicts:
            self._conflicts -= 1
            return _error(409, "ConditionalRequestConflict")
        if condition and not self._ignores_conditions and key in self.objects:
            return _error(412, "PreconditionFailed")
        self.objects[key] = body
        self.puts.append(key)
        return web.Response(headers={"ETag": _tag(body)})

    def _get(self, request: web.Request, key: str) -> web.Response:
        content = self.objects.get(key)
        if content is None:
            return _error(404, "NoSuchKey")
        headers = {
            "ETag": _tag(content),
            "Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT",
            "Accept-Ranges": "bytes",
        }
        asked = _RANGE.fullmatch(request.headers.get("Range", ""))
        if asked is None:
            return web.Response(body=content, headers=headers)
        start, end = int(asked[1]), min(int(asked[2] or len(content)), len(content) - 1)
        if start > end:
            return _error(416, "InvalidRange")
        headers["Content-Range"] = f"bytes {start}-{end}/{len(content)}"
        return web.Response(status=206, body=content[start : end + 1], headers=headers)

    def _delete(self, body: bytes) -> web.Response:
        keys = [unescape(key) for key in re.findall(r"<Key>([^<]*)</Key>", body.decode())]
        for key in keys:
            self.objects.pop(key, None)
        found = "".join(f"<Deleted><Key>{escape(key)}</Key></Deleted>" for key in keys)
        text = (
            f'<?xml version="1.0" encoding="UTF-8"?><DeleteResult xmlns="{_NAMESPACE}">{found}</DeleteResult>'
        )
        return web.Response(text=text, content_type="application/xml")

    def _list(self, request: web.Request) -> web.Response:
        prefix, after = (
            request.query.get("prefix", ""),
            request.query.get("continuation-token", request.query.get("start-after", "")),
        )
        left = sorted(k for k in self.objects if k.startswith(prefix) and k > after)
        some, more = left[: self._page], left[self._page :]
        contents = "".join(
            f"<Contents><Key>{escape(k)}</Key><LastModified>{self.modified}</LastModified>"
            f"<ETag>{escape(_tag(self.objects[k]))}</ETag><Size>{len(self.objects[k])}</Size></Contents>"
            for k in some
        )
        token = f"<NextContinuationToken>{escape(some[-1])}</NextContinuationToken>" if more else ""
        text = (
            f'<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="{_NAMESPACE}"><Name>{BUCKET}</Name>'
            f"<Prefix>{escape(prefix)}</Prefix><KeyCount>{len(some)}</KeyCount><MaxKeys>{self._page}</MaxKeys>"
            f"<IsTruncated>{'true' if more else 'false'}</IsTruncated>{token}{contents}</ListBucketResult>"
        )
        return web.Response(text=text, content_type="application/xml")


@asynccontextmanager
async def serve_objects(store: ObjectStore) -> AsyncIterator[ObjectStore]:
    """The store at an address of this machine, its ``url``."""
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{path:.*}", store.answer)
    async with TestServer(app, host="127.0.0.1") as server:
        store.url = str(server.make_url("")).rstrip("/")
        yield store


@contextmanager
def objects_beside(store: ObjectStore) -> Iterator[ObjectStore]:
    """The store in a thread of its own, for what asks it from a thread that waits; its variables are this process's meanwhile."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="object store")
    thread.start()
    serving = serve_objects(store)
    asyncio.run_coroutine_threadsafe(serving.__aenter__(), loop).result(60)
    before = {name: os.environ.get(name) for name in store.environment()}
    os.environ.update(store.environment())
    try:
        yield store
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)
        asyncio.run_coroutine_threadsafe(serving.__aexit__(None, None, None), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()


def _refused(request: web.Request, body: bytes) -> web.Response | None:
    """The refusal of a request that is not signed by who may ask, over its own body."""
    found = _CREDENTIAL.fullmatch(request.headers.get("Authorization", ""))
    if found is None:
        return _error(403, "AccessDenied")
    key_id, day, region, names, signature = found.groups()
    if key_id != KEY_ID:
        return _error(403, "InvalidAccessKeyId")
    said = request.headers["x-amz-content-sha256"]
    if said not in ("UNSIGNED-PAYLOAD", hashlib.sha256(body).hexdigest()):
        return _error(400, "XAmzContentSHA256Mismatch")
    query = "&".join(
        f"{quote(k, safe='-_.~')}={quote(v, safe='-_.~')}" for k, v in sorted(request.query.items())
    )
    headers = "".join(f"{name}:{' '.join(request.headers[name].split())}\n" for name in names.split(";"))
    canonical = "\n".join((request.method, request.rel_url.raw_path, query, headers, names, said))
    at = request.headers["x-amz-date"]
    age = datetime.now(UTC) - datetime.strptime(at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    scope = f"{day}/{region}/s3/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = f"AWS4{SECRET}".encode()
    for word in (day, region, "s3", "aws4_request"):
        key = hmac.digest(key, word.encode(), "sha256")
    expected = hmac.digest(key, f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{digest}".encode(), "sha256").hex()
    if signature != expected:
        return _error(403, "SignatureDoesNotMatch")
    return _error(403, "RequestTimeTooSkewed") if abs(age.total_seconds()) > 900 else None


def _error(status: int, code: str) -> web.Response:
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>{code}</Message></Error>'
    )
    return web.Response(status=status, text=text, content_type="application/xml")


def _tag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


def _checksum(content: bytes) -> str:
    return base64.b64encode(hashlib.sha256(content).digest()).decode()
