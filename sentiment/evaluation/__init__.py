"""Evaluation: metrics and their uncertainty, a run by its name, and the comparison of two."""
