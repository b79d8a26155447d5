"""Embeddings of any model, measured, fused and re-ranked as a trained run is."""
