"""The authorities that this machine trusts: read when a server is first to be proved by them, not at every start.

aiohttp reads them twice when it is imported, for two contexts of its own; that is a twelfth of a gateway's start and some 3 MiB.
A server that imports it by `import_aiohttp` leaves those two empty: they prove nobody. `serving.process.outward` gives each
session a context of its own instead.
"""

from __future__ import annotations

import os
import ssl
from importlib import import_module

_PATHS = ssl.get_default_verify_paths()
# The variables that say where OpenSSL looks for them.
_VARIABLES = (_PATHS.openssl_cafile_env, _PATHS.openssl_capath_env)


def import_aiohttp() -> None:
    """Import aiohttp without the machine's authorities. Only for a process's start, while it has one thread."""
    before = {name: os.environ.get(name) for name in _VARIABLES}
    os.environ.update(dict.fromkeys(_VARIABLES, os.devnull))
    try:
        import_module("aiohttp")
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value


def machine_context() -> ssl.SSLContext:
    """A client's context that trusts what this machine trusts. Reads files: some 50 ms, so never on the loop."""
    context = ssl.create_default_context()
    context.set_alpn_protocols(("http/1.1",))
    return context
