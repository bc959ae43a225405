"""Protocols and cipher suites by settings: what is chosen is what a handshake speaks, and nothing goes below the floor."""

from __future__ import annotations

import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import pytest

from certs.certificates import der_of
from certs.remotetls import RemoteTlsKey
from certs.systemtls import SystemServerContext
from certs.tls import (
    PEER_RULES,
    SYSTEM_RULES,
    SwappableServerContext,
    TlsCredentials,
    TlsRules,
    choose_rules,
    peer_certificates,
    peer_server_context,
    provider_client_context,
    system_server_context,
)
from gateway.settings.config import load
from serving.errors import OperatorError
from serving.storage.selfsigned import self_signed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric import ec

OWN = TlsCredentials(*self_signed("rules.example"))
ONE = "ECDHE-ECDSA-AES128-GCM-SHA256"


def shake(
    server: ssl.SSLContext, newest: ssl.TLSVersion, shown: TlsCredentials | None = None
) -> tuple[str, str]:
    """Protocol and suite of a handshake in memory with a client that speaks nothing newer. Raises `ssl.SSLError`."""
    client = provider_client_context(shown)
    client.maximum_version = newest
    ways = [ssl.MemoryBIO() for _ in range(4)]
    asks = client.wrap_bio(ways[0], ways[1], server_hostname="rules.example")
    answers = server.wrap_bio(ways[2], ways[3], server_side=True)
    done: set[int] = set()
    for _ in range(10):
        for number, (side, out, into) in enumerate(((asks, ways[1], ways[2]), (answers, ways[3], ways[0]))):
            try:
                side.do_handshake()
                done.add(number)
            except ssl.SSLWantReadError:
                pass
            finally:
                into.write(out.read())
        if done == {0, 1}:
            return str(asks.version()), asks.cipher()[0]  # type: ignore[index]
    raise AssertionError("no end of the handshake")


def for_gateways(rules: TlsRules) -> ssl.SSLContext:
    return SwappableServerContext(system_server_context(OWN, rules=rules)).listening


def for_systems(rules: TlsRules) -> ssl.SSLContext:
    return cast("ssl.SSLContext", SystemServerContext(OWN, rules))


@pytest.mark.xroad("F145")
@pytest.mark.parametrize("listening", [for_gateways, for_systems])
def test_a_listener_speaks_the_protocols_and_suites_that_were_chosen(
    listening: Callable[[TlsRules], ssl.SSLContext],
) -> None:
    old, new = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    assert shake(listening(SYSTEM_RULES), new)[0] == "TLSv1.3"
    assert shake(listening(choose_rules("TLSv1.2", [ONE], SYSTEM_RULES)), old) == ("TLSv1.2", ONE)
    newest_only = listening(choose_rules("TLSv1.3", [], SYSTEM_RULES))
    assert shake(newest_only, new)[0] == "TLSv1.3"
    with pytest.raises(ssl.SSLError):
        shake(newest_only, old)


