"""A provider written with fastapi-xroad-soap: what its documentation tells one to write, and nothing more."""

import sys

import uvicorn
from fastapi_xroad_soap import MessageBody, SoapService, XroadHeader
from fastapi_xroad_soap.elements import Integer
from fastapi_xroad_soap.faults import ClientFault

soap = SoapService(name="Semanas", this_namespace="https://registro.example/semanas")


class sumarSemanas(MessageBody):  # the service code, with which the body's element must begin
    primera = Integer()
    segunda = Integer()


class sumarSemanasResponse(MessageBody):
    total = Integer()


@soap.action("sumarSemanas", description="Suma semanas cotizadas")
def add(body: sumarSemanas, header: XroadHeader) -> sumarSemanasResponse:
    """Add weeks."""
    if body.primera < 0:
        raise ValueError("las semanas no pueden ser negativas")
    if body.primera > 9999:
        raise ClientFault("demasiadas semanas")
    return sumarSemanasResponse(total=body.primera + body.segunda)


uvicorn.run(soap, host=sys.argv[1], port=int(sys.argv[2]), log_level="warning")
