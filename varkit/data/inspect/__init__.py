"""What a data set holds: its faults, its figures, and one video of it."""
