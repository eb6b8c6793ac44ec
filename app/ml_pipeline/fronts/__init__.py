"""Who speaks to clients."""
