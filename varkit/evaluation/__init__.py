"""Evaluates a model: encodes a split, ranks it, and computes figures."""
