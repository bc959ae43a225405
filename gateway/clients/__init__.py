"""Clients of this gateway: their services, descriptions, access rights and groups, kept in one database."""
