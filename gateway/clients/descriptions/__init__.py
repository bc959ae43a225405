"""Descriptions of services: OpenAPI and WSDL documents fetched, read and compared."""
