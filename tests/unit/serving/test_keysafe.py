"""Keys of listeners are never on disk in clear: sealed when a seal is at hand, and in memory alone until then."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certs.edges.tokenfiles import TokenFolder
from certs.tls import TlsCredentials
from certs.tokens.soft import SoftToken
from schemas.faults import TokenFailed
from serving.cli.safecommands import open_folder_safe
from serving.config.secret import SecretSource
from serving.storage.keysafe import TOKEN_PURPOSE, KeySafe, NotAtHand, Seal, SealSettings
from serving.storage.selfsigned import self_signed
from serving.storage.tlsfiles import KeptCredentials

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = Seal.of_token(b"t" * 32)
SECRET = Seal.of_secret("a long secret")
KEY = ec.generate_private_key(ec.SECP256R1())


def kept(folder: Path, safe: KeySafe) -> KeptCredentials:
    return KeptCredentials(folder, "admin", safe, lambda: TlsCredentials(*self_signed("gw")))


def clear_pair(folder: Path) -> TlsCredentials:
    """A pair as an earlier version, or an operator, puts it there."""
    key, chain = self_signed("theirs")
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "admin.key").write_bytes(pem)
    (folder / "admin.pem").write_bytes(chain[0].public_bytes(Encoding.PEM))
    return TlsCredentials(key, chain)


def holds_in_clear(folder: Path, credentials: TlsCredentials) -> bool:
    key = credentials.private_key
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    scalar = key.private_numbers().private_value.to_bytes(32, "big")
    contents = [p.read_bytes() for p in folder.iterdir()]
    return any(scalar in c or b"PRIVATE KEY-----" in c for c in contents)


class TestSafe:
    @pytest.mark.parametrize("seal", [TOKEN, SECRET], ids=lambda s: s.by)
    def test_a_key_comes_back_and_its_file_holds_nothing_of_it(self, tmp_path: Path, seal: Seal) -> None:
        KeySafe((seal,)).write(tmp_path / "k", KEY)
        read = KeySafe((seal,)).read(tmp_path / "k")
        assert read.public_key() == KEY.public_key()
        assert not holds_in_clear(tmp_path, TlsCredentials(KEY, ()))
        assert json.loads((tmp_path / "k").read_bytes())["sealed_by"] == seal.by

    def test_without_a_seal_it_says_what_to_do(self, tmp_path: Path) -> None:
        with pytest.raises(NotAtHand, match=r"log in .* or name a secret in the settings \(seal.secret\)"):
            KeySafe().write(tmp_path / "k", KEY)
        KeySafe((SECRET,)).write(tmp_path / "k", KEY)
        with pytest.raises(NotAtHand, match="sealed by the secret"):
            KeySafe((TOKEN,)).read(tmp_path / "k")

    def test_another_seal_of_the_same_kind_does_not_open(self, tmp_path: Path) -> None:
        KeySafe((TOKEN,)).write(tmp_path / "k", KEY)
        with pytest.raises(ValueError, match="sealed by another software token, or is damaged"):
            KeySafe((Seal.of_token(bytes(32)),)).read(tmp_path / "k")

    def test_one_key_s_file_is_none_of_another_key(self, tmp_path: Path) -> None:
        KeySafe((TOKEN,)).write(tmp_path / "a", KEY)
        (tmp_path / "a").rename(tmp_path / "b")
        with pytest.raises(ValueError, match="does not open"):
            KeySafe((TOKEN,)).read(tmp_path / "b")

    @pytest.mark.parametrize("content", ["", "{}", '{"sealed_by": "x", "salt": "", "sealed": ""}', "[1]"])
    def test_what_is_no_sealed_key_is_refused(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "k").write_text(content)
        with pytest.raises(ValueError, match="k is "):
            KeySafe((TOKEN,)).read(tmp_path / "k")

    def test_a_new_secret_takes_over_what_the_previous_one_closed(self, tmp_path: Path) -> None:
        KeySafe((SECRET,)).write(tmp_path / "k", KEY)
        named = SealSettings(secret=SecretSource(environment="NEW"), previous=SecretSource(environment="OLD"))
        both = named.seals({"NEW": "another secret", "OLD": "a long secret"})
        assert KeySafe(both).read(tmp_path / "k").public_key() == KEY.public_key()
        assert KeySafe(both[:1]).read(tmp_path / "k").public_key() == KEY.public_key()

    def test_a_secret_takes_over_what_the_token_closed(self, tmp_path: Path) -> None:
        KeySafe((TOKEN,)).write(tmp_path / "k", KEY)
        safe = KeySafe((SECRET,))
        safe.give(TOKEN)
        safe.read(tmp_path / "k")
        assert json.loads((tmp_path / "k").read_bytes())["sealed_by"] == "secret"

    def test_a_short_secret_is_refused(self) -> None:
        with pytest.raises(ValueError, match="eight characters"):
            Seal.of_secret("short")

    def test_whoever_waits_is_told_once_of_each_seal(self) -> None:
        safe, told = KeySafe(), list[str]()
        safe.subscribe(lambda: told.append("given"))
        safe.give(TOKEN)
        safe.give(TOKEN)
        assert told == ["given"]


class TestToken:
    def test_its_seal_outlives_a_change_of_pin_and_is_none_of_its_keys(self, tmp_path: Path) -> None:
        token = SoftToken.create(TokenFolder(tmp_path), "1234")
        before = token.derive_secret(TOKEN_PURPOSE)
        token.change_pin("1234", "5678")
        assert token.derive_secret(TOKEN_PURPOSE) == before
        assert token.derive_secret("another purpose") != before
        token.lock()
        with pytest.raises(TokenFailed, match="locked"):
            token.derive_secret(TOKEN_PURPOSE)
        token.close()

    def test_a_command_without_token_and_secret_says_what_is_missing(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"no software token, and the settings name no secret"):
            open_folder_safe(tmp_path, SealSettings(), lambda: "1234")


class TestListener:
    def test_a_pair_is_made_once_and_is_the_same_after_an_unattended_restart(self, tmp_path: Path) -> None:
        first = kept(tmp_path, KeySafe((TOKEN,)))
        assert first.is_kept
        assert kept(tmp_path, KeySafe((TOKEN,))).current.chain == first.current.chain
        assert not holds_in_clear(tmp_path, first.current)

    def test_before_initialisation_it_is_in_memory_and_goes_to_disk_with_the_first_seal(
        self, tmp_path: Path
    ) -> None:
        safe = KeySafe()
        first = kept(tmp_path, safe)
        assert (first.is_kept, list(tmp_path.iterdir())) == (False, [])
        safe.give(TOKEN)
        assert (first.settle(), first.is_kept) == (False, True)
        assert kept(tmp_path, KeySafe((TOKEN,))).current.chain == first.current.chain

    def test_while_the_token_waits_for_a_person_another_is_shown_until_he_came(self, tmp_path: Path) -> None:
        own = kept(tmp_path, KeySafe((TOKEN,))).current
        safe = KeySafe()
        waiting = kept(tmp_path, safe)
        assert waiting.current.chain != own.chain
        assert not waiting.settle()
        safe.give(TOKEN)
        assert waiting.settle()
        assert waiting.current.chain == own.chain

    def test_a_clear_key_is_sealed_and_its_file_overwritten_and_removed(self, tmp_path: Path) -> None:
        theirs = clear_pair(tmp_path)
        linked = tmp_path.parent / f"{tmp_path.name}-same-blocks"
        linked.hardlink_to(tmp_path / "admin.key")
        taken = kept(tmp_path, KeySafe((TOKEN,)))
        assert taken.current.chain == theirs.chain
        assert sorted(p.name for p in tmp_path.iterdir()) == ["admin.key.json", "admin.pem"]
        assert not holds_in_clear(tmp_path, theirs)
        assert b"PRIVATE" not in linked.read_bytes()

    def test_a_clear_key_serves_until_a_seal_is_at_hand(self, tmp_path: Path) -> None:
        theirs, safe = clear_pair(tmp_path), KeySafe()
        waiting = kept(tmp_path, safe)
        assert waiting.current.chain == theirs.chain
        safe.give(TOKEN)
        waiting.settle()
        assert not holds_in_clear(tmp_path, theirs)

    def test_an_operator_replaces_the_pair_by_hand(self, tmp_path: Path) -> None:
        kept(tmp_path, KeySafe((TOKEN,)))
        theirs = clear_pair(tmp_path)
        assert kept(tmp_path, KeySafe((TOKEN,))).current.chain == theirs.chain
        assert not holds_in_clear(tmp_path, theirs)

    def test_a_certificate_of_another_key_is_refused(self, tmp_path: Path) -> None:
        kept(tmp_path, KeySafe((TOKEN,)))
        other = self_signed("other")[1][0].public_bytes(Encoding.PEM)
        (tmp_path / "admin.pem").write_bytes(other)
        with pytest.raises(ValueError, match="no certificate of the key"):
            kept(tmp_path, KeySafe((TOKEN,)))
        clear_pair(tmp_path)
        (tmp_path / "admin.pem").write_bytes(other)
        with pytest.raises(ValueError, match=r"no certificate of the key in .*admin\.key$"):
            kept(tmp_path, KeySafe((TOKEN,)))

    def test_a_crash_between_key_and_certificate_leaves_a_pair_that_is_made_anew(
        self, tmp_path: Path
    ) -> None:
        before = kept(tmp_path, KeySafe((TOKEN,))).current
        (tmp_path / "admin.pem").unlink()
        assert kept(tmp_path, KeySafe((TOKEN,))).current.chain != before.chain

    def test_a_clear_file_that_is_no_key_stops_the_start(self, tmp_path: Path) -> None:
        clear_pair(tmp_path)
        (tmp_path / "admin.key").write_text("rubbish")
        with pytest.raises(ValueError, match=r"admin\.key cannot be opened"):
            kept(tmp_path, KeySafe((TOKEN,)))
