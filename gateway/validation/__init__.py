"""Checking a service's messages against its description, where its provider asks for it."""
