"""The n-gram baseline: features, regression, and scoring."""
