"""Tokens, keys, signing requests and certificates of this server: what there is, in which state, what may be done."""
