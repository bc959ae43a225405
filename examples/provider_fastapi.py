"""A system behind its gateway, with FastAPI: answers who asked, for what and on which basis."""

import sys

import uvicorn
from fastapi import FastAPI, Request
from sacbe_provider import GatewayOrigin
from sacbe_provider.asgi import GatewayOnly

host, port, gateway = sys.argv[1:]
application = FastAPI()
application.add_middleware(GatewayOnly, origin=GatewayOrigin(networks=(gateway,)))


@application.post("/people/{number}")
async def person(number: str, request: Request) -> dict[str, object]:
    """The person of the path, and the call as the gateway proved it."""
    call = request.state.call
    return {
        "person": number,
        "asked_by": call.client.path,
        "purpose": call.purpose,
        "bases": call.legal_bases,
    }


uvicorn.run(application, host=host, port=int(port), log_level="warning")
