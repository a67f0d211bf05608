"""Metrics of classification, their intervals, and the contents of a metrics JSON."""
