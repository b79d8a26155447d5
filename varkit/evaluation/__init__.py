"""From a model to figures: encode a split, rank it, count."""
