"""Messages held against the descriptions of the services they call."""
