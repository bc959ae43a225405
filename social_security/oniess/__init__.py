"""ONIESS: how an institute joins, and what everybody may read: conventions, policy, catalogue, indicators."""
