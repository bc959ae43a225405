"""The command line of a gateway."""
