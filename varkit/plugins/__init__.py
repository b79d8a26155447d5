"""Kinds of component, plugin hooks, loading of plugins, and the registry of components."""
