"""``python -m certs.dev``: the development trust services as a process."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from certs.dev.app import TrustServices
from certs.dev.authority import DevPki
from serving.config.tomltext import toml_lines
from serving.process.listener import add_address, listen

REGISTRY = "registry.toml"


def main() -> None:
    """Serve the authority in a folder, making it first if it is not there."""
    parser = argparse.ArgumentParser(
        description="CA, OCSP responder and TSA for development; its keys are not sealed"
    )
    parser.add_argument("--dir", type=Path, required=True, help="folder of the authority")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--name", help="host in the registry lines, where it is not --host")
    parser.add_argument("--port", type=int, default=8888)
    parser.add_argument(
        "--tsa-port", type=int, default=0, help="a second port, as X-Road's test CA has for its TSA"
    )
    parser.add_argument("--algorithm", choices=("ec", "rsa"), default="ec")
    parser.add_argument(
        "--flat", action="store_true", help="one CA without an intermediate, as X-Road's test CA"
    )
    parser.add_argument(
        "--acme-challenge-port", type=int, default=80, help="where names answer ACME's HTTP-01 challenges"
    )
    parser.add_argument(
        "--acme-account",
        action="append",
        default=[],
        metavar="KID:MAC_KEY",
        help="an outside account (MAC key in base64url) that ACME accounts must be bound to; may be repeated",
    )
    options = parser.parse_args()
    try:
        pki = DevPki.open(options.dir, options.algorithm, flat=options.flat)
    except (OSError, ValueError, TypeError) as err:
        sys.exit(f"the authority in {options.dir} cannot be opened or made: {err}")
    outside = dict(pair.split(":", 1) for pair in options.acme_account if ":" in pair)
    services = TrustServices(pki, challenge_port=options.acme_challenge_port, outside_accounts=outside)
    ports = [options.port, *([options.tsa_port] if options.tsa_port else [])]
    lines = registry_lines(pki, options.name or options.host, ports)
    # Written before anything listens: who waits for the port finds the file.
    (options.dir / REGISTRY).write_text(lines, encoding="utf-8")
    print(
        f"# For central-server bootstrap --trust, or to paste into a registry file; also in {options.dir / REGISTRY}"
    )
    print(lines, flush=True)
    asyncio.run(serve(services, options.host, ports))


def registry_lines(pki: DevPki, host: str, ports: list[int]) -> str:
    """The lines that name this authority in a registry file; certificates lie beside the file, in the authority's folder.

    The profile is left to the registry: the authority certifies whatever subject a request asks for.
    """
    at = f"http://{host}:{ports[0]}"
    responders = [{"url": f"{at}/ocsp", "certificate": "ocsp.pem"}]
    is_flat = pki.intermediate == pki.root
    ca = {
        "certificate": "root.pem",
        "intermediates": [] if is_flat else ["intermediate.pem"],
        "ocsp": responders,
    }
    tsa = {"name": "TSA", "url": f"http://{host}:{ports[-1]}/tsa", "certificate": "tsa.pem"}
    return "\n".join([*toml_lines(ca, "ca"), *toml_lines(tsa, "tsa")]) + "\n"


async def serve(services: TrustServices, host: str, ports: list[int]) -> None:
    """Serve on every port until the process is told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = await listen(services.app(), host, ports[0], shutdown_timeout=1, setting="--port")
    for port in ports[1:]:
        await add_address(runner, host, port, setting="--tsa-port")
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    main()
