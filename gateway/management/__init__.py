"""Management requests to the central server: built, signed, sent, followed to their end."""
