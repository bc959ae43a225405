"""A system behind its gateway, with aiohttp: answers who asked, for what and on which basis."""

import sys

from aiohttp import web
from sacbe_provider import GatewayOrigin
from sacbe_provider.aiohttp import CALL, gateway_only


async def person(request: web.Request) -> web.Response:
    """The person of the path, and the call as the gateway proved it."""
    call = request[CALL]
    return web.json_response(
        {
            "person": request.match_info["number"],
            "asked_by": call.client.path,
            "purpose": call.purpose,
            "bases": call.legal_bases,
        }
    )


host, port, gateway = sys.argv[1:]
application = web.Application(middlewares=[gateway_only(GatewayOrigin(networks=(gateway,)))])
application.add_routes([web.post("/people/{number}", person)])
web.run_app(application, host=host, port=int(port), print=None)
