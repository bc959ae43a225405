"""GET for commands: of a health address, an anchor, a clock. Blocks; servers have clients of their own."""

from __future__ import annotations

import contextlib
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any, cast

from schemas.jsontext import load_json

if TYPE_CHECKING:
    from http.client import HTTPResponse


def open_url(url: str, timeout_s: float) -> HTTPResponse:
    """The answer to a GET of an ``http`` or ``https`` address, to be closed by the caller.

    Raises ValueError for another scheme (``file`` among them), urllib's HTTPError for a status of 400 or more, OSError when
    nobody answers within ``timeout_s`` seconds.
    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"an http(s) address is expected, not {url[:200]!r}")
    return cast(
        "HTTPResponse", urllib.request.urlopen(url, timeout=timeout_s)
    )  # the scheme is looked at above


def read_json_object(url: str, timeout_s: float) -> dict[str, Any] | None:
    """The JSON object that a GET is answered with, whatever the status; None when there is none."""
    try:
        with open_url(url, timeout_s) as answer:
            raw = answer.read()
    except urllib.error.HTTPError as err:
        raw = err.read()
    except (OSError, ValueError):
        return None
    with contextlib.suppress(ValueError):
        value = load_json(raw)
        return value if isinstance(value, dict) else None
    return None
