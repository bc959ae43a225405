"""How a process is run: settings, database, health, the same for every server."""
