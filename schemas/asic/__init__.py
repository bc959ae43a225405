"""Signed containers (ASiC-E): entries, manifests, withheld bodies."""
