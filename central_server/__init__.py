"""The registry that publishes the global configuration."""
