"""The message log as a transparency log: entries, tiles on disk, checkpoints, witnesses, and the proof that nothing was touched."""
