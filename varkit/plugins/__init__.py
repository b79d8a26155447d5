"""How components are offered, found and listed: hooks, loading, the registry."""
