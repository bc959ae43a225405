"""The security server."""
