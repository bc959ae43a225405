"""How an institute and the registry tell each other their public keys by message, each signed by its sender's gateway.

The registry's is a public reading (``/llave``); an institute's comes by ``registrarLlave``. The first key that an institute tells is
taken; another one is an officer's (``officer add-recipient``), because tokens that are on their way are sealed for the former.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from social_security.wire.gatewayclient import Why
from social_security.wire.keyfiles import key_digest, parse_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from social_security.wire.gatewayclient import GatewayClient, Heard

# As which subsystem an institute asks: the one that a member joins with.
_AS: Final = "AFIL"
_WAIT: Final = (
    "the gateway must have joined, and the registry must have let this member in; then run this command again"
)


async def ask_registry_key(gateway: GatewayClient, registry: str) -> dict[str, str]:
    """The registry's public key, as its gateway signed it. Raises ValueError saying what is missing."""
    heard = await gateway.read(_AS, registry, "IDENT/oss-v1/llave")
    if not heard.is_done:
        raise ValueError(f"{registry} was asked for its key: {_reason(heard)}. {_WAIT}")
    return parse_key(heard.body, f"what {registry} answered", registry)


async def tell_own_key(gateway: GatewayClient, registry: str, code: str, public: Mapping[str, str]) -> None:
    """Have the registry take a member's public key; the one it has changes nothing. Raises ValueError when it does not."""
    digest = key_digest(public)
    # The case is of the key: the same key told again is the same case.
    case = f"CONS-{code[:2]}-2026-{int(digest[:8], 16) % 100_000_000:08d}"
    why = Why("PUR-AFIL", case, "SISTEMA", "Llave para testigos")
    body = {"x": public["x"], "y": public["y"]}
    heard = await gateway.ask(_AS, registry, "registrarLlave", body, why)
    if not heard.is_done:
        raise ValueError(f"{registry} did not take this member's key: {_reason(heard)}. {_WAIT}")
    if heard.body.get("sha256") != digest:
        raise ValueError(f"{registry} took another key than was sent: ask its officer")


def _reason(heard: Heard) -> str:
    """The words of the other side, or of a gateway."""
    if heard.status == 0:
        return "this member's own gateway does not answer"
    reason = heard.body.get("message") or heard.body.get("mensaje") or heard.body.get("detail") or ""
    return f"HTTP {heard.status} {heard.body.get('codigo', heard.body.get('type', ''))} {reason}".strip()
