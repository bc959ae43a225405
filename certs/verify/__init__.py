"""Proofs: certificate paths, OCSP responses, timestamps, signatures, containers."""
