"""``python -m gateway.cli.worker``: one of several processes of a gateway, started by ``gateway serve --workers N``.

Its one argument is JSON: data folder, number, files of PIN and settings, the starter's process id, and by setting the open sockets
that it inherits. It ends with the starter. Status 75 asks for a new start of all.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import click

from schemas.jsontext import decode_json
from serving.cli.commands import report_errors
from serving.process.ending import Ending
from serving.process.starting import begin_start


@click.command()
@click.argument("arguments")
@report_errors
def main(arguments: str) -> None:
    """Carry messages beside other workers."""
    from gateway.cli.serving import optional_pin, run_gateway
    from serving.process.binding import take_given
    from serving.process.parent import end_with_parent
    from serving.process.workers import RESTART_STATUS, WorkerArguments

    given = decode_json(arguments, WorkerArguments)
    ending = Ending()
    end_with_parent(signal.SIGTERM, given.starter)
    take_given(given.sockets)
    pin_file = Path(given.pin_file) if given.pin_file else None
    settings_file = Path(given.settings_file) if given.settings_file else None
    run_gateway(Path(given.data), pin_file, settings_file, ending, optional_pin, given.number)
    if ending.starts_anew:
        sys.exit(RESTART_STATUS)


if __name__ == "__main__":
    begin_start()
    main()
