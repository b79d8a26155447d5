"""Builds a recipe's components, and the model that they make up."""
