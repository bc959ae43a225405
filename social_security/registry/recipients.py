"""Public keys that the registry hands out and takes: its own, by which tokens are signed, and each institute's, which seals them.

Spec: the domain reference 2.7.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from aiohttp import web

from schemas.jsontext import dump_json, load_json
from social_security.domain.faults import DomainError
from social_security.wire import tokens
from social_security.wire.keyfiles import key_digest, key_value
from social_security.wire.service import DomainAnswer, DomainRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from social_security.registry.store import RegistryStore


class KeyRegistry(Protocol):
    """The registry as these operations need it."""

    @property
    def store(self) -> RegistryStore:
        """The database of the national registry."""
        ...


def take_key(registry: KeyRegistry, request: DomainRequest) -> DomainAnswer:
    """``registrarLlave``: note the caller's first public key. Raises SS-100 for no point of P-256, SS-402 where another is known."""
    key = {"kty": "EC", "crv": "P-256", "x": request.body["x"], "y": request.body["y"]}
    try:
        tokens.check_public_key(key)
    except ValueError as err:
        raise DomainError(
            "SS-100", "x, y no son un punto de P-256", "x, y are no point of P-256", field="x"
        ) from err
    known = registry.store.add_first_recipient(request.context.member, dump_json(key))
    if key_digest(load_json(known)) != key_digest(key):
        raise DomainError(
            "SS-402",
            "el registro ya tiene otra llave de este miembro; un oficial la cambia (officer add-recipient)",
            "the registry has another key of this member; an officer changes it (officer add-recipient)",
            field="x",
        )
    return DomainAnswer({"sha256": key_digest(key)}, categories=("documento",))


async def read_key(member: str, signing: Mapping[str, str], _query: Mapping[str, str]) -> web.Response:
    """``/llave``: the registry's public key, with its digest."""
    return web.json_response(key_value(member, tokens.public_key(dict(signing))))
