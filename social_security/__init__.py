"""The first information system on the road."""
