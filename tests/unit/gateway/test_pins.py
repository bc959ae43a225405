"""PINs: locked tokens are seen as such wherever they are, and tokens open by themselves from a file, a variable or a command."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pkcs11
import pytest

from certs.edges.devices import SoftwareDevice
from certs.edges.signer import HardSignerToken, SignerServer
from certs.edges.signerclient import RemoteDevice
from certs.edges.tokenfiles import TokenFolder
from certs.tokens.hardware import HardTokenState, _failures
from certs.tokens.port import TokenStatus, TokenType
from certs.tokens.soft import SoftToken
from gateway.clients.store import ServerConfStore
from gateway.keys import actions
from gateway.keys.devices import open_tokens
from gateway.keys.model import PossibleAction
from gateway.keys.operations import KeyOperations
from gateway.keys.store import KeyConfStore
from gateway.keys.tokens import Tokens
from gateway.settings.config import KeySettings
from schemas.faults import Kind, TokenFailed
from schemas.identifiers import ClientId
from serving.config.secret import SecretSource
from serving.config.tokensettings import TokenSettings
from serving.errors import Refused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

PIN = "Secret1234"


class LockingToken:
    """A card that locks itself after three wrong PINs, as a PKCS#11 module tells it."""

    def __init__(self) -> None:
        self.left = 3
        self.is_unlocked = False

    def state(self) -> HardTokenState:
        shown = HardTokenState("card", "1", "model", "maker", False, False, False, True, False)
        return replace(
            shown, pin_locked=self.left == 0, pin_final_try=self.left == 1, pin_count_low=self.left == 2
        )

    def unlock(self, pin: str) -> None:
        with _failures("log in"):
            if self.left == 0:
                raise pkcs11.PinLocked
            if pin != PIN:
                self.left -= 1
                raise pkcs11.PinIncorrect
        self.left, self.is_unlocked = 3, True

    def lock(self) -> None:
        self.is_unlocked = False

    def change_pin(self, old: str, new: str) -> None:
        raise NotImplementedError

    def remove_key(self, key_id: str) -> None:
        raise NotImplementedError

    def key_infos(self) -> tuple[()]:
        return ()

    def certificates(self) -> tuple[()]:
        return ()


@pytest.fixture
def store(tmp_path: Path) -> contextlib.closing[ServerConfStore]:
    made = ServerConfStore(tmp_path / "serverconf.sqlite")
    made.initialise(ClientId("MX", "GOB", "15-ISSEMYM").server("SS1"), b"anchor")
    return contextlib.closing(made)


@contextlib.asynccontextmanager
async def card(folder: Path, store: ServerConfStore) -> AsyncIterator[Tokens]:
    """The card behind a signer's socket, served in this process, as the gateway sees it."""
    stop, path = asyncio.Event(), folder / "card.sock"
    serving = asyncio.create_task(SignerServer(HardSignerToken(LockingToken()), path).run(stop))  # type: ignore[arg-type]
    device = RemoteDevice("card", TokenType.HARDWARE, [path])
    async with asyncio.timeout(60):
        while not (await device.state()).available:  # a socket says nothing when it is there
            await asyncio.sleep(0.01)
    yield Tokens(KeyConfStore(store.database), [device])
    await device.close()
    stop.set()
    await serving


async def test_a_card_that_locks_its_pin_shows_how_near_it_is_and_then_that_it_is_locked(
    tmp_path: Path, store: contextlib.closing[ServerConfStore]
) -> None:
    with store as opened:
        async with card(tmp_path, opened) as tokens:
            operations = KeyOperations(KeyConfStore(opened.database), tokens, None)  # type: ignore[arg-type]
            seen = []
            for _ in range(3):
                with pytest.raises(Refused) as caught:
                    await operations.login("card", "wrong")
                seen.append((caught.value.code, (await operations.token("card")).status))
            assert seen == [
                ("pin_incorrect", TokenStatus.USER_PIN_COUNT_LOW),
                ("pin_incorrect", TokenStatus.USER_PIN_FINAL_TRY),
                ("pin_incorrect", TokenStatus.USER_PIN_LOCKED),
            ]
            with pytest.raises(Refused, match="security officer must reset it") as caught:
                await operations.login("card", PIN)
            assert caught.value.code == "action_not_possible"
            assert str(await tokens.failure("card")) == "the token card is locked after too many wrong PINs"
            token = await operations.token("card")
            assert PossibleAction.GENERATE_KEY not in actions.token_actions(token)


