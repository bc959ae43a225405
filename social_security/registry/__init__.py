"""The national registry: who a person is, and who holds something of hers. Never what."""
