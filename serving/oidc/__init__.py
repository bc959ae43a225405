"""Logging in with an OpenID provider. Read `settings`, then `login`, which does the rest with `token` and `provider`."""
