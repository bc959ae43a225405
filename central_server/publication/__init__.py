"""From the registry to the signed, published global configuration."""
