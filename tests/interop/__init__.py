"""What this software makes, judged by others' software."""
