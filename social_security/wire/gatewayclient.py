"""How a system asks others: through its own member's gateway, with the whole context in the headers.

Edge. What comes back is the other system's answer, or the gateway's own refusal; both are data to the caller.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp

from serving.entrance import load_json
from social_security.domain import pack
from social_security.domain.edition import package_edition
from social_security.domain.faults import DomainError
from social_security.domain.notices import notice_of
from social_security.wire.answers import read_answer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from social_security.domain.edition import Edition

TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Why:
    """Why a system asks: purpose, case, in whose role; ``user`` is a local id at the member, never a person's own."""

    purpose: str
    case: str
    role: str
    reason: str
    user: str = "sistema"
    system: str = "Sistema del miembro"


@dataclass(frozen=True, slots=True)
class GatewayAnswer:
    """The answer to one message: HTTP status and JSON body. ``status`` 0 stands for a gateway that could not be reached."""

    status: int
    body: dict[str, Any]

    @property
    def is_done(self) -> bool:
        """Whether the other side did what was asked."""
        return 200 <= self.status < 300


class GatewayClient:
    """Calls through one gateway. Without a gateway's address nothing can be asked (SS-901)."""

    def __init__(self, gateway: str, member: str, policy: str) -> None:
        # Whose notices are named; a system that goes by a publication sets its own.
        self.edition: Callable[[], Edition] = package_edition
        self._gateway = gateway
        self.member = member
        self._policy = policy
        self._session: aiohttp.ClientSession | None = None

    @property
    def is_set(self) -> bool:
        """Whether there is a gateway to ask."""
        return bool(self._gateway)

    async def close(self) -> None:
        """Close the connections to the gateway."""
        if self._session is not None:
            await self._session.close()

    async def ask(
        self,
        subsystem: str,
        provider: str,
        operation: str,
        body: Mapping[str, Any],
        why: Why,
        place: Mapping[str, str] | None = None,
    ) -> GatewayAnswer:
        """One operation of another member (``MX/GOB/15-ISSEMYM``), asked as one of this member's subsystems.

        ``place`` gives the parts of the operation's path beside its case.
        """
        described = pack.operations()[operation]
        uri, digest = notice_of(self.edition(), self.member.rpartition("/")[2])
        headers = {
            "X-Road-Client": f"{self.member}/{subsystem}",
            "X-Road-Id": f"MX-{uuid.uuid4()}",
            "X-Road-UserId": f"MX-{self.member.rpartition('/')[2]}:{why.user}",
            "X-Road-Issue": why.case,
            "X-OSS-Proposito": why.purpose,
            "X-OSS-Fundamento": ",".join(sorted(pack.purposes()[why.purpose].legal_bases[0])),
            "X-OSS-Motivo": quote(why.reason),
            "X-OSS-Sistema": why.system,
            "X-OSS-Rol": why.role,
            "X-OSS-Aviso": f"{uri};sha256={digest}",
            "X-OSS-Politica": self._policy,
        }
        path = described.path.replace("{caso}", why.case).replace("{folio}", why.case)
        for name, value in (place or {}).items():
            path = path.replace(f"{{{name}}}", quote(value, safe=""))
        sent = None if described.method == "GET" else body
        return await self._send(
            described.method, f"{provider}/{described.subsystem}/oss-v1{path}", headers, sent
        )

    async def read(self, subsystem: str, provider: str, place: str) -> GatewayAnswer:
        """A public reading of another member, as ``GOBIERNO/oss-v1/convenios``; a list comes under ``filas``."""
        headers = {"X-Road-Client": f"{self.member}/{subsystem}", "X-Road-Id": f"MX-{uuid.uuid4()}"}
        return await self._send("GET", f"{provider}/{place}", headers, None)

    async def record_proofs(self, subsystem: str, message_ids: Sequence[str]) -> dict[str, Any] | None:
        """The proofs of the log's records of a subsystem's messages (``GET /recordproofs``); None when the gateway gives none."""
        if not self._gateway:
            return None
        names = ("xRoadInstance", "memberClass", "memberCode", "subsystemCode")
        query = [*zip(names, (*self.member.split("/"), subsystem), strict=True)]
        query += [("queryId", message_id) for message_id in message_ids]
        try:
            async with self._opened().get(
                f"{self._gateway}/recordproofs", params=query, allow_redirects=False
            ) as answer:
                value = load_json(await read_answer(answer))
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return None
        names = ("proofs", "waiting", "absent", "earliestMs")
        is_whole = answer.status == 200 and isinstance(value, dict) and all(n in value for n in names)
        return value if is_whole else None

    async def send(
        self, method: str, place: str, headers: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> GatewayAnswer:
        """One request as it is, for whoever tests how a member answers."""
        return await self._send(method, place, headers, body)

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))
        return self._session

    async def _send(
        self, method: str, place: str, headers: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> GatewayAnswer:
        if not self._gateway:
            raise DomainError("SS-901", "este sistema no tiene pasarela", "this system has no gateway set")
        try:
            async with self._opened().request(
                method,
                f"{self._gateway}/r1/{place}",
                headers=headers,
                json=None if body is None else dict(body),
                allow_redirects=False,  # a provider's answer sends this system nowhere
            ) as answer:
                value = load_json(await read_answer(answer) or b"{}")
                if isinstance(value, list):
                    return GatewayAnswer(answer.status, {"filas": value})
                return GatewayAnswer(answer.status, value if isinstance(value, dict) else {})
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return GatewayAnswer(0, {})
