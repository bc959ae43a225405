"""The documents of the global configuration, one a module."""
