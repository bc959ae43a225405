"""The acceptance scenarios of the social-security domain, run unattended through real gateways."""
