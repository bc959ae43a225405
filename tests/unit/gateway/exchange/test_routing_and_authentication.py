"""Which servers may be asked, and which consumer systems may ask: each rule at its own level."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest

from gateway.clients.model import Client, ConnectionType
from gateway.exchange.authentication import ConsumerConnection, check_consumer_system
from gateway.exchange.routing import check_fresh, check_registered_here, choose_servers
from schemas.faults import Fault, Kind
from schemas.identifiers import ClientId
from tests import worlds
from tests.worlds import CONSUMER, CONSUMER_SERVER, NOW, PROVIDER, PROVIDER_SERVER, STRANGER

if TYPE_CHECKING:
    from certs.configuration import TrustedConfiguration

OWN, OTHER = b"own certificate", b"another certificate"


def with_servers(**changes: object) -> TrustedConfiguration:
    """The configuration with the provider's server changed."""
    configuration = worlds.world().configuration
    own = configuration.own
    servers = tuple(
        msgspec.structs.replace(s, **changes) if s.id == PROVIDER_SERVER else s
        for s in own.shared.security_servers
    )
    shared = replace(own.shared, security_servers=servers)
    return replace(configuration, instances={"MX": replace(own, shared=shared)})


def test_every_server_of_a_client_may_be_asked_and_a_chosen_one_alone() -> None:
    configuration = worlds.world().configuration
    assert [s.id for s in choose_servers(configuration, PROVIDER, None)] == [PROVIDER_SERVER]
    assert [s.id for s in choose_servers(configuration, PROVIDER, PROVIDER_SERVER)] == [PROVIDER_SERVER]


@pytest.mark.parametrize(
    ("provider", "chosen", "changes", "kind", "words"),
    [
        (
            ClientId("EE", "GOB", "00-RNSS", "INDICE"),
            None,
            {},
            Kind.UNKNOWN_MEMBER,
            "not federated with 'MX'",
        ),
        (
            ClientId("MX", "GOB", "98-NADIE", "AFIL"),
            None,
            {},
            Kind.UNKNOWN_MEMBER,
            "no security server offers",
        ),
        (PROVIDER, CONSUMER_SERVER, {}, Kind.INVALID_SECURITY_SERVER, "does not serve"),
        (PROVIDER, None, {"maintenance": "until 18:00"}, Kind.MAINTENANCE_MODE, "until 18:00"),
        (PROVIDER, None, {"maintenance": ""}, Kind.MAINTENANCE_MODE, "no notice given"),
        (PROVIDER, PROVIDER_SERVER, {"maintenance": "x"}, Kind.MAINTENANCE_MODE, "in maintenance"),
        (PROVIDER, None, {"address": ""}, Kind.UNKNOWN_MEMBER, "has an address"),
    ],
)
def test_a_provider_without_a_server_to_ask_is_refused(
    provider: object, chosen: object, changes: dict[str, object], kind: Kind, words: str
) -> None:
    with pytest.raises(Fault, match=words) as caught:
        choose_servers(with_servers(**changes), provider, chosen)  # type: ignore[arg-type]
    assert caught.value.kind is kind


def test_a_client_is_registered_on_its_own_server_alone() -> None:
    configuration = worlds.world().configuration
    for own, client in (
        (CONSUMER_SERVER, CONSUMER),
        (CONSUMER_SERVER, CONSUMER.member),
        (PROVIDER_SERVER, PROVIDER),
    ):
        check_registered_here(configuration, own, client, "client", Kind.UNKNOWN_MEMBER)
    unknown = CONSUMER.member.server("NO-SUCH")
    for own, client in ((PROVIDER_SERVER, CONSUMER), (CONSUMER_SERVER, STRANGER), (unknown, CONSUMER)):
        with pytest.raises(Fault, match="is not registered on this security server") as caught:
            check_registered_here(configuration, own, client, "client", Kind.UNKNOWN_MEMBER)
        assert caught.value.kind is Kind.UNKNOWN_MEMBER


def test_a_configuration_that_is_missing_or_over_stops_the_exchange() -> None:
    configuration = worlds.world().configuration
    assert check_fresh(configuration, NOW) is configuration
    own = replace(configuration.own, expires_at=NOW + timedelta(seconds=1))
    ending = replace(configuration, instances={"MX": own})
    assert check_fresh(ending, NOW) is ending
    for late in (None, ending):
        with pytest.raises(Fault) as caught:
            check_fresh(late, NOW + timedelta(seconds=2))
        assert caught.value.kind is Kind.GLOBAL_CONF_OUTDATED


@pytest.mark.parametrize(
    ("connection", "shown", "is_let_in"),
    [
        (ConnectionType.HTTP, ConsumerConnection(over_tls=False), True),
        (ConnectionType.HTTP, ConsumerConnection(over_tls=True, certificate=OTHER), True),
        (ConnectionType.HTTPS_NO_AUTH, ConsumerConnection(over_tls=False), False),
        (ConnectionType.HTTPS_NO_AUTH, ConsumerConnection(over_tls=True), True),
        (ConnectionType.HTTPS_NO_AUTH, ConsumerConnection(over_tls=True, certificate=OTHER), True),
        (ConnectionType.HTTPS, ConsumerConnection(over_tls=False), False),
        (ConnectionType.HTTPS, ConsumerConnection(over_tls=False, certificate=OWN), False),
        (ConnectionType.HTTPS, ConsumerConnection(over_tls=True), False),
        (ConnectionType.HTTPS, ConsumerConnection(over_tls=True, certificate=OWN), True),
        (ConnectionType.HTTPS, ConsumerConnection(over_tls=True, certificate=OWN + b"\n"), False),
        (ConnectionType.HTTPS, ConsumerConnection(over_tls=True, certificate=OTHER), False),
    ],
)
def test_a_system_connects_as_its_client_demands(
    connection: ConnectionType, shown: ConsumerConnection, is_let_in: bool
) -> None:
    client = Client(CONSUMER, connection, frozenset({OWN}))
    if is_let_in:
        check_consumer_system(client, shown)
        return
    with pytest.raises(Fault) as caught:
        check_consumer_system(client, shown)
    assert caught.value.kind is Kind.SSL_AUTHENTICATION_FAILED


def test_this_server_s_own_certificates_pass_for_every_client() -> None:
    client = Client(CONSUMER, ConnectionType.HTTPS, frozenset())
    check_consumer_system(client, ConsumerConnection(over_tls=True, certificate=OTHER), {OTHER})
