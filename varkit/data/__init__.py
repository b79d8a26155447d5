"""Batches of a data set, the right answers of its queries, and tools to inspect it."""
