"""The command line of a central server."""
