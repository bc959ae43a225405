"""GET for commands: http(s) only, and a JSON object whatever the status."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from serving.process.httpget import open_url, read_json_object

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def answering(status: int, body: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("scheme", ["file", "ftp", "FILE", "data"])
def test_an_address_of_another_scheme_than_http_is_not_opened(tmp_path: Path, scheme: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text('{"pin": "1234"}')
    with pytest.raises(ValueError, match=r"an http\(s\) address is expected"):
        open_url(f"{scheme}://{secret}", 1)
    assert read_json_object(f"{scheme}://{secret}", 1) is None


@pytest.mark.parametrize("status", [200, 503])
def test_an_object_is_read_whatever_the_status(status: int) -> None:
    with answering(status, b'{"status": "down"}') as url:
        assert read_json_object(url, 5) == {"status": "down"}


@pytest.mark.parametrize("body", [b"", b"[1]", b"no JSON"])
def test_what_is_no_object_is_none(body: bytes) -> None:
    with answering(200, body) as url:
        assert read_json_object(url, 5) is None


def test_nobody_who_answers_is_none() -> None:
    with answering(200, b"{}") as url:
        pass
    assert read_json_object(url, 5) is None
