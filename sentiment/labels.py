"""The two classes, and how they are spelled."""

LABELS = ("NEGATIVE", "POSITIVE")  # the index is the label that prepared data holds
# What means each of them in data, and in the head of a pretrained model, where nothing else is said.
SPELLINGS = ({"negative", "neg", "0", "false"}, {"positive", "pos", "1", "true"})
