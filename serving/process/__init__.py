"""How a process runs: loops, listeners, addresses, start and end."""
