"""From a YAML file and overrides to a checked, complete recipe."""
