"""Signatures per second: in this process, in a software token's process, and on SoftHSM through one and two processes.

``python -m benchmarks.signers`` prints one line a case, for RSA-2048 and P-256, 32 requests under way at a time.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import load_der_public_key

from certs.algorithms import SignatureAlgorithm
from certs.edges.devices import SoftwareDevice
from certs.edges.tokenfiles import TokenFolder
from certs.tokens.soft import SoftToken
from gateway.settings.config import KeySettings
from serving.config.tokensettings import TokenSettings
from serving.process.devices import build_devices, build_signers
from tests.softhsm import SoftHsm, module

if TYPE_CHECKING:
    from certs.edges.devices import Device

PIN = "4321"
SECONDS = 2.0
UNDER_WAY = 32


async def rate(device: Device, kind: str) -> float:
    """Signatures per second with a new key of a kind."""
    key = await device.generate_key(kind, kind, "sign")
    algorithm = SignatureAlgorithm.for_key(load_der_public_key(key.public_key))
    digest = algorithm.digest.digest(b"x")
    done, end = 0, time.monotonic() + SECONDS

    async def work() -> None:
        nonlocal done
        while time.monotonic() < end:
            await device.sign(key.id, digest, algorithm)
            done += 1

    await asyncio.gather(*(work() for _ in range(UNDER_WAY)))
    return done / SECONDS


async def measure(folder: Path, name: str, token: TokenSettings) -> None:
    """Both kinds of key with one way of holding them."""
    keys = KeySettings(tokens=(token,))
    device = next(d for d in build_devices(keys, folder) if d.token_id == token.id)
    settings = folder / "settings.toml"
    lines = [f'[[keys.tokens]]\nid = "{token.id}"\nprocesses = {token.processes}']
    lines += (
        [f'module = "{token.module}"\nlabel = "{token.label}"'] if token.module else ["own_process = true"]
    )
    lines += [f"environment = {{ {', '.join(f'{k} = {v!r}' for k, v in token.environment.items())} }}"]
    settings.write_text("\n".join(lines))
    tasks = [
        asyncio.create_task(s.live())
        for s in build_signers("gateway", keys, folder, ["--settings", str(settings)])
    ]
    while not (await device.state()).available:  # another process says nothing when it is ready
        await asyncio.sleep(0.05)
    await device.login(PIN)
    for kind in ("rsa-2048", "ec-p256"):
        print(f"{name:<28} {kind:<9} {await rate(device, kind):>8.0f} signatures/s")
    await device.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def main() -> None:
    """Every case."""
    with tempfile.TemporaryDirectory(prefix="sacbe-signers-") as name:
        folder = Path(name)
        SoftToken.create(TokenFolder(folder / "token"), PIN).close()
        inside = SoftwareDevice("0", SoftToken(TokenFolder(folder / "token")))
        await inside.login(PIN)
        for kind in ("rsa-2048", "ec-p256"):
            print(f"{'software, this process':<28} {kind:<9} {await rate(inside, kind):>8.0f} signatures/s")
        await inside.close()
        await measure(folder, "software, own process", TokenSettings(id="0", own_process=True))
        hsm = SoftHsm(folder / "h").make()
        for number in (1, 2):
            token = TokenSettings(
                id="hsm", module=module(), label=hsm.label, processes=number, environment=hsm.environment
            )
            await measure(folder, f"SoftHSM, {number} process(es)", token)


if __name__ == "__main__":
    asyncio.run(main())
