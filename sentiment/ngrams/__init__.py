"""The n-gram baseline: features, logistic regression, scoring, and its file."""
