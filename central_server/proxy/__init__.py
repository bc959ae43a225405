"""The configuration proxy: another federation's configuration, proved, and published again under a key of one's own."""
