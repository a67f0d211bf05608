"""The two classes."""

LABELS = ("NEGATIVE", "POSITIVE")  # the index is the label that prepared data holds
