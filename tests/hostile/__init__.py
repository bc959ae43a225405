"""What an attacker may send: every message gets a clear fault, and memory stays bounded."""
