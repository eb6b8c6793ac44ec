"""A model from its files to its answers, and the repository that replaces it while it serves."""
