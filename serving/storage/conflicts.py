"""What a database says when two nodes changed the same thing at once; apart, so that nobody loads a driver for it."""

from __future__ import annotations


class DatabaseConflict(RuntimeError):
    """Another node changed the same thing at the same time; nothing of this transaction was kept. Try again."""
