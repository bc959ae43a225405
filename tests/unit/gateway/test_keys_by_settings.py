"""Keys as settings want them: PINs under a policy, certificates that activate themselves, tokens that are forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from certs.edges.devices import SoftwareDevice
from certs.edges.tokenfiles import TokenFolder
from certs.tokens.soft import SoftToken
from gateway.cli.bootstrap import make_pin
from gateway.keys.activation import activate_waiting
from gateway.keys.model import CertificateStatus, KeyUsage
from gateway.keys.pins import check_pin
from gateway.keys.tokens import Tokens
from schemas.faults import Kind, NotProved
from serving.errors import Refused
from tests.unit.gateway.test_keyconf import AUTH_VALUES, PIN, SERVER, World, configuration_of, refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = await World(tmp_path).made()
    yield made
    await made.tokens.close()
    made.store.close()


@pytest.mark.xroad("F013")
@pytest.mark.parametrize(
    ("pin", "is_taken"),
    [
        ("Secret1234", True),
        ("secret-1234", True),
        ("SECRET 1234", True),
        ("Secreto-de-todos", True),
        ("Secret123", False),  # nine
        ("secret1234", False),  # two classes
        ("1234567890", False),
        ("SECRET-SECRET", False),
        ("1234", False),
        ("Señal-1234", False),  # not ASCII
    ],
)
def test_the_policy_wants_ten_characters_of_three_classes(pin: str, is_taken: bool) -> None:
    if is_taken:
        check_pin(pin, strict=True)
        return
    with pytest.raises(Refused):
        check_pin(pin, strict=True)


@pytest.mark.xroad("F013")
async def test_a_pin_that_the_policy_forbids_is_not_taken_and_the_old_one_stays(world: World) -> None:
    world.has_pin_policy = True
    with pytest.raises(Refused) as caught:
        await world.operations.change_pin("0", PIN, "weak-pin")
    assert (caught.value.code, caught.value.metadata) == (
        "token_weak_pin",
        ("pin_min_length", "10", "pin_min_char_classes_count", "3"),
    )
    await world.operations.logout("0")
    assert (await world.operations.login("0", PIN)).logged_in
    world.has_pin_policy = False
    await world.operations.change_pin("0", PIN, "weak-pin")


def test_a_pin_that_is_made_is_one_that_every_policy_takes() -> None:
    for _ in range(200):
        check_pin(make_pin(), strict=True)


async def waiting_certificate(world: World) -> str:
    """An authentication certificate whose registration was sent."""
    key, request = await world.operations.generate_key_with_request(
        "0", "auth", KeyUsage.AUTHENTICATION, "CA", None, AUTH_VALUES
    )
    der = await world.operations.request_der(key.id, request.id)
    digest = (await world.operations.import_certificate(await world.issue(KeyUsage.AUTHENTICATION, der))).hash
    world.operations.mark_registration_sent(digest)
    return digest


def list_certificate(world: World, digest: str, *, listed: bool = True) -> None:
    """The configuration names it, or no longer does."""
    der = world.operations.certificate(digest).der
    world.operations.observe(configuration_of(world.pki, SERVER, (der,) if listed else ()))


def told_by(notices: list[tuple[str, str]], kind: str, _subject: str, detail: str) -> None:
    notices.append((kind, detail))


@pytest.mark.xroad("F044", "F045")
async def test_a_first_certificate_activates_itself_once_it_is_registered_and_good(world: World) -> None:
    world.activates = True
    digest, notices = await waiting_certificate(world), list[tuple[str, str]]()
    world.unproved = NotProved(Kind.CERT_VALIDATION, "no OCSP response yet")

    def tell(kind: str, subject: str, detail: str) -> None:
        told_by(notices, kind, subject, detail)

    await activate_waiting(world.operations, tell)
    assert notices == []
    list_certificate(world, digest)
    for _ in range(3):  # a reason is told once, however often it is tried
        await activate_waiting(world.operations, tell)
    assert notices == [("activation-failed", "no OCSP response yet")]
    world.unproved = None
    await activate_waiting(world.operations, tell)
    found = world.operations.certificate(digest)
    assert (found.active, found.status) == (True, CertificateStatus.REGISTERED)
    assert notices[1:] == [("certificate-activated", digest)]


@pytest.mark.xroad("F044")
async def test_nothing_is_activated_against_the_setting_or_an_operators_will(world: World) -> None:
    digest, notices = await waiting_certificate(world), list[tuple[str, str]]()

    def tell(kind: str, subject: str, detail: str) -> None:
        told_by(notices, kind, subject, detail)

    list_certificate(world, digest)
    await activate_waiting(world.operations, tell)
    assert not world.operations.certificate(digest).active
    world.activates = True
    await world.operations.activate(digest)
    await world.operations.disable(digest)
    list_certificate(world, digest, listed=False)
    list_certificate(world, digest)
    await activate_waiting(world.operations, tell)
    assert not world.operations.certificate(digest).active
    assert notices == []


@pytest.mark.xroad("F028")
async def test_a_token_that_is_gone_is_forgotten_with_its_keys_and_one_that_is_there_is_not(
    world: World, tmp_path: Path
) -> None:
    soft = SoftwareDevice("0", SoftToken(TokenFolder(tmp_path / "token")))
    other = SoftwareDevice("hsm", SoftToken(TokenFolder(tmp_path / "hsm")))
    world.operations._tokens = Tokens(world.keyconf, [soft, other])
    await other.make(PIN)
    await world.operations.generate_key("hsm", "k", KeyUsage.SIGNING)
    assert await refusal(world.operations.delete_token("hsm")) == "action_not_possible"
    await other.close()
    world.operations._tokens = Tokens(world.keyconf, [soft])
    gone = await world.operations.token("hsm")
    assert (gone.available, len(gone.keys)) == (False, 1)
    await world.operations.delete_token("hsm")
    assert await refusal(world.operations.token("hsm")) == "token_not_found"
    assert world.keyconf.list_keys() == ()
    assert await refusal(world.operations.delete_token("0")) == "action_not_possible"
    # What is on the token itself is not this server's to destroy.
    token = SoftToken(TokenFolder(tmp_path / "hsm"))
    token.unlock(PIN)
    assert len(token.key_infos()) == 1
