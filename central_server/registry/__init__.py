"""The registry of an instance as values and rules."""
