"""How an institute and the registry tell each other their public keys by message, each signed by its sender's gateway.

The registry's is a public reading (``/llave``); an institute's comes by ``registrarLlave``. The first key that an institute tells is
taken; another one is an officer's (``officer add-recipient``), because tokens that are on their way are sealed for the former.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from serving.errors import OperatorError
from serving.language import N_
from social_security.wire.gatewayclient import Why
from social_security.wire.keyfiles import key_digest, parse_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from social_security.wire.gatewayclient import GatewayAnswer, GatewayClient

# As which subsystem an institute asks: the one that a member joins with.
_AS: Final = "AFIL"
_WAIT: Final = N_(
    "the gateway must have joined, and the registry must have let this member in; then run this command again"
)


async def ask_registry_key(gateway: GatewayClient, registry: str) -> dict[str, str]:
    """The registry's public key, as its gateway signed it. Raises ValueError saying what is missing."""
    response = await gateway.read(_AS, registry, "IDENT/oss-v1/llave")
    if not response.is_done:
        raise OperatorError(
            N_(
                "{registry} was asked for its key: {response}. {wait}",
                registry=registry,
                response=_reason(response),
                wait=_WAIT,
            )
        )
    return parse_key(response.body, f"what {registry} answered", registry)


async def announce_own_key(
    gateway: GatewayClient, registry: str, code: str, public: Mapping[str, str]
) -> None:
    """Have the registry take a member's public key; the one it has changes nothing. Raises ValueError when it does not."""
    digest = key_digest(public)
    # The case is of the key: the same key told again is the same case.
    case = f"CONS-{code[:2]}-2026-{int(digest[:8], 16) % 100_000_000:08d}"
    why = Why("PUR-AFIL", case, "SISTEMA", "Llave para testigos")
    body = {"x": public["x"], "y": public["y"]}
    response = await gateway.ask(_AS, registry, "registrarLlave", body, why)
    if not response.is_done:
        raise OperatorError(
            N_(
                "{registry} did not take this member's key: {response}. {wait}",
                registry=registry,
                response=_reason(response),
                wait=_WAIT,
            )
        )
    if response.body.get("sha256") != digest:
        raise OperatorError(
            N_("{registry} took another key than was sent: ask its officer", registry=registry)
        )


def _reason(response: GatewayAnswer) -> str:
    """The words of the other side, or of a gateway."""
    if response.status == 0:
        return "this member's own gateway does not answer"
    reason = response.body.get("message") or response.body.get("mensaje") or response.body.get("detail") or ""
    return f"HTTP {response.status} {response.body.get('codigo', response.body.get('type', ''))} {reason}".strip()
