"""Training of single agents and populations, and of the supervised ranker."""
