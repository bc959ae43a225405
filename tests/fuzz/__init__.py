"""Parsers against broken input: any bytes give a value or a fault, never another exception, and never hang."""
