"""Evaluation: a metric for the package `evaluate`, the most confident mistakes, and the data behind plots."""
