"""A CA, an OCSP responder and a TSA for a laptop and for tests."""
