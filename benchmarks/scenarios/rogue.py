"""A provider's system that answers more than it may: what the gateway must not let out."""

from __future__ import annotations

import sys

from aiohttp import web


async def answer(_request: web.Request) -> web.Response:
    """An affiliation with a name and an office nobody asked for."""
    extra = {"delegacion": "Centro"} if "--office" in sys.argv else {"nombre": "Persona de Prueba"}
    return web.json_response({"estado": "BAJA", "regimen": "MX-22/municipio", "desde": "2004-09-01", **extra})


if __name__ == "__main__":
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    web.run_app(app, host=sys.argv[1], port=int(sys.argv[2]), print=None, access_log=None)
