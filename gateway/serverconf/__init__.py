"""What this gateway serves: clients, services, endpoints, access rights."""
