"""What is said: messages, names and documents, bytes to values and back, with no edge at all."""
