"""Play, serve, query and simulate captures."""
