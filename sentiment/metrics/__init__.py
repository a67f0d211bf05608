"""Metrics of binary classification, their bootstrap intervals, and the content of a metrics JSON."""
