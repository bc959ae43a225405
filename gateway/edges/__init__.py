"""Listeners, senders and refreshers of the gateway."""
