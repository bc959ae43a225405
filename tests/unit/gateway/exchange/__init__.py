"""Rules of the exchange at their own level."""
