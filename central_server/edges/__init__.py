"""Listeners and callers of a central server: management services, the gatherer of services, notices, federation."""
