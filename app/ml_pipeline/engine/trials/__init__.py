"""Shows by trial runs whether rows that share a run get the answers that they get alone."""
