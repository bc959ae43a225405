"""Real processes: trust services, central server, two gateways, a provider."""