@pytest.mark.xroad("F145")
@pytest.mark.parametrize(
    "name",
    [
        "RC4-SHA",
        "AES128-SHA",
        "DES-CBC3-SHA",
        "NULL-SHA256",
        "ALL",
        "!aNULL",
        "",
        f"{ONE}:RC4-SHA",
        ONE.lower(),
    ],
)
def test_no_setting_goes_below_the_floor(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not one that is accepted"):
        choose_rules("TLSv1.2", [name], PEER_RULES)
    file = tmp_path / "gateway.toml"
    file.write_text(f'[tls]\npeer_ciphers = ["{name}"]\n')
    with pytest.raises(OperatorError, match=r"tls\.peer_ciphers"):
        load(file, {})


@pytest.mark.parametrize("version", ["TLSv1", "TLSv1.1", "SSLv3", ""])
def test_no_older_protocol_can_be_asked_for(version: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"TLSv1\.2 or TLSv1\.3"):
        choose_rules(version, [], PEER_RULES)
    file = tmp_path / "gateway.toml"
    file.write_text(f'[tls]\nsystem_minimum = "{version}"\n')
    with pytest.raises(OperatorError):
        load(file, {})


@pytest.mark.parametrize("default", [PEER_RULES, SYSTEM_RULES])
def test_nothing_chosen_is_what_is_built_in(default: TlsRules) -> None:
    assert choose_rules("TLSv1.2", [], default) == default


class InMemory:
    """A system's connection and the gateway's side of it, with nothing between them."""

    def __init__(self, shown: TlsCredentials | None = None) -> None:
        context = provider_client_context(shown)
        self.here, self.there = (ssl.MemoryBIO(), ssl.MemoryBIO()), (ssl.MemoryBIO(), ssl.MemoryBIO())
        self.system = context.wrap_bio(*self.there, server_hostname="rules.example")
        self.gateway = SystemServerContext(OWN, SYSTEM_RULES).wrap_bio(*self.here)

    def carry(self) -> None:
        self.here[0].write(self.there[1].read())
        self.there[0].write(self.here[1].read())

    def shake(self) -> None:
        for _ in range(4):
            for side in (self.system, self.gateway):
                with suppress(ssl.SSLWantReadError):
                    side.do_handshake()
                self.carry()


def test_what_a_connection_says_of_itself_is_known_after_its_handshake() -> None:
    pair = InMemory(OWN)
    assert (pair.gateway.cipher(), pair.gateway.getpeercert()) == (None, None)
    pair.shake()
    assert pair.gateway.version() == "TLSv1.3"
    name, version, bits = pair.gateway.cipher() or ("", "", 0)
    assert (name, version, bits >= 128) == (pair.system.cipher()[0], "TLSv1.3", True)  # type: ignore[index]
    assert pair.gateway.getpeercert(binary_form=True) == der_of(OWN.chain[0])
    assert pair.gateway.getpeercert() == {}  # there is one, and its fields are nobody's business here
    without = InMemory()
    without.shake()
    assert without.gateway.getpeercert(binary_form=True) is None


class Shown:
    """What Python's TLS object says of the certificates that came: each version of Python in its own way."""

    def __init__(self, leaf: bytes | None) -> None:
        self.leaf = leaf
        self.reads = 0

    def getpeercert(self, _binary_form: bool) -> bytes | None:
        self.reads += 1
        return self.leaf


class ShownWhole(Shown):
    """As from Python 3.13 on."""

    def get_unverified_chain(self) -> list[bytes]:
        return [] if self.leaf == b"leaf alone" else [b"leaf", b"issuer"]


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        (Shown(None), ()),
        (Shown(b"leaf"), (b"leaf",)),
        (ShownWhole(None), ()),
        (ShownWhole(b"leaf"), (b"leaf", b"issuer")),
        (ShownWhole(b"leaf alone"), (b"leaf alone",)),
    ],
)
def test_the_certificates_of_a_connection_are_read_once_when_some_came(
    connection: Shown, expected: tuple[bytes, ...]
) -> None:
    shown = cast("ssl.SSLObject", connection)
    assert [peer_certificates(shown), peer_certificates(shown)] == [expected, expected]
    assert connection.reads == (1 if expected else 2)


def test_a_listener_that_was_given_no_certificate_serves_nobody_and_one_without_trust_takes_no_client() -> (
    None
):
    with pytest.raises(ssl.SSLError, match=r"(?i)no.shared.cipher"):
        shake(peer_server_context(None, OWN.chain), ssl.TLSVersion.TLSv1_2)
    for trusted, is_taken in (((), False), (OWN.chain, True)):
        server = peer_server_context(OWN, trusted)
        if is_taken:
            assert shake(server, ssl.TLSVersion.TLSv1_2, OWN)[0] == "TLSv1.2"
            continue
        with pytest.raises(ssl.SSLError):
            shake(server, ssl.TLSVersion.TLSv1_2, OWN)


def test_systems_show_a_certificate_that_is_registered_or_none() -> None:
    other = TlsCredentials(*self_signed("otro.example"))
    registered = system_server_context(OWN, [other.chain[0]])
    for shown in (None, other):
        assert shake(registered, ssl.TLSVersion.TLSv1_2, shown)[0] == "TLSv1.2"
    with pytest.raises(ssl.SSLError):
        shake(registered, ssl.TLSVersion.TLSv1_2, OWN)


def test_a_system_that_closes_tls_is_read_to_its_end_and_closed_in_turn() -> None:
    pair = InMemory()
    pair.shake()
    pair.system.write(b"hola")
    pair.carry()
    assert pair.gateway.read() == b"hola"
    with pytest.raises(ssl.SSLWantReadError, match="more must come first"):
        pair.gateway.read()
    with pytest.raises(ssl.SSLWantReadError, match="the other end has not closed yet"):
        pair.gateway.unwrap()
    pair.carry()
    with suppress(ssl.SSLWantReadError):
        pair.system.unwrap()
    pair.carry()
    buffer = bytearray(8)
    assert (pair.gateway.read(), pair.gateway.read(8, buffer)) == (b"", 0)
    pair.gateway.unwrap()


def test_a_connection_that_ends_within_tls_is_no_end_of_its_data() -> None:
    pair = InMemory()
    pair.shake()
    pair.here[0].write_eof()
    with pytest.raises(ssl.SSLEOFError, match="ended within TLS"):
        pair.gateway.read()


def test_what_is_no_tls_is_refused() -> None:
    pair = InMemory()
    pair.here[0].write(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(ssl.SSLError, match="TLS failed"):
        pair.gateway.do_handshake()


def test_systems_are_not_shown_a_key_that_never_leaves_its_token() -> None:
    elsewhere = RemoteTlsKey(
        cast("ec.EllipticCurvePublicKey", OWN.chain[0].public_key()), lambda _digest, _how: b""
    )
    with pytest.raises(TypeError, match="never leaves its token"):
        SystemServerContext(TlsCredentials(elsewhere, OWN.chain))
