"""The numbered steps of the configuration database: one place lists them all."""
