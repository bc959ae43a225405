"""An institute's own system that keeps its periods: a CSV behind HTTP, asked by file number each time a history is needed.

The institute's settings name a mapping file with its address (`periods_from`); docs/import.md has both.
"""

import csv
import sys
from pathlib import Path

from aiohttp import web


def build(file: Path, token: str) -> web.Application:
    """``POST /periodos`` with ``{"expediente": ...}``: the rows of that file number, or 404 when there is none."""

    async def periods(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {token}":
            return web.json_response({"error": "Authorization: Bearer is missing or wrong"}, status=401)
        number = (await request.json())["expediente"]
        with file.open(encoding="utf-8", newline="") as opened:
            found = [row for row in csv.DictReader(opened) if row["expediente"] == number]
        return web.json_response({"periodos": found}, status=200 if found else 404)

    application = web.Application()
    application.add_routes([web.post("/periodos", periods)])
    return application


if __name__ == "__main__":
    name, secret, port = sys.argv[1:]
    web.run_app(
        build(Path(name), Path(secret).read_text("ascii").strip()),
        host="127.0.0.1",
        port=int(port),
        print=None,
    )
