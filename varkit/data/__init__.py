"""From a data set to batches; which answers are right; what a data set holds."""
