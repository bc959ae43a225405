"""Where proving meets files and the network."""
