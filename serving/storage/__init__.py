"""Databases, data folders, sealed keys, backups, audit logs."""
