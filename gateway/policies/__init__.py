"""The policies an operator has loaded: authorities, signed documents, and which service is under which."""
