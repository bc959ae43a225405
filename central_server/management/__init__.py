"""Management requests: proved, decided, told to who sent them."""
