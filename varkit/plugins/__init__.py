"""How components are offered, found and listed: kinds, hooks, loading, the registry."""
