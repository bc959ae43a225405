"""Settings of a gateway, their table, and where its data folder keeps what."""
