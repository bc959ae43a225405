"""How the software is handed to others: Debian packages, an image, manifests, monitoring."""
