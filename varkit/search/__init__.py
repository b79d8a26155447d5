"""Vectors and scores of videos and queries: read, fused, re-ranked, measured."""
