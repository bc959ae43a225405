"""The process of a gateway: everything built once, listeners started and stopped in order."""
