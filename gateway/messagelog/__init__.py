"""The message log: records, batches of timestamps, signed containers."""
