"""Whole federations as real processes: for the demo, for integration tests and for measuring."""
