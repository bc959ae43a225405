"""Access, rule by rule: a service that is here, of the protocol, that a right opens, and that is not switched off."""

from __future__ import annotations

import msgspec
import pytest

from gateway.clients.model import AccessRight, Endpoint, LocalGroup, ServerConf, Service, ServiceType
from gateway.exchange.access import CalledEndpoint, check_access, check_enabled, find_service
from schemas.faults import Fault, Kind
from schemas.identifiers import GlobalGroupId, LocalGroupId, ServiceId
from tests import worlds
from tests.worlds import CONSUMER, PROVIDER, PROVIDER_SERVER, STRANGER

PEOPLE = Service(ServiceId(PROVIDER, "people"), url="http://inside/", type=ServiceType.OPENAPI3)
GROUP, LOCAL = GlobalGroupId("MX", "institutos"), LocalGroupId("afiliados")


def conf(*rights: AccessRight) -> ServerConf:
    groups = (LocalGroup(PROVIDER, LOCAL.group_code, frozenset({CONSUMER})),)
    return ServerConf(PROVIDER_SERVER, (), (PEOPLE,), rights, groups)


def right(subject: object, method: str = "*", path: str = "**") -> AccessRight:
    return AccessRight(PROVIDER, subject, Endpoint("people", method, path))  # type: ignore[arg-type]


def test_a_service_is_found_by_its_whole_identifier_and_protocol() -> None:
    assert find_service(conf(), PEOPLE.id, over_rest=True) is PEOPLE
    for other in (ServiceId(PROVIDER, "other"), ServiceId(PROVIDER, "people", "v1")):
        with pytest.raises(Fault, match="Unknown service") as caught:
            find_service(conf(), other, over_rest=True)
        assert caught.value.kind is Kind.UNKNOWN_SERVICE
    with pytest.raises(Fault, match="speaks REST; the request came over SOAP") as caught:
        find_service(conf(), PEOPLE.id, over_rest=False)
    assert caught.value.kind is Kind.SERVICE_TYPE


@pytest.mark.parametrize(
    ("rights", "method", "path", "is_open"),
    [
        ((), "GET", "/a", False),
        ((right(CONSUMER),), "GET", "/a", True),
        ((right(CONSUMER),), None, None, True),
        ((right(STRANGER),), "GET", "/a", False),
        ((right(CONSUMER.member),), "GET", "/a", False),
        ((right(LOCAL),), "GET", "/a", True),
        ((right(LocalGroupId("otros")),), "GET", "/a", False),
        ((right(GROUP),), "GET", "/a", False),
        ((right(CONSUMER, "GET", "/a/*"),), "GET", "/a/1", True),
        ((right(CONSUMER, "GET", "/a/*"),), "POST", "/a/1", False),
        ((right(CONSUMER, "GET", "**"),), "GET", "/a//1", True),
        ((right(CONSUMER, "GET", "**"),), "POST", "/a", False),
        ((right(CONSUMER, "GET", "/a/*"),), "GET", "/a/1/2", False),
        ((right(CONSUMER, "GET", "/a/*"),), "GET", "/a/1%2F2", False),
        ((right(CONSUMER, "GET", "/a/*"),), "GET", "/a//1", False),
        ((right(CONSUMER, "GET", "/a/*"),), None, None, False),
        ((right(CONSUMER, "GET", "/a/*"), right(CONSUMER, "POST", "/a/**")), "POST", "/a/1/2", True),
    ],
)
def test_a_right_opens_what_it_names_however_the_path_is_read(
    rights: tuple[AccessRight, ...], method: str | None, path: str | None, is_open: bool
) -> None:
    groups = worlds.world().configuration
    called = None if method is None else CalledEndpoint(method, path or "/")
    if is_open:
        return check_access(conf(*rights), groups, CONSUMER, PEOPLE, called)
    with pytest.raises(Fault, match="has no access right to") as caught:
        check_access(conf(*rights), groups, CONSUMER, PEOPLE, called)
    assert caught.value.kind is Kind.ACCESS_DENIED


def test_a_service_that_is_switched_off_says_the_provider_s_notice() -> None:
    check_enabled(PEOPLE)
    with pytest.raises(Fault, match="back on Monday") as caught:
        check_enabled(msgspec.structs.replace(PEOPLE, disabled="back on Monday"))
    assert caught.value.kind is Kind.SERVICE_DISABLED
