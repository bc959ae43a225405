"""What this gateway keeps and tells of its own operation: records of exchanges, health of services, its machine."""
