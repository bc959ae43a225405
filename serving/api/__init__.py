"""Admin APIs: operations as rows, served, validated, described."""
