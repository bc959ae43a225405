"""Adding and refreshing service descriptions: what changes is shown, then done whole."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import pytest

from gateway.clients.descriptions.fetchpolicy import FetchPolicy, check_address, check_host
from gateway.clients.descriptions.reading import parse_description
from gateway.clients.descriptionwriting import DescriptionSource
from gateway.clients.model import ConnectionType, Endpoint, ServiceType, Validation
from gateway.clients.records import Document
from gateway.clients.registration import DescriptionRegister, ServiceSettings
from gateway.clients.store import ServerConfStore
from gateway.policies.gate import Binding, Excess
from gateway.policies.store import PolicyStore
from gateway.refusals import GatewayCode
from schemas.identifiers import ClientId, ServerId, ServiceId
from serving.errors import Refused
from tests.doubles import read_here
from tests.paths import VECTORS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine, Iterator
    from pathlib import Path

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
PROVIDER = ClientId("MX", "GOB", "00-RNSS", "INDICE")
CONSUMER = ClientId("MX", "GOB", "15-ISSEMYM", "AFIL")
WSDL_URL = "http://provider/s.wsdl"
API_URL = "http://provider/api.yaml"
FILES = VECTORS / "services"


class Web:
    """The documents a provider publishes."""

    def __init__(self) -> None:
        self.documents: dict[str, Document] = {}

    def put(self, url: str, name: str) -> None:
        self.documents[url] = Document((FILES / name).read_bytes(), "text/plain")

    async def fetch(self, url: str, certificates: Collection[bytes]) -> Document:
        assert not certificates
        if url not in self.documents:
            raise Refused(GatewayCode.DESCRIPTION_DOWNLOAD_FAILED, f"nothing at {url}", "404")
        return self.documents[url]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ServerConfStore]:
    made = ServerConfStore(tmp_path / "serverconf.sqlite")
    made.initialise(ServerId("MX", "GOB", "00-RNSS", "SS1"), b"anchor")
    with made.change() as tables:
        tables.clients.add(PROVIDER, ConnectionType.HTTP, NOW)
    yield made
    made.close()


@pytest.fixture
def web() -> Web:
    return Web()


@pytest.fixture
def register(store: ServerConfStore, web: Web) -> DescriptionRegister:
    return DescriptionRegister(store, web.fetch, read_here)


def warned(act: Callable[[], Coroutine[object, object, object]]) -> dict[str, tuple[str, ...]]:
    with pytest.raises(Refused) as found:
        asyncio.run(act())
    return {w.code: w.metadata for w in found.value.warnings}


def refused(act: Callable[[], Coroutine[object, object, object]]) -> Refused:
    with pytest.raises(Refused) as found:
        asyncio.run(act())
    return found.value


def test_a_wsdl_is_added_disabled_with_its_services(
    register: DescriptionRegister, web: Web, store: ServerConfStore
) -> None:
    web.put(WSDL_URL, "testservice1.wsdl")
    added = asyncio.run(register.add(PROVIDER, DescriptionSource(ServiceType.WSDL, WSDL_URL), None, NOW))
    assert (added.disabled, added.notice) == (True, "Out of order")
    assert [s.full_code for s in added.services] == ["testOp1", "testOpA"]
    assert [(s.timeout_s, s.ssl_auth) for s in added.services] == [(60.0, True)] * 2
    assert len(store.view.endpoints.all(PROVIDER)) == 2
    assert store.view.descriptions.document(added.id) == web.documents[WSDL_URL]


def test_a_refresh_shows_what_it_would_change_and_changes_nothing(
    register: DescriptionRegister, web: Web, store: ServerConfStore
) -> None:
    web.put(WSDL_URL, "testservice1.wsdl")
    added = asyncio.run(register.add(PROVIDER, DescriptionSource(ServiceType.WSDL, WSDL_URL), None, NOW))
    web.put(WSDL_URL, "testservice2.wsdl")
    assert warned(lambda: register.refresh(added.id, LATER)) == {
        "adding_services": ("testOp2", "testOpX"),
        "deleting_services": ("testOp1", "testOpA"),
    }
    assert store.view.descriptions.get(added.id) == added
    again = asyncio.run(register.refresh(added.id, LATER, ignore_warnings=True))
    assert [s.full_code for s in again.services] == ["testOp2", "testOpX"]
    assert (again.id, again.refreshed_at) == (added.id, LATER)


def test_what_a_refresh_keeps_keeps_its_settings_and_rights(
    register: DescriptionRegister, web: Web, store: ServerConfStore
) -> None:
    web.put(WSDL_URL, "testservice1.wsdl")
    added = asyncio.run(register.add(PROVIDER, DescriptionSource(ServiceType.WSDL, WSDL_URL), None, NOW))
    kept = ServiceId(PROVIDER, "testOpA")
    register.set_service(
        kept, ServiceSettings("http://inside/a", 5, ssl_auth=False, validation=Validation.REFUSE)
    )
    with store.change() as tables:
        tables.rights.grant(tables.endpoints.base(PROVIDER, "testOpA"), CONSUMER, NOW)
    changed = web.documents[WSDL_URL].content.replace(b"testOp1", b"testOp9")
    web.documents[WSDL_URL] = Document(changed, "text/xml")
    asyncio.run(register.refresh(added.id, LATER, ignore_warnings=True))
    service = store.view.descriptions.get_service(kept)
    assert (service.url, service.timeout_s, service.ssl_auth) == ("http://inside/a", 5, False)
    assert service.validation is Validation.REFUSE
    assert [r.subject for r in store.view.rights.all(PROVIDER)] == [CONSUMER]


@pytest.mark.xroad("F074")
def test_an_openapi_adds_generated_endpoints_and_a_refresh_replaces_only_those(
    register: DescriptionRegister, web: Web, store: ServerConfStore
) -> None:
    web.put(API_URL, "testopenapi1.yaml")
    added = asyncio.run(register.add(PROVIDER, DescriptionSource(ServiceType.OPENAPI3, API_URL), "api", NOW))
    service = ServiceId(PROVIDER, "api")
    register.add_endpoint(service, "GET", "/by-hand")
    register.add_endpoint(service, "GET", "/e2e-test")
    web.put(API_URL, "testopenapi11.yaml")
    assert warned(lambda: register.refresh(added.id, LATER)) == {
        "deleting_endpoints": ("DELETE /autogenerated1",)
    }
    asyncio.run(register.refresh(added.id, LATER, ignore_warnings=True))
    found = {
        (e.endpoint.method, e.endpoint.path): e.generated for e in store.view.endpoints.all(PROVIDER, "api")
    }
    assert found == {
        ("*", "**"): True,
        ("GET", "/"): True,
        ("GET", "/by-hand"): False,
        ("GET", "/e2e-test"): True,
    }


def test_findings_of_the_validator_are_warnings_that_may_be_ignored(
    register: DescriptionRegister, web: Web
) -> None:
    web.documents[API_URL] = Document((VECTORS / "metaservices" / "petstore.yaml").read_bytes(), "text/yaml")
    source = DescriptionSource(ServiceType.OPENAPI3, API_URL)
    found = warned(lambda: register.add(PROVIDER, source, "pets", NOW))
    assert len(found["openapi_validation_warnings"]) == 3
    added = asyncio.run(register.add(PROVIDER, source, "pets", NOW, ignore_warnings=True))
    assert added.services[0].url == "http://petstore.swagger.io/v1/cats"


def test_an_uploaded_description_is_replaced_by_uploading_again(register: DescriptionRegister) -> None:
    first = Document((FILES / "testservice1.wsdl").read_bytes(), "text/xml")
    added = asyncio.run(
        register.add(PROVIDER, DescriptionSource.uploaded(ServiceType.WSDL, "s.wsdl", first), None, NOW)
    )
    assert "upload the new document" in str(refused(lambda: register.refresh(added.id, LATER)))
    second = Document((FILES / "testservice2.wsdl").read_bytes(), "text/xml")
    source = DescriptionSource.uploaded(ServiceType.WSDL, "s.wsdl", second)
    changed = asyncio.run(register.update(added.id, source, None, LATER, ignore_warnings=True))
    assert [s.full_code for s in changed.services] == ["testOp2", "testOpX"]


def test_a_new_service_code_takes_endpoints_and_rights_along(
    register: DescriptionRegister, store: ServerConfStore
) -> None:
    rest = DescriptionSource(ServiceType.REST, "http://provider/rest")
    added = asyncio.run(register.add(PROVIDER, rest, "old", NOW))
    with store.change() as tables:
        tables.rights.grant(tables.endpoints.base(PROVIDER, "old"), CONSUMER, NOW)
    moved = DescriptionSource(ServiceType.REST, "http://provider/new")
    changed = asyncio.run(register.update(added.id, moved, "new", LATER))
    assert [(s.full_code, s.url) for s in changed.services] == [("new", "http://provider/new")]
    assert [r.endpoint.endpoint for r in store.view.rights.all(PROVIDER)] == [Endpoint("new")]


def test_no_rename_and_no_removal_takes_a_service_out_of_its_policy_or_brings_a_right_back(
    register: DescriptionRegister, store: ServerConfStore
) -> None:
    policies, binding = PolicyStore(store.database), Binding("oss", Excess.REFUSE)
    source = DescriptionSource(ServiceType.REST, "http://provider/rest")

    def rights() -> list[Endpoint]:
        return [r.endpoint.endpoint for r in store.view.rights.all(PROVIDER)]

    def under(code: str) -> bool:
        return policies.snapshot().bindings.get((PROVIDER, code)) == binding

    added = asyncio.run(register.add(PROVIDER, source, "old", NOW))
    with store.change() as tables:
        tables.rights.grant(tables.endpoints.base(PROVIDER, "old"), CONSUMER, NOW)
    policies.bind(PROVIDER, "old", binding)
    # A name that was under another policy before; the service brings its own.
    policies.bind(PROVIDER, "new", Binding("other", Excess.REFUSE))
    asyncio.run(register.update(added.id, source, "new", LATER))
    assert rights() == [Endpoint("new")]
    assert under("new"), "what had the policy's protection has it under its new name"
    again = asyncio.run(
        register.add(PROVIDER, DescriptionSource(ServiceType.REST, "http://provider/2"), "old", LATER)
    )
    assert rights() == [Endpoint("new")]
    assert under("old")
    for number, code in ((added.id, "new"), (again.id, "old")):
        register.remove(number)
        asyncio.run(
            register.add(
                PROVIDER, DescriptionSource(ServiceType.REST, f"http://provider/{code}3"), code, LATER
            )
        )
        assert Endpoint(code) not in rights()
        assert under(code)
    with store.change() as tables:
        tables.clients.remove(PROVIDER)
        tables.clients.add(PROVIDER, ConnectionType.HTTP, LATER)
    asyncio.run(register.add(PROVIDER, source, "new", LATER))
    assert rights() == []
    assert under("new")


@pytest.mark.xroad("F081")
def test_conflicts_and_bad_inputs_are_refused_by_their_code(register: DescriptionRegister, web: Web) -> None:
    web.put(WSDL_URL, "testservice1.wsdl")
    web.put("http://provider/other.wsdl", "testservice1.wsdl")
    rest = DescriptionSource(ServiceType.REST, "http://provider/rest")
    asyncio.run(register.add(PROVIDER, DescriptionSource(ServiceType.WSDL, WSDL_URL), None, NOW))
    asyncio.run(register.add(PROVIDER, rest, "rest", NOW))
    cases = [
        (DescriptionSource(ServiceType.WSDL, WSDL_URL), None, "wsdl_exists"),
        (DescriptionSource(ServiceType.WSDL, "http://provider/other.wsdl"), None, "service_already_exists"),
        (DescriptionSource(ServiceType.WSDL, "http://provider/nothing"), None, "wsdl_download_failed"),
        (DescriptionSource(ServiceType.OPENAPI3, "http://provider/nothing"), "a", "openapi_parsing_error"),
        (DescriptionSource(ServiceType.OPENAPI3, WSDL_URL), "a", "openapi_parsing_error"),
        (rest, "another", "url_already_exists"),
        (DescriptionSource(ServiceType.REST, "http://provider/2"), "REST", "service_code_already_exists"),
        (DescriptionSource(ServiceType.REST, "http://provider/2"), None, "missing_parameter"),
        (DescriptionSource(ServiceType.REST, "http://provider/2"), "getOpenAPI", "service_code_reserved"),
        (DescriptionSource(ServiceType.REST, "ftp://provider"), "a", "malformed_url"),
    ]
    for source, code, expected in cases:
        assert refused(partial(register.add, PROVIDER, source, code, NOW)).code == expected
    stranger = refused(lambda: register.add(CONSUMER, rest, "a", NOW))
    assert stranger.code == "client_not_found"


def test_a_generated_endpoint_can_be_neither_changed_nor_removed(
    register: DescriptionRegister, web: Web, store: ServerConfStore
) -> None:
    web.put(API_URL, "testopenapi1.yaml")
    asyncio.run(register.add(PROVIDER, DescriptionSource(ServiceType.OPENAPI3, API_URL), "api", NOW))
    generated = next(e for e in store.view.endpoints.all(PROVIDER, "api") if not e.endpoint.is_base)
    with pytest.raises(Refused) as changed:
        register.update_endpoint(generated.id, "GET", "/x")
    with pytest.raises(Refused) as removed:
        register.remove_endpoint(generated.id)
    assert changed.value.code == "illegal_generated_endpoint_update"
    assert removed.value.code == "illegal_generated_endpoint_remove"


@pytest.mark.xroad("F080")
def test_settings_for_all_reach_every_service_of_the_description(
    register: DescriptionRegister, web: Web, store: ServerConfStore
) -> None:
    web.put(WSDL_URL, "testservice1.wsdl")
    added = asyncio.run(register.add(PROVIDER, DescriptionSource(ServiceType.WSDL, WSDL_URL), None, NOW))
    settings = ServiceSettings("http://inside/", 9, ssl_auth=False, url_all=True, timeout_all=True)
    register.set_service(ServiceId(PROVIDER, "testOp1"), settings)
    services = store.view.descriptions.get(added.id).services
    assert [(s.url, s.timeout_s, s.ssl_auth) for s in services] == [
        ("http://inside/", 9, False),
        ("http://inside/", 9, True),
    ]


@pytest.mark.parametrize(
    ("allowed", "url", "code"),
    [
        ((), "http://169.254.169.254/latest", "url_not_allowed"),
        ((), "http://[fe80::1]/x", "url_not_allowed"),
        ((), "http://[::ffff:169.254.1.1]/x", "url_not_allowed"),
        ((), "http://user:secret@provider/x", "malformed_url"),
        ((), "file:///etc/passwd", "malformed_url"),
        ((), "http://provider:99999999/x", "malformed_url"),
        (("*.institute.mx",), "http://institute.example/x", "url_not_allowed"),
        (("10.0.0.0/8",), "http://11.0.0.1/x", "url_not_allowed"),
    ],
)
def test_what_the_policy_does_not_let_be_fetched_is_refused(
    allowed: tuple[str, ...], url: str, code: str
) -> None:
    with pytest.raises(Refused) as found:
        check_host(FetchPolicy(allowed), url)
    assert found.value.code == code


def test_the_policy_is_asked_about_the_address_a_name_leads_to() -> None:
    policy = FetchPolicy(("10.0.0.0/8",))
    check_host(policy, "http://provider.example/x")
    check_address(policy, "provider.example", "10.1.2.3")
    with pytest.raises(Refused):
        check_address(policy, "provider.example", "192.168.1.1")
    with pytest.raises(Refused):
        check_address(FetchPolicy(("provider.example",)), "provider.example", "169.254.169.254")


def test_what_would_be_offered_without_an_address_or_operation_is_said_first() -> None:
    """FastAPI exports no servers; .NET's WSDL of a service imports the one that has its bindings."""
    exported = b'{"openapi": "3.1.0", "info": {"title": "FastAPI", "version": "0.1.0"}, "paths": {}}'
    assert "none is named" in parse_description(ServiceType.OPENAPI3, exported, "").warnings[0]
    fetched = parse_description(ServiceType.OPENAPI3, exported, "https://inside.example/openapi.json")
    assert (fetched.warnings, fetched.services[0].url) == ((), "https://inside.example/")
    empty = '<definitions xmlns="http://schemas.xmlsoap.org/wsdl/" targetNamespace="urn:a">{}</definitions>'
    parts = empty.format('<import namespace="urn:b" location="Calc.svc?wsdl=wsdl0"/>').encode()
    assert "imports Calc.svc?wsdl=wsdl0" in parse_description(ServiceType.WSDL, parts, "").warnings[0]
    assert "no operation" in parse_description(ServiceType.WSDL, empty.format("").encode(), "").warnings[0]
