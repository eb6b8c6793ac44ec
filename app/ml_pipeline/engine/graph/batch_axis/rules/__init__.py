"""Rules of the operators, by family: where the rows are behind a node."""
