"""Logging in with an LDAP directory: the few messages of the protocol that it takes, and the decision who somebody is."""
