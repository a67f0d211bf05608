"""Runs by name, and their comparison, ranking and seed variance. Only commands use this package."""
