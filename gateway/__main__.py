"""``python -m gateway``: the command ``gateway``."""

from gateway.cli.entry import run

if __name__ == "__main__":
    run()
