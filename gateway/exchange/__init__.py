"""One message exchange, from its request to its answer."""
