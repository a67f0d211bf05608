"""Runs by name, and what commands do with several: comparison, ranking, seed variance."""
