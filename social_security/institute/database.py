"""The institute's database: the steps of every part of it, in one list that only grows."""

from __future__ import annotations

from social_security.institute import store

STEPS = (*store.STEPS,)
