"""Names become objects: a recipe's components, and the model they make up."""
