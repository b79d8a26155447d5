"""How good a model is: vectors of a split, ranks of the right answers, and figures of the ranks."""
