"""The admin REST API of a gateway: one module a resource, every operation a row."""
