"""``varkit data``: verify a data set, count it, show one video, measure caption leakage."""
