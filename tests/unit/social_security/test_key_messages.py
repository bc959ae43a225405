"""Keys told by message, and the file that init writes for a member's gateway."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

import pytest

from social_security.domain import pack
from social_security.domain.edition import package_edition
from social_security.wire import tokens
from social_security.wire.gatewayfile import render_gateway, subsystems_of
from social_security.wire.keyfiles import key_digest, parse_key
from social_security.wire.keymessages import announce_own_key, ask_registry_key
from tests.social import small_country

if TYPE_CHECKING:
    from pathlib import Path

RNSS = "MX/GOB/00-RNSS"
# Held by nobody in the small country: its first key comes by message.
NEW = "14-IPEJAL"


async def test_the_first_key_is_taken_the_same_again_changes_nothing_and_another_is_refused(
    tmp_path: Path,
) -> None:
    async with small_country(tmp_path, [NEW]) as country:
        known = country.roads[NEW]
        own = tokens.public_key(tokens.new_key())
        # The fixture has told the registry a key already: another one is an officer's.
        with pytest.raises(ValueError, match=r"SS-402.*officer add-recipient"):
            await announce_own_key(known, RNSS, NEW, own)
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    async with small_country(fresh) as country:
        road = type(country.roads["30-IPE"])(pack.members()[NEW].path, country)
        for _ in range(2):
            await announce_own_key(road, RNSS, NEW, own)
        with pytest.raises(ValueError, match="SS-402"):
            await announce_own_key(road, RNSS, NEW, tokens.public_key(tokens.new_key()))


@pytest.mark.parametrize("x", ["A" * 43, "_" * 43, "x" * 42, "", "á" * 43])
async def test_what_is_no_point_of_the_curve_is_refused(tmp_path: Path, x: str) -> None:
    async with small_country(tmp_path) as country:
        status, body = await country.ask(
            "15-ISSEMYM/AFIL", "00-RNSS", "registrarLlave", {"x": x, "y": "A" * 43},
            purpose="PUR-AFIL", case="CONS-15-2026-00000001", role="SISTEMA",
        )  # fmt: skip
        assert (status, body["codigo"]) == (400, "SS-100")


async def test_the_registry_tells_its_key_with_the_digest_and_a_silent_gateway_is_named(
    tmp_path: Path,
) -> None:
    async with small_country(tmp_path) as country:
        road = country.roads["30-IPE"]
        key = await ask_registry_key(road, RNSS)
        value = await country.read("00-RNSS", "/llave")
        assert value["sha256"] == key_digest(key)
        assert "d" not in key
        with pytest.raises(ValueError, match="not that of its digest"):
            parse_key(value | {"sha256": "0" * 64}, "the answer", RNSS)
        road.down.add("00-RNSS")
        with pytest.raises(ValueError, match=r"does not answer.*run this command again"):
            await ask_registry_key(road, RNSS)


def allowed(code: str, *callers: str) -> list[tuple[str, str, str, str]]:
    """Every right of a member's file: client, subject, method and path."""
    wanted = tomllib.loads(render_gateway(package_edition(), code, "http://10.0.0.9:9000", callers))
    return [
        (client["id"], right["subject"], right.get("method", "*"), right.get("path", service["code"]))
        for client in wanted["client"]
        for service in client.get("service", ())
        for right in service.get("allow", ())
    ]


@pytest.mark.parametrize("code", ["00-RNSS", "00-ONIESS", "14-IPEJAL", "15-GARANTE"])
def test_a_member_s_file_has_its_subsystems_and_every_right_once(code: str) -> None:
    wanted = tomllib.loads(
        render_gateway(package_edition(), code, "http://10.0.0.9:9000", ("15-ISSEMYM", "15-GARANTE", code))
    )
    assert [c["id"].rpartition("/")[2] for c in wanted["client"]] == list(
        subsystems_of(package_edition(), code)
    )
    rights = allowed(code, "15-ISSEMYM", "15-GARANTE", code)
    assert len(rights) == len(set(rights))
    assert {r[1].split("/")[2] for r in rights} <= {"15-ISSEMYM", "15-GARANTE", code, "00-RNSS", "00-ONIESS"}


def test_what_the_registry_s_officers_do_is_let_in_from_the_registry_alone() -> None:
    paths = {o.path for o in pack.operations().values() if o.roles == {"OFICIAL_REGISTRO"}}
    rights = allowed("00-RNSS", "15-ISSEMYM", "00-RNSS")
    assert {subject for _, subject, _, path in rights if path in paths} == {"MX/GOB/00-RNSS/IDENT"}
    assert ("MX/GOB/00-RNSS/IDENT", "MX/GOB/15-ISSEMYM/AFIL", "POST", "/llaves") in rights
