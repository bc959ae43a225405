"""What service descriptions say, how they are fetched, and what a new reading of one changes."""
