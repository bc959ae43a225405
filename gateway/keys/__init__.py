"""Tokens, keys, signing requests and certificates of this gateway."""
