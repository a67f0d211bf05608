"""Sentiment of movie reviews: what the stages of dvc.yaml and the command `sentiment` are built from."""

import os

# Before PyTorch is loaded: its idle threads wait without spinning for long, so that two runs at once share the cores.
# Two trainings on two cores took 131 s with this and 277 s without; one alone 60 s and 58 s.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
