"""Settings from TOML and the environment, checked once."""
