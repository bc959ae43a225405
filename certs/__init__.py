"""What is proved: keys, signatures, certificates, timestamps and trust."""
