"""The two classes and their spellings."""

LABELS = ("NEGATIVE", "POSITIVE")  # prepared data contains the index
# Default spellings of NEGATIVE and POSITIVE in a dataset and in the head of a pretrained model.
SPELLINGS = ({"negative", "neg", "0", "false"}, {"positive", "pos", "1", "true"})
