"""Files, devices and network of what is proved: tokens and signer processes, OCSP, timestamps, configurations."""
