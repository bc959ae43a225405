"""The central server's admin REST API: one module a resource, each a list of rows for the frame in `serving`."""
