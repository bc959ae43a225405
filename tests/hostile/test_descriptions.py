"""Service descriptions as they are in the wild, and as somebody makes them who wants a gateway to stop: read, or refused with the reason."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sqlite3
import threading
import time
from typing import TYPE_CHECKING

import aiohttp
import argon2
import pytest
from aiohttp.test_utils import TestClient, TestServer

from gateway.admin.serviceviews import description_view
from gateway.clients.descriptions.described import (
    MAX_OPERATIONS,
    DescribedService,
    ParsedDescription,
    check_base_url,
    check_code,
    check_url,
)
from gateway.clients.descriptions.openapi import load_document, parse_openapi, read_openapi
from gateway.clients.descriptions.reading import DescriptionReader, read_description
from gateway.clients.descriptions.wsdl import hide_addresses, parse_wsdl
from gateway.clients.descriptionwriting import DescriptionSource
from gateway.clients.model import ConnectionType, Endpoint, ServiceType
from gateway.clients.records import Document
from gateway.clients.registration import DescriptionRegister, ServiceSettings
from gateway.clients.right_table import Endpoints
from gateway.clients.store import ServerConfStore
from gateway.clients.validation.restchecks import RestChecks
from schemas.identifiers import ClientId
from serving.api.authentication import Clock
from serving.api.operations import Call, Operation
from serving.api.server import AdminApi, Served
from serving.config.adminsettings import AdminSettings
from serving.errors import Refused
from serving.login.users import Logins, Roles
from serving.process.childprocess import ChildLimits
from tests.unit.test_admin_refusals import NOW

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

OWNER = ClientId("MX", "GOB", "15-ISSEMYM")


def refusal(act: Callable[[], object]) -> Refused:
    with pytest.raises(Refused) as caught:
        act()
    return caught.value


# OpenAPI


def api(extra: str = "", *, info: str = "{title: t, version: '1'}", version: str = "3.0.3") -> bytes:
    return f"openapi: {version}\ninfo: {info}\nservers: [{{url: 'http://h/base'}}]\n{extra}".encode()


KEYS = """paths:
  /a:
    get:
      responses:
        200: {description: good, content: {application/json: {schema: {type: object, required: [id]}}}}
        404: {description: none}
        5XX: {description: broken}
        default: {description: else}
