"""The folder of a run: made, trained, measured, opened again, reported."""
