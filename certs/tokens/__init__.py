"""Keys behind the signer port: in files, in devices, in another process."""
