"""The command ``sacbe``: what there is to try after an installation, without the repository.

``sacbe demo`` is ``make demo``; ``sacbe ca`` the development authority; ``sacbe provider`` a service with a description to call.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import version

COMMANDS = {
    "demo": ("benchmarks.demo", "a federation on this machine that exchanges real messages"),
    "ca": ("certs.dev.__main__", "CA, OCSP responder and timestamping authority for a trial"),
    "provider": (
        "benchmarks.described",
        "a service with an OpenAPI description and a WSDL to offer and call",
    ),
}


def main() -> None:
    """Run the command that the first word names, with the words after it."""
    words = sys.argv[1:]
    if words[:1] == ["--version"]:
        print(f"sacbe, version {version('sacbe')}")
    elif words and words[0] in COMMANDS:
        sys.argv = [f"sacbe {words[0]}", *words[1:]]
        import_module(COMMANDS[words[0]][0]).main()
    else:
        is_help = not words or words[0] in ("-h", "--help")
        lines = [f"  {name:10} {text}" for name, (_, text) in COMMANDS.items()]
        usage = "\n".join(["usage: sacbe COMMAND [--help]", "", *lines])
        print(
            usage if is_help else f"there is no command {words[0]!r}\n{usage}",
            file=None if is_help else sys.stderr,
        )
        sys.exit(0 if is_help else 2)


if __name__ == "__main__":
    main()
