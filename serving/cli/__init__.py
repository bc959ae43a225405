"""Shared parts of command lines."""