"""


def test_unquoted_statuses_are_read_validated_and_checked_as_quoted_ones_are() -> None:
    described = parse_openapi(api(KEYS))
    assert described.warnings == ()
    quoted = KEYS.replace("200:", "'200':").replace("404:", '"404":')
    assert load_document(api(KEYS)) == load_document(api(quoted))
    checks = RestChecks(read_openapi(api(KEYS)))
    assert checks.check_response("GET", "/a", 200, "application/json", b'{"id": 1}') == ()
    assert checks.check_response("GET", "/a", 200, "application/json", b"{}") != ()
    for status in (404, 503, 302):
        assert checks.check_response("GET", "/a", status, None, b"") == ()


@pytest.mark.parametrize(
    "key",
    [
        "200",
        "1.5",
        "on",
        "off",
        "yes",
        "no",
        "true",
        "null",
        "~",
        "2026-01-01",
        "0x10",
        "1e3",
        "12:30",
        ".inf",
        "2XX",
        "01",
    ],
)
def test_a_key_is_the_text_that_is_written(key: str) -> None:
    assert list(load_document(f"{key}: 1\n".encode())) == [key]


@pytest.mark.parametrize(
    "value",
    [
        "no",
        "yes",
        "on",
        "off",
        "NO",
        "y",
        "2026-01-01",
        "2026-01-01T10:00:00Z",
        "12:30:00",
        "1_000",
        "0b11",
        "=",
        ".nan",
    ],
)
def test_what_only_old_yaml_takes_for_something_else_stays_text(value: str) -> None:
    assert load_document(f"a: {value}\n".encode()) == {"a": value}


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("true", True),
        ("False", False),
        ("12", 12),
        ("-3", -3),
        ("010", 10),
        ("0x1F", 31),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        ("null", None),
        ("~", None),
        ("", None),
    ],
)
def test_what_json_knows_is_read_as_json_does(value: str, read: object) -> None:
    assert load_document(f"a: {value}\n".encode()) == {"a": read}


@pytest.mark.parametrize("version", ["1.0", "1", "2026-01-01", "yes", "1.10"])
def test_an_unquoted_version_is_text_as_it_is_written(version: str) -> None:
    document = read_openapi(api("paths: {}", info=f"{{title: 7, version: {version}}}"))
    assert document["info"] == {"title": "7", "version": version}
    assert parse_openapi(api("paths: {}", info=f"{{title: no, version: {version}}}")).warnings == ()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_every_encoding_of_unicode_is_read(encoding: str, ends: str) -> None:
    text = api(KEYS, info="{title: Año, version: '1'}").decode().replace("\n", ends)
    assert parse_openapi(text.encode(encoding)).services[0].title == "Año"
    assert load_document(json.dumps({"a": "ñ"}, ensure_ascii=False, indent="\t").encode(encoding)) == {
        "a": "ñ"
    }


DATA = {
    "example": "schema: {type: object, example: {$ref: 'http://x/y'}}",
    "example of a media type": "example: {$ref: 'http://x/y'}",
    "examples of a media type": "examples: {one: {value: {$ref: 'file:///etc/passwd'}}}",
    "default": "schema: {type: object, default: {$ref: '#/nowhere'}}",
    "enum": "schema: {enum: [{$ref: 'http://x/y'}]}",
    "extension": "x-data: {$ref: 'http://x/y'}",
    "extension of a schema": "schema: {type: object, x-more: [{deep: {$ref: 'http://x/y'}}]}",
    "property whose name is default": "schema: {type: object, properties: {default: {type: string, example: {$ref: 'http://x'}}}}",
}
DATA_31 = {
    "const": "schema: {const: {$ref: 'http://x/y'}}",
    "examples of a schema": "schema: {examples: [{$ref: 'http://x/y'}]}",
}
REFERENCES = {
    "schema": "schema: {$ref: 'http://x/y'}",
    "property whose name is example": "schema: {properties: {example: {$ref: 'http://x/y'}}}",
    "property whose name is default": "schema: {properties: {default: {$ref: 'file:///etc/passwd'}}}",
    "property whose name is an extension": "schema: {properties: {x-a: {$ref: 'http://x/y'}}}",
    "example object": "examples: {one: {$ref: 'http://x/y'}}",
    "items": "schema: {type: array, items: {$ref: 'other.yaml#/A'}}",
    "nothing there": "schema: {$ref: '#/components/schemas/No'}",
}


def with_content(content: str, version: str = "3.0.3") -> bytes:
    return api(
        f"paths: {{/a: {{get: {{responses: {{'200': {{description: d, content: {{application/json: {{{content}}}}}}}}}}}}}}}\n",
        version=version,
    )


@pytest.mark.parametrize(
    ("content", "version"),
    [
        *(pytest.param(c, "3.0.3", id=n) for n, c in DATA.items()),
        *(pytest.param(c, "3.1.0", id=n) for n, c in DATA_31.items()),
    ],
)
def test_a_ref_in_data_is_data(content: str, version: str) -> None:
    described = parse_openapi(with_content(content, version))
    assert described.operations == (("GET", "/a"),)
    assert not any("ref" in w.lower() for w in described.warnings)


@pytest.mark.parametrize("name", REFERENCES)
def test_a_ref_elsewhere_is_a_reference(name: str) -> None:
    assert refusal(lambda: parse_openapi(with_content(REFERENCES[name]))).code == "openapi_parsing_error"


SERVERS = {
    "absolute": ("[{url: 'https://h:8443/v1'}]", "https://h:8443/v1"),
    "trailing slash": ("[{url: 'https://h/v1/'}]", "https://h/v1/"),
    "several": ("[{url: 'https://one/'}, {url: 'https://two/'}]", "https://one/"),
    "relative": ("[{url: /v2}]", "http://provider/v2"),
    "relative to the folder": ("[{url: v2}]", "http://provider/d/v2"),
    "scheme in capitals": ("[{url: 'HTTP://h/v2'}]", "http://h/v2"),
    "without a scheme": ("[{url: '//other/v2'}]", "http://other/v2"),
    "empty list": ("[]", "http://provider/d/"),
    "empty address": ("[{url: ''}]", "http://provider/d/"),
    "variable": (
        "[{url: 'https://{h}/{v}', variables: {h: {default: api.mx}, v: {default: 1}}}]",
        "https://api.mx/1",
    ),
    "relative with a variable": ("[{url: '/{v}', variables: {v: {default: v3}}}]", "http://provider/v3"),
}


@pytest.mark.parametrize("name", SERVERS)
def test_the_first_server_is_the_services_address(name: str) -> None:
    written, expected = SERVERS[name]
    content = f"openapi: 3.0.3\ninfo: {{title: t, version: '1'}}\npaths: {{}}\nservers: {written}\n".encode()
    assert parse_openapi(content, "http://provider/d/api.yaml").services[0].url == expected


@pytest.mark.parametrize(
    "written",
    [
        "[{url: 'https://{h}/'}]",
        "[{url: 'ftp://h/'}]",
        "[{url: 'http://h/a b'}]",
        "[{url: 'http://u:p@h/'}]",
        "[{url: 'http://h/?k=1'}]",
        "[{url: 'http://h/#f'}]",
        "[{url: 'http://h/#'}]",
        "[{url: 'http://h/?'}]",
        "[{url: '/v1#'}]",
        "[{url: '/v1?'}]",
        '[{url: "http://h\\tx/"}]',
        '[{url: "http://h\\nx/"}]',
        '[{url: "\\u0001http://h/"}]',
        '[{url: "/v\\t1"}]',
        "[{url: 'ht{t}tp://h/', variables: {t: {default: \"\\t\"}}}]",
        "[{url: '/a\\b'}]",
        "[{url: 'http:h'}]",
        "[{url: 'http:/h/x'}]",
        "[{url: 'http:'}]",
        "[{url: 'http://'}]",
        "[{url: 'http:///x'}]",
        "[{url: '///h/x'}]",
        "[{url: '////h/x'}]",
        "[{url: 'http://h:0/'}]",
        "[{url: '//h:00/'}]",
        "[{url: 'http://[::1/'}]",
        "[{url: 'http://h:99999/'}]",
        "[{url: '{v}', variables: {v: {default: 'javascript:x'}}}]",
    ],
)
def test_an_address_that_cannot_be_called_is_refused(written: str) -> None:
    content = f"openapi: 3.0.3\ninfo: {{title: t, version: '1'}}\npaths: {{}}\nservers: {written}\n".encode()
    assert refusal(lambda: parse_openapi(content, "http://provider/")).code == "invalid_service_url"


def test_an_uploaded_document_with_a_relative_server_names_no_address_and_says_so() -> None:
    content = b"openapi: 3.0.3\ninfo: {title: t, version: '1'}\npaths: {}\nservers: [{url: /v1}]\n"
    described = parse_openapi(content)
    assert described.services[0].url == ""
    assert "relative" in described.warnings[0]


REFUSED = {
    "Swagger 2.0": (b"swagger: '2.0'\ninfo: {title: t, version: '1'}\npaths: {}\n", "Swagger 2.0"),
    "Swagger 2.0 without quotes": (b"swagger: 2.0\n", "Swagger 2.0"),
    "Swagger in JSON": (b'{"swagger": "2.0"}', "Swagger 2.0"),
    "WSDL": (b'<?xml version="1.0"?><definitions xmlns="http://schemas.xmlsoap.org/wsdl/"/>', "WSDL"),
    "WSDL in UTF-16": ('<definitions xmlns="http://schemas.xmlsoap.org/wsdl/"/>'.encode("utf-16"), "WSDL"),
    "XML": (b"<a/>", "XML"),
    "web page": (b"<!DOCTYPE html><html><title>Swagger UI</title></html>", "web page"),
    "member twice in JSON": (b'{"openapi": "3.0.0", "openapi": "3.0.3"}', "twice"),
    "member twice deep in JSON": (b'{"openapi": "3.0.0", "paths": {"/a": {}, "/a": {}}}', "twice"),
    "key twice in YAML": (b"openapi: 3.0.0\npaths: {/a: {}, /a: {}}\n", "twice"),
    "key twice, once quoted": (b"openapi: 3.0.0\nx: {200: a, '200': b}\n", "twice"),
    "key that is a list": (b"? [a, b]\n: c\n", "list or mapping"),
    "tabs": (b"openapi: 3.0.0\ninfo:\n\ttitle: t\n", "tab"),
    "Latin-1": ("título: año\n".encode("latin-1"), "UTF-8"),
    "aliases": (b"a: &x [1]\nb: *x\n", "aliases"),
    "title with an escape": (
        b'{"openapi": "3.0.0", "info": {"title": "A\\u001bB", "version": "1"}, "paths": {}}',
        "U+001B",
    ),
    "title with an override": (
        b'{"openapi": "3.0.0", "info": {"title": "A\\u202eB", "version": "1"}, "paths": {}}',
        "U+202E",
    ),
    "half a surrogate": (b'{"openapi": "3.0.0", "info": {"title": "\\ud800"}}', "surrogate"),
    "Python object": (b"!!python/object/apply:os.system ['x']", "tag"),
    "set": (b"a: !!set {x, y}\n", "tag"),
    "not a number": (b'{"a": NaN}', "NaN"),
    "list": (b"- a\n", "mapping"),
    "empty": (b"", "mapping"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_openapi_is_said_in_the_readers_words(name: str) -> None:
    content, word = REFUSED[name]
    assert word in str(refusal(lambda: parse_openapi(content)))


# WSDL

WSDL = """<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:s="http://schemas.xmlsoap.org/wsdl/soap/" xmlns:t="urn:t" targetNamespace="urn:t">
<message name="m"/><portType name="P"><operation name="op"><documentation><title>Año de {currency}</title></documentation><input message="t:m"/></operation></portType>
<binding name="B" type="t:P"><s:binding transport="http://schemas.xmlsoap.org/soap/http"/><operation name="op"><s:operation soapAction=""/><input><s:body use="literal"/></input></operation></binding>
<service name="S"><port name="p" binding="t:B"><s:address location="ADDRESS"/></port></service></definitions>"""


def wsdl(address: str = "http://h/service", currency: str = "peso", name: str = "op") -> str:
    return (
        WSDL.replace("ADDRESS", address)
        .replace("{currency}", currency)
        .replace('name="op"', f'name="{name}"')
    )


@pytest.mark.parametrize(
    "encoding", ["ISO-8859-1", "iso-8859-15", "windows-1252", "US-ASCII", "UTF-8", "utf-8", "UTF-16"]
)
@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_wsdl_is_read_in_the_encoding_it_declares(encoding: str, quote: str) -> None:
    text = f"<?xml version={quote}1.0{quote} encoding={quote}{encoding}{quote}?>\n" + wsdl()
    raw = text.encode(encoding, "xmlcharrefreplace")
    assert parse_wsdl(raw).services[0].title == "Año de peso"
    assert b"xroad-endpoint" in hide_addresses(raw)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("declaration", ["", '<?xml version="1.0"?>'])
def test_a_wsdl_is_read_in_the_encoding_its_first_bytes_show(encoding: str, declaration: str) -> None:
    assert parse_wsdl((declaration + wsdl()).encode(encoding)).services[0].title == "Año de peso"


def test_the_euro_of_windows_is_the_euro() -> None:
    raw = ('<?xml version="1.0" encoding="windows-1252"?>' + wsdl(currency="€")).encode("cp1252")
    assert parse_wsdl(raw).services[0].title == "Año de €"


def test_a_binding_of_soap_1_2_and_imports_with_text_are_read() -> None:
    text = (
        wsdl()
        .replace("wsdl/soap/", "wsdl/soap12/")
        .replace("<message", "<import namespace='urn:o' location='http://x/o.wsdl'> text </import><message")
    )
    assert [s.code for s in parse_wsdl(text.encode()).services] == ["op"]


WSDL_REFUSED = {
    "declared UTF-16, written in bytes": (
        b'<?xml version="1.0" encoding="utf-16"?>' + wsdl().encode(),
        "single bytes",
    ),
    "declared UTF-8, written wide": (
        ('<?xml version="1.0" encoding="UTF-8"?>' + wsdl()).encode("utf-16"),
        "first bytes",
    ),
    "UTF-7": (b'<?xml version="1.0" encoding="utf-7"?>' + wsdl().encode(), "not read here"),
    "unknown encoding": (b'<?xml version="1.0" encoding="x-mine"?>' + wsdl().encode(), "not read here"),
    "Latin-1 that is not declared": (wsdl().encode("latin-1"), "declaration"),
    "DOCTYPE in Latin-1": (
        ('<?xml version="1.0" encoding="ISO-8859-1"?><!DOCTYPE a [<!ENTITY b "c">]>' + wsdl()).encode(
            "latin-1"
        ),
        "DOCTYPE",
    ),
    "DOCTYPE in UTF-16": (("<!DOCTYPE a [<!ENTITY b 'c'>]>" + wsdl()).encode("utf-16"), "DOCTYPE"),
    "OpenAPI in YAML": (api("paths: {}"), "OPENAPI3"),
    "OpenAPI in JSON": (b'{"openapi": "3.0.0"}', "OPENAPI3"),
    "OpenAPI in pretty JSON": (b'{\n  "openapi": "3.0.0"\n}', "OPENAPI3"),
    "Swagger": (b'swagger: "2.0"\n', "OPENAPI3"),
    "empty": (b"", "empty"),
    "text": (b"hello", "no XML"),
    "web page": (b"<html><body/></html>", "web page"),
    "WSDL 2.0": (b'<description xmlns="http://www.w3.org/ns/wsdl"/>', "WSDL 2.0"),
    "no address": (wsdl("").encode(), "empty"),
    "blank address": (wsdl("  ").encode(), "empty"),
    "no address element": (
        wsdl().replace('<s:address location="http://h/service"/>', "").encode(),
        "missing",
    ),
    "relative address": (wsdl("/service").encode(), "http"),
    "address of a file": (wsdl("file:///etc/passwd").encode(), "http"),
    "address of a queue": (wsdl("jms:queue").encode(), "http"),
    "address with a blank": (wsdl("http://h/a b").encode(), "percent-encoded"),
    "address with a user": (wsdl("http://u:p@h/").encode(), "user name"),
    "address with a fragment": (wsdl("http://h/#a").encode(), "fragment"),
    "code that is two dots": (wsdl(name="..").encode(), ".."),
}


@pytest.mark.parametrize("name", WSDL_REFUSED)
def test_what_is_no_wsdl_is_said_in_the_readers_words(name: str) -> None:
    content, word = WSDL_REFUSED[name]
    assert word in str(refusal(lambda: parse_wsdl(content)))


# Addresses and codes that an administrator gives

BAD_URLS = [
    "http://h/a b",
    "http://h/#f",
    "http://u@h/",
    "http://u:p@h/",
    "http://h/\u00f1",
    "http://h/\\a",
    "http:///a",
    "http://",
    "ftp://h/",
    "h/a",
    "",
    "http://h:99999/",
    "http://h:x/",
    "http://[::1/",
    "http://h/%zz",
    "http://h/%",
    "http://h/a\x00",
    "http://h/a\n",
    "http://h/<a>",
    "http://h/../a",
    "http://h/%2e%2e/a",
    "HTTP//h",
    "http://?a",
    "http://%41/",
]


@pytest.mark.parametrize("url", BAD_URLS)
def test_an_address_that_two_programs_read_differently_is_no_address(url: str) -> None:
    assert refusal(lambda: check_url(url)).code == "malformed_url"


@pytest.mark.parametrize(
    "url",
    [
        "http://h",
        "https://h:8443/a/b",
        "http://h/a%20b",
        "http://[::1]:80/",
        "http://h/s.php?wsdl",
        "http://10.0.0.1/a;b",
        "http://h/~x/",
    ],
)
def test_an_ordinary_address_is_one(url: str) -> None:
    check_url(url)


def test_a_rest_service_has_no_query_behind_which_a_path_would_stand() -> None:
    assert refusal(lambda: check_base_url("http://h/q?k=1")).code == "malformed_url"


@pytest.mark.parametrize(
    "code",
    [
        ".",
        "..",
        "...",
        "\u2025",
        "\uff0e\uff0e",
        "a/b",
        "a;b",
        "a\\b",
        "a:b",
        "%2e%2e",
        " a",
        "a\u202eb",
        "a\u200b",
        "",
        "x" * 256,
    ],
)
def test_a_service_code_that_is_no_segment_is_refused(code: str) -> None:
    assert refusal(lambda: check_code(code)).code == "invalid_service_code"


def test_the_register_refuses_such_codes_and_addresses(tmp_path: Path) -> None:
    store = ServerConfStore(tmp_path / "serverconf.sqlite")
    store.initialise(OWNER.server("SS1"), b"anchor")
    with store.change() as tables:
        tables.clients.add(OWNER, ConnectionType.HTTP, NOW)

    async def fetch(url: str, _certificates: object) -> Document:
        raise AssertionError(f"{url} is fetched")

    register = DescriptionRegister(store, fetch)
    for code, url in (
        ("..", "http://h/"),
        ("code", "http://h/a b"),
        ("code", "http://h/?q"),
        ("code", "http://u:p@h/"),
    ):
        with pytest.raises(Refused):
            asyncio.run(register.add(OWNER, DescriptionSource(ServiceType.REST, url), code, NOW))
    made = asyncio.run(register.add(OWNER, DescriptionSource(ServiceType.REST, "http://h/"), "code", NOW))
    with pytest.raises(Refused):
        register.set_service(made.services[0].id, ServiceSettings("http://h/?q", 1, ssl_auth=False))
    store.close()


# What costs


def operations(count: int) -> bytes:
    ports = "".join(f'<operation name="op{n}"><input message="t:m"/></operation>' for n in range(count))
    bound = "".join(f'<operation name="op{n}"><s:operation soapAction=""/></operation>' for n in range(count))
    text = wsdl()
    text = text.replace(text[text.index('<operation name="op"><doc') : text.index("</portType>")], ports)
    return text.replace(
        text[text.index('<operation name="op"><s:') : text.index("</binding>")], bound
    ).encode()


def circle(count: int) -> bytes:
    chain = ", ".join(f"S{n}: {{$ref: '#/components/schemas/S{n + 1}'}}" for n in range(count))
    return api(f"paths: {{}}\ncomponents: {{schemas: {{{chain}, S{count}: {{type: string}}}}}}\n")


BOMBS = {
    "60,000 operations": (ServiceType.WSDL, operations(60_000)),
    "20,000 paths": (
        ServiceType.OPENAPI3,
        api("paths:\n" + "".join(f"  /p{n}: {{get: {{}}, put: {{}}}}\n" for n in range(20_000))),
    ),
    "deep YAML": (ServiceType.OPENAPI3, b"a: " + b"[" * 100_000),
    "deep JSON": (ServiceType.OPENAPI3, b'{"a":' * 100_000),
    "half a million values": (ServiceType.OPENAPI3, b'{"a":[' + b"1," * 500_000 + b"1]}"),
    "a long number": (ServiceType.OPENAPI3, b'{"a":' + b"9" * 1_000_000 + b"}"),
    "deep XML": (ServiceType.WSDL, b"<a>" * 100_000),
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_linear_time(name: str) -> None:
    kind, content = BOMBS[name]
    began = time.process_time()
    refusal(lambda: parse_wsdl(content) if kind is ServiceType.WSDL else parse_openapi(content))
    assert time.process_time() - began < 20


def test_a_service_among_many_is_read_without_the_others(tmp_path: Path) -> None:
    store = ServerConfStore(tmp_path / "serverconf.sqlite")
    store.initialise(OWNER.server("SS1"), b"anchor")
    with store.change() as tables:
        tables.clients.add(OWNER, ConnectionType.HTTP, NOW)
        for number in range(300):
            tables.endpoints.ensure(OWNER, Endpoint(f"op{number}"), generated=True)
    store.close()
    read = 0

    def rows(statement: str, values: Sequence[object]) -> list[tuple[object, ...]]:
        nonlocal read
        found = database.execute(statement, values).fetchall()
        read += len(found)
        return found

    with contextlib.closing(sqlite3.connect(tmp_path / "serverconf.sqlite")) as database:
        for number in range(300):
            (found,) = Endpoints(rows).all(OWNER, f"op{number}")
            assert found.endpoint.service_code == f"op{number}"
    assert read == 300


def test_a_chain_of_references_is_followed_once() -> None:
    began = time.process_time()
    read_openapi(circle(20_000))
    assert time.process_time() - began < 20
    assert MAX_OPERATIONS < 60_000


async def test_reading_ends_at_its_deadline_and_leaves_no_process() -> None:
    began = time.monotonic()
    with pytest.raises(Refused, match=r"took longer than 0\.2 s"):
        await read_description(ServiceType.WSDL, operations(4_000), "", ChildLimits(seconds=0.2))
    assert time.monotonic() - began < 30


async def test_reading_says_the_same_in_a_process_of_its_own() -> None:
    reader = DescriptionReader()
    assert await reader.read(ServiceType.WSDL, wsdl().encode(), "") == parse_wsdl(wsdl().encode())
    assert await reader.read(ServiceType.OPENAPI3, api(KEYS), "http://h/") == parse_openapi(
        api(KEYS), "http://h/"
    )
    with pytest.raises(Refused, match="Swagger"):
        await reader.read(ServiceType.OPENAPI3, b"swagger: '2.0'", "")


async def test_reading_has_a_share_of_the_processor_and_says_so() -> None:
    with pytest.raises(Refused, match=r"took more than 1 s of processor time"):
        await read_description(ServiceType.OPENAPI3, circle(60_000), "", ChildLimits(processor_s=1))


async def test_reading_that_is_cancelled_ends() -> None:
    task = asyncio.create_task(read_description(ServiceType.WSDL, operations(4_000), ""))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_memory_has_a_bound() -> None:
    content = b'{"a": "' + b"x" * 9_000_000 + b'"}'
    with pytest.raises(Refused, match="took more than"):
        await read_description(ServiceType.OPENAPI3, content, "", ChildLimits(memory_bytes=16 * 1024 * 1024))


# Other changes go on


async def test_other_changes_do_not_wait_for_one_that_prepares(tmp_path: Path) -> None:
    begun, goes_on = asyncio.Event(), asyncio.Event()
    done: list[object] = []

    async def prepare(call: Call) -> None:
        begun.set()
        await goes_on.wait()
        call.prepared = "read"

    async def slow(call: Call) -> None:
        done.append(call.prepared)

    async def quick(_call: Call) -> None:
        done.append("quick")

    rows = [
        Operation("POST", "/slow", slow, "Slow", event="SLOW", status=204, prepare=prepare),
        Operation("POST", "/quick", quick, "Quick", event="QUICK", status=204),
    ]
    logins = Logins(tmp_path / "logins.sqlite", argon2.PasswordHasher(1, 8, 1))
    logins.save_user("boss", "good password", ["ADMIN"])
    roles = Roles({"ADMIN": frozenset()}, {})
    made = AdminApi(AdminSettings(), logins, roles, Served("t", "1", rows), Clock(lambda: NOW, lambda: 0.0))
    client = TestClient(TestServer(made.app()), cookie_jar=aiohttp.DummyCookieJar())
    await client.start_server()
    answer = await client.post("/login", data={"username": "boss", "password": "good password"})
    cookies = {key: morsel.value for key, morsel in answer.cookies.items()}
    headers = {
        "Cookie": "; ".join(f"{k}={v}" for k, v in cookies.items()),
        "X-XSRF-TOKEN": cookies["XSRF-TOKEN"],
    }
    first = asyncio.create_task(client.post("/api/v1/slow", headers=headers))
    await begun.wait()
    assert (await client.post("/api/v1/quick", headers=headers)).status == 204
    goes_on.set()
    assert (await first).status == 204
    assert done == ["quick", "read"]
    await client.close()
    logins.close()


async def test_a_description_of_a_thousand_services_is_shown_in_one_pass(tmp_path: Path) -> None:
    store = ServerConfStore(tmp_path / "serverconf.sqlite")
    store.initialise(OWNER.server("SS1"), b"anchor", owner_added_at=NOW)
    with store.change() as tables:
        tables.clients.add(OWNER.subsystem("S"), ConnectionType.HTTP, NOW)
    source = DescriptionSource(ServiceType.WSDL, "http://h/bomb.wsdl")

    async def fetch(*_: object, **__: object) -> Document:
        return Document(operations(1_000), "text/xml")

    register = DescriptionRegister(store, fetch)
    reading = await register.read_new(OWNER.subsystem("S"), source, None)
    made = await register.add(OWNER.subsystem("S"), source, None, NOW, ignore_warnings=True, reading=reading)
    began = time.process_time()
    assert len(description_view(store.view, made).services) == 1_000
    assert (
        time.process_time() - began < 2
    )  # some 20 ms on an idle machine; it read every table for every service: 10 s
    store.close()


async def test_a_description_of_thousands_is_added_and_removed_in_few_statements_away_from_the_loop(
    tmp_path: Path,
) -> None:
    store = ServerConfStore(tmp_path / "serverconf.sqlite")
    store.initialise(OWNER.server("SS1"), b"anchor", owner_added_at=NOW)
    with store.change() as tables:
        tables.clients.add(OWNER.subsystem("S"), ConnectionType.HTTP, NOW)
    described = ParsedDescription(tuple(DescribedService(f"op{n}", "v1", "http://h/") for n in range(4_900)))
    source = DescriptionSource(ServiceType.WSDL, "http://h/bomb.wsdl")
    register = DescriptionRegister(store, fetch=None)  # type: ignore[arg-type]
    statements: list[str] = []
    threads: set[int] = set()

    def note(sql: str) -> None:
        if not statements or statements[-1] != sql:  # said again for each row a foreign key looks after
            statements.append(sql)
        threads.add(threading.get_ident())

    store.database._inner._connection.set_trace_callback(note)  # type: ignore[attr-defined]
    adding = register.add(OWNER.subsystem("S"), source, None, NOW, reading=(None, described))
    made = await adding
    assert len(made.services) == 4_900
    assert len(statements) < 60
    assert threading.get_ident() not in threads
    statements.clear()
    register.remove(made.id)
    assert len(statements) < 60
    loaded = store.load()
    assert (loaded.services, loaded.endpoints) == ((), ())
    store.close()


def test_what_nobody_changed_is_not_read_again(tmp_path: Path) -> None:
    store = ServerConfStore(tmp_path / "serverconf.sqlite")
    store.initialise(OWNER.server("SS1"), b"anchor", owner_added_at=NOW)
    first = store.load()
    assert store.load() is first
    other = ServerConfStore(tmp_path / "serverconf.sqlite")
    with other.change() as tables:
        tables.clients.add(OWNER.subsystem("S"), ConnectionType.HTTP, NOW)
    assert store.load().client(OWNER.subsystem("S")) is not None
    for opened in (store, other):
        opened.close()
