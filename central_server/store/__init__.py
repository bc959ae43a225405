"""What a central server keeps, in one database that several nodes may share."""
