"""Files of X-Road's security server toolkit as input of ``gateway apply``."""

from __future__ import annotations

import pytest

from gateway.clients.model import ConnectionType, ServiceType
from gateway.desired.file import DesiredConfiguration, parse_desired
from gateway.desired.toolkit import from_toolkit
from schemas.identifiers import ClientId
from serving.errors import OperatorError

SERVER = ClientId("DEV", "ORG", "111").server("SS1")
# As the toolkit's user guide writes them (3.2), logins and keys included.
FILE = """
admin_credentials: TOOLKIT_ADMIN_CREDENTIALS
ssh_access:
  user: TOOLKIT_SSH_USER
  private_key: TOOLKIT_SSH_PRIVATE_KEY
security_server:
- api_key: TOOLKIT_API_KEY
  api_key_url: https://localhost:4000/api/v1/api-keys
  certificates:
    - /path/to/signcert
    - /path/to/authcert
  configuration_anchor: /path/to/configuration-anchor.xml
  name: ss1
  owner_dn_country: FI
  owner_dn_org: NIIS
  owner_member_class: ORG
  owner_member_code: 111
  security_server_code: SS1
  software_token_id: 0
  software_token_pin: 1234
  fqdn: ss1.example
  url: https://ss1:4000/api/v1
  tls_certificates:
    - own.pem
  clients:
    - member_class: ORG
      member_code: 111
      member_name: NIIS
      subsystem_code: TEST
      connection_type: HTTP
      tls_certificates:
        - system.pem
      service_descriptions:
        - url: http://systems.example/base
          rest_service_code: Plain
          type: REST
          access:
            - DEV:ORG:111:TEST
            - DEV:security-server-owners
          endpoints:
            - path: /only/this
              method: POST
              access:
                - DEV:GOV:222:OTHER
        - url: https://raw.example/specs/petstore.yaml
          rest_service_code: Petstore
          type: OPENAPI3
          access:
            - DEV:ORG:111:TEST
          url_all: False
          timeout_all: False
          ssl_auth_all: False
          services:
            - service_code: Petstore
              access:
                - DEV:GOV:222:OTHER
              timeout: 120
              ssl_auth: False
              url: http://petstore.example
- name: ss2
  owner_member_class: ORG
  owner_member_code: 111
  security_server_code: SS2
"""
PETSTORE = b"""
openapi: 3.0.0
info: {title: Pets, version: "1"}
servers: [{url: "http://elsewhere.example"}]
paths: {/pets: {get: {responses: {"200": {description: ok}}}}}
"""


def parsed(text: str) -> DesiredConfiguration:
    files = {"petstore.yaml": PETSTORE}
    return parse_desired(text, SERVER, str.encode, files.__getitem__, yaml=True)


def test_clients_services_rights_and_certificates_of_a_toolkit_s_file_are_taken() -> None:
    conf = parsed(FILE).conf
    owner, test = conf.clients
    assert owner.id == SERVER.owner
    assert owner.certificates == {b"own.pem"}
    assert (test.id.path(), test.connection) == ("DEV/ORG/111/TEST", ConnectionType.HTTP)
    assert test.certificates == {b"system.pem"}
    plain, pets = conf.services
    assert (plain.id.service_code, plain.type, plain.url) == (
        "Plain",
        ServiceType.REST,
        "http://systems.example/base",
    )
    assert (pets.type, pets.url, pets.timeout_s, pets.verify_tls) == (
        ServiceType.OPENAPI3,
        "http://petstore.example",
        120,
        False,
    )
    rights = {
        (r.subject.path(), r.endpoint.service_code, r.endpoint.method, r.endpoint.path) for r in conf.rights
    }
    assert {(s, c) for s, c, m, _ in rights if m == "*"} == {
        ("DEV/ORG/111/TEST", "Plain"),
        ("DEV/security-server-owners", "Plain"),
        ("DEV/GOV/222/OTHER", "Petstore"),
    }
    assert ("DEV/GOV/222/OTHER", "Plain", "POST", "/only/this") in rights


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("security_server_code: SS1", "security_server_code: SS9", "ORG/111/SS1, this server, once"),
        ("security_server_code: SS2", "security_server_code: SS1", "ORG/111/SS1, this server, once"),
        ("rest_service_code: Plain", "other: x", "rest_service_code is missing"),
        ("- DEV:ORG:111:TEST", "- TEST", "'TEST' is neither"),
        ("url: http://petstore.example", "note: x", "say the url of Petstore"),
        (
            "service_code: Petstore\n              access",
            "service_code: Dogs\n              access",
            "the one service Petstore",
        ),
        ("type: OPENAPI3", "type: WSDL", "not a WSDL"),
        ("connection_type: HTTP", "connection_type: FTP", "connection"),
        ("clients:", "clients: 7\n  more:", "not understood"),
    ],
)
def test_what_cannot_be_taken_is_said_with_its_place(old: str, new: str, reason: str) -> None:
    assert old in FILE
    with pytest.raises(OperatorError, match=reason):
        parsed(FILE.replace(old, new))


def test_services_of_a_wsdl_are_named_and_take_what_the_first_says_for_all() -> None:
    services = [
        {"service_code": "one.v1", "url": "http://a.example", "timeout": 9, "access": ["DEV:ORG:1:S"]},
        {"service_code": "two"},
    ]
    description = {
        "url": "http://x.example/suma.wsdl?wsdl",
        "type": "WSDL",
        "url_all": True,
        "timeout_all": True,
    }
    server = {"owner_member_class": "ORG", "owner_member_code": 111, "security_server_code": "SS1"}
    client = {
        "member_class": "ORG",
        "member_code": 111,
        "service_descriptions": [{**description, "services": services}],
    }
    (made,) = from_toolkit({"security_server": [{**server, "clients": [client]}]}, SERVER)["client"]
    assert made["service"] == [
        {
            "code": "one",
            "version": "v1",
            "type": "WSDL",
            "url": "http://a.example",
            "timeout_s": 9.0,
            "description": "suma.wsdl",
            "allow": [{"subject": "DEV/ORG/1/S"}],
        },
        {
            "code": "two",
            "type": "WSDL",
            "url": "http://a.example",
            "timeout_s": 9.0,
            "description": "suma.wsdl",
            "allow": [],
        },
    ]
    with pytest.raises(ValueError, match="name its services"):
        bare = {**client, "service_descriptions": [description]}
        from_toolkit({"security_server": [{**server, "clients": [bare]}]}, SERVER)
