"""A small country in one process: registry, ONIESS and two institutes, seeded, asking each other without gateways.

The road between them is a double that hands a request to the other system as its gateway would: same address, same
headers. What a gateway itself would refuse or add is not here; the scenarios have that.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.test_utils import TestClient, TestServer

from serving.config.secret import SecretSource
from social_security import app, config
from social_security.commands import seed
from social_security.domain import pack
from social_security.domain.edition import package_edition
from social_security.domain.notices import notice_of
from social_security.wire.gatewayclient import GatewayAnswer, GatewayClient

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from aiohttp import web

CODES = ("00-RNSS", "00-ONIESS", "15-ISSEMYM", "30-IPE")
SECRET = "una frase de prueba"
CLOCK = "2026-03-02T09:00:00-06:00"


class LocalRoad(GatewayClient):
    """Hands a request to the system it is for. ``refusals`` is what this member's gateway would tell of."""

    def __init__(self, member: str, country: SmallCountry) -> None:
        super().__init__("http://gateway.example", member, "1.0.0")
        self._country = country
        self.refusals: list[dict[str, Any]] = []
        self.down: set[str] = set()
        self.tells = True

    async def _send(
        self, method: str, place: str, headers: Mapping[str, str], body: Mapping[str, Any] | None
    ) -> GatewayAnswer:
        code = place.split("/")[2]
        path = "/" + place.split("/", 5)[5] if place.count("/") >= 5 else ""
        if "getPolicyRefusals" in place:
            if not self.tells:
                return GatewayAnswer(0, {})
            after = int(place.rpartition("=")[2])
            return GatewayAnswer(200, {"refusals": [r for r in self.refusals if r["number"] > after]})
        if "getEvidenceStatistics" in place:
            return GatewayAnswer(200, {"month": "2026-03", "messages": 40, "timestampedInTime": 38})
        if code in self.down or code not in self._country.clients:
            return GatewayAnswer(0, {})
        async with self._country.clients[code].request(method, path, headers=headers, json=body) as answer:
            value = json.loads(await answer.read() or b"{}")
            return GatewayAnswer(answer.status, value if isinstance(value, dict) else {})


@dataclass(slots=True)
class SmallCountry:
    """The systems by code, each behind a test client."""

    folder: Path
    clients: dict[str, TestClient[Any, Any]] = field(default_factory=dict)
    roads: dict[str, LocalRoad] = field(default_factory=dict)

    def at(self, moment: str) -> None:
        """Set every system's clock."""
        (self.folder / "clock").write_text(moment, encoding="ascii")

    async def ask(
        self,
        client: str,
        provider: str,
        operation: str,
        body: dict[str, Any] | None = None,
        *,
        purpose: str,
        case: str,
        role: str,
        headers: dict[str, str] | None = None,
        raw: bytes | None = None,
        path: dict[str, str] | None = None,
        query: str = "",
    ) -> tuple[int, dict[str, Any]]:
        """One call as it would come from the provider's gateway; status and body."""
        described = pack.operations()[operation]
        code, subsystem = client.split("/")
        uri, digest = notice_of(package_edition(), code)
        sent = {
            "X-Road-Client": f"{pack.members()[code].path}/{subsystem}",
            "X-Road-Id": f"m-{self.folder.name}-{len(sent_ids)}",
            "X-Road-UserId": f"MX-{code}:emp-1",
            "X-Road-Issue": case,
            "X-OSS-Proposito": purpose,
            "X-OSS-Fundamento": ",".join(sorted(pack.purposes()[purpose].legal_bases[0])),
            "X-OSS-Motivo": "Prueba",
            "X-OSS-Sistema": "Ventanilla 1.0",
            "X-OSS-Rol": role,
            "X-OSS-Aviso": f"{uri};sha256={digest}",
            "X-OSS-Politica": "1.0.0",
            **(headers or {}),
        }
        sent_ids.append(sent["X-Road-Id"])
        where = described.path.format(**(path or {"caso": case, "folio": case})) + query
        data = raw if raw is not None else None if body is None else json.dumps(body).encode()
        async with self.clients[provider].request(
            described.method,
            where,
            data=data,
            headers={n: v for n, v in sent.items() if v} | {"Content-Type": "application/json"},
        ) as answer:
            return answer.status, await answer.json(content_type=None)

    async def read(self, code: str, path: str) -> Any:
        """A public reading of a member, without any header."""
        async with self.clients[code].get(path) as answer:
            text = await answer.text()
            return json.loads(text) if "json" in answer.content_type else text


sent_ids: list[str] = []


@functools.cache
def seeded() -> Path:
    """A folder with the systems as they are seeded, made once a run."""
    folder = Path(tempfile.mkdtemp(prefix="sacbe-social-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    seed.seed_registry(folder / "00-RNSS", SECRET)
    (folder / "secret").write_text(SECRET, encoding="ascii")
    (folder / "secret").chmod(0o600)
    seed.seed_oniess(folder / "00-ONIESS")
    for code in CODES[2:]:
        seed.seed_institute(folder / code, code, folder / "00-RNSS", SECRET)
    return folder


@contextlib.asynccontextmanager
async def small_country(folder: Path, more: Sequence[str] = ()) -> AsyncIterator[SmallCountry]:
    """Serve the seeded systems from a folder of their own, with further institutes by code."""
    made = SmallCountry(folder)
    for code in CODES:
        shutil.copytree(seeded() / code, folder / code)
    for code in more:
        seed.seed_institute(folder / code, code, folder / "00-RNSS", SECRET)
    made.at(CLOCK)
    async with contextlib.AsyncExitStack() as stack:
        for code in (*CODES, *more):
            made.roads[code] = LocalRoad(pack.members()[code].path, made)
            settings = config.SystemSettings(
                member=code,
                clock_file=str(folder / "clock"),
                fixture_keys=True,
                keys_secret=SecretSource(file=str(seeded() / "secret")),
            )
            system: web.Application = app.build(folder / code, settings, made.roads[code])
            server = TestServer(system)
            jar = aiohttp.DummyCookieJar()
            made.clients[code] = await stack.enter_async_context(TestClient(server, cookie_jar=jar))
        yield made
