"""The same examples every time: exploring is what ``make fuzz`` is for."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("steady", max_examples=60, deadline=None, derandomize=True, database=None)
settings.load_profile("steady")
