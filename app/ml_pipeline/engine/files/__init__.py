"""Model files on disk: which there are, what belongs to each, and digests of their content."""
