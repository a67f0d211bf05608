"""Sentiment of movie reviews: what the stages of dvc.yaml and the command `sentiment` are built from."""

import atexit
import gc
import os
import sys
from types import TracebackType

# Before PyTorch is loaded: its idle threads wait without spinning for long, so that two runs at once share the cores.
# Two trainings on two cores took 131 s with this and 277 s without; one alone 60 s and 58 s.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")

# Importing makes no garbage: looking for it every 700 objects, and once more at the end, takes a quarter of the CPU time
# that a start with transformers takes.
gc.set_threshold(200_000)
atexit.register(gc.freeze)


def _one_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Say of Ctrl-C while modules are imported, before `errors.run`, what that says."""
    if issubclass(kind, KeyboardInterrupt):
        print("error: interrupted; nothing half-written was kept", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


sys.excepthook = _one_line
