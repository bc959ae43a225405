"""``python -m central_server``: the command ``central-server``."""

from central_server.cli.main import main

if __name__ == "__main__":
    main()