@pytest.mark.parametrize(
    ("raised", "kind", "lost"),
    [
        (pkcs11.PinIncorrect, Kind.PIN_INCORRECT, False),
        (pkcs11.PinLenRange, Kind.PIN_INCORRECT, False),
        (pkcs11.PinLocked, Kind.TOKEN_NOT_ACTIVE, False),
        (pkcs11.PinExpired, Kind.TOKEN_NOT_ACTIVE, False),
        (pkcs11.KeyHandleInvalid, Kind.KEY_NOT_FOUND, False),
        (pkcs11.MechanismInvalid, Kind.CANNOT_SIGN, False),
        (pkcs11.DeviceRemoved, Kind.TOKEN_NOT_ACTIVE, True),
        (pkcs11.TokenNotPresent, Kind.TOKEN_NOT_ACTIVE, True),
    ],
)
def test_what_a_module_says_is_a_fault_of_its_kind(raised: type[Exception], kind: Kind, lost: bool) -> None:
    with pytest.raises(TokenFailed) as caught, _failures("sign"):
        raise raised
    assert (caught.value.kind, caught.value.is_lost) == (kind, lost)


def in_a_file(folder: Path) -> SecretSource:
    (folder / "pin").write_text(f"{PIN}\n")
    (folder / "pin").chmod(0o600)
    return SecretSource(file=str(folder / "pin"))


def by_a_command(_folder: Path) -> SecretSource:
    return SecretSource(command=(sys.executable, "-c", f"print({PIN!r})"))


@pytest.mark.parametrize(
    "source",
    [in_a_file, lambda _folder: SecretSource(environment="TOKEN_PIN"), by_a_command],
    ids=["file", "environment", "command"],
)
@pytest.mark.xroad("F024")
async def test_a_token_opens_by_itself_where_the_settings_say_where_its_pin_is(
    tmp_path: Path, store: contextlib.closing[ServerConfStore], source: object
) -> None:
    with store as opened:
        tokens = software(tmp_path, opened)
        keys = KeySettings(tokens=(TokenSettings(id="0", pin=source(tmp_path)),))  # type: ignore[operator]
        await open_tokens(tokens, keys, None, {"TOKEN_PIN": PIN})
        assert (await tokens.token("0")).logged_in
        await tokens.close()


async def test_a_token_whose_pin_cannot_be_had_waits_for_a_person(
    tmp_path: Path, store: contextlib.closing[ServerConfStore]
) -> None:
    with store as opened:
        tokens = software(tmp_path, opened)
        keys = KeySettings(tokens=(TokenSettings(id="0", pin=SecretSource(environment="NOT_SET")),))
        await open_tokens(tokens, keys, None, {})
        token = await tokens.token("0")
        assert (token.logged_in, token.status) == (False, TokenStatus.OK)  # and no try was spent
        assert str(await tokens.failure("0")) == "the token 0 is not logged in; give its PIN"
        await tokens.close()


async def test_a_start_with_a_wrong_pin_ends_and_the_try_is_counted(
    tmp_path: Path, store: contextlib.closing[ServerConfStore]
) -> None:
    with store as opened:
        tokens = software(tmp_path, opened)
        with pytest.raises(TokenFailed, match="9 tries are left"):
            await open_tokens(tokens, KeySettings(), "wrong", {})
        assert (await tokens.token("0")).status is TokenStatus.USER_PIN_COUNT_LOW
        await tokens.close()


def software(folder: Path, store: ServerConfStore) -> Tokens:
    SoftToken.create(TokenFolder(folder / "token"), PIN).close()
    device = SoftwareDevice("0", SoftToken(TokenFolder(folder / "token")))
    return Tokens(KeyConfStore(store.database), [device])
