"""The first information system that speaks through gateways."""
