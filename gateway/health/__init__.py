"""Whether messages can flow, until when, and what to do: health, diagnosis, notices, preflight."""
