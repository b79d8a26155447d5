"""Studies: a recipe in several variants, trained, measured and put into one table."""
