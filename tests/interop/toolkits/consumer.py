"""Calls a service with zeep or with pyxroad and prints the result as JSON.

Arguments: toolkit, gateway URL, client, service, first number, second number. The header schemas, which descriptions
import from the internet, are given from this folder.
"""

import json
import sys
from pathlib import Path

import requests
import zeep
from requests.adapters import BaseAdapter
from zeep.exceptions import Fault
from zeep.transports import Transport

HERE = Path(__file__).parent
toolkit, gateway, client, service, first, second = sys.argv[1:]


class Schemas(BaseAdapter):
    """Serves the two header schemas."""

    def send(self, request: requests.PreparedRequest, *_: object, **__: object) -> requests.Response:
        response = requests.Response()
        response.status_code = 200
        response.url = request.url or ""
        response._content = (HERE / response.url.rpartition("/")[2]).read_bytes()
        return response

    def close(self) -> None:
        """Nothing to close."""


session = requests.Session()
session.mount("http://x-road.eu/xsd/", Schemas())
numbers = {"a": int(first), "b": int(second)}


def with_zeep() -> object:
    """zeep alone: description from the gateway, headers by hand."""
    names = ("xRoadInstance", "memberClass", "memberCode", "subsystemCode", "serviceCode", "serviceVersion")
    query = zip((*names[:5], "version"), service.split("/"), strict=False)
    url = f"{gateway}/wsdl?" + "&".join(f"{n}={v}" for n, v in query)
    described = zeep.Client(url, transport=Transport(session=session))
    binding = next(iter(described.wsdl.bindings))
    headers = {
        "client": {"objectType": "SUBSYSTEM", **dict(zip(names, client.split("/"), strict=False))},
        "service": {"objectType": "SERVICE", **dict(zip(names, service.split("/"), strict=False))},
        "id": "zeep-1",
        "userId": "MX1234",
        "protocolVersion": "4.0",
    }
    return described.create_service(binding, f"{gateway}/").suma(**numbers, _soapheaders=headers)


def with_pyxroad() -> object:
    """pyxroad: everything from two paths; it uses the gateway as an HTTP proxy."""
    from XRoad import XClient  # not there when zeep is called alone

    return XClient(ssu=gateway, client=client, service=service, transport=Transport(session=session)).request(
        **numbers
    )


try:
    found = {"zeep": with_zeep, "pyxroad": with_pyxroad}[toolkit]()
    print(json.dumps({"found": str(found)}))
except Fault as fault:
    print(json.dumps({"fault": str(fault.code), "message": str(fault.message)}))
