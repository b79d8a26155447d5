"""Files, cores, signals, and training over several processes."""
