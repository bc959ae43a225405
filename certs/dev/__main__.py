"""``python -m certs.dev``: the development trust services as a process."""

from __future__ import annotations

import argparse
from pathlib import Path

from aiohttp import web

from certs.dev.app import TrustServices
from certs.dev.authority import DevPki


def main() -> None:
    """Serve the authority in a folder, making it first if it is not there."""
    parser = argparse.ArgumentParser(
        description="CA, OCSP responder and TSA for development; its keys are not sealed"
    )
    parser.add_argument("--dir", type=Path, required=True, help="folder of the authority")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8888)
    parser.add_argument("--algorithm", choices=("ec", "rsa"), default="ec")
    options = parser.parse_args()
    services = TrustServices(DevPki.open(options.dir, options.algorithm))
    web.run_app(services.app(), host=options.host, port=options.port, print=None, access_log=None)


if __name__ == "__main__":
    main()
