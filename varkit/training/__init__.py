"""The training loop, the optimiser, checkpoints and the log."""
