"""What replicas agree on over Redis: reloads, and batches that were disproved."""
