"""Settings of a process that runs a stage or the command: thread waiting, garbage collection, and Ctrl-C.

`configure` must run before PyTorch is imported, so `stage_runner` and `cli` call it when they are imported.
Importing the package itself changes nothing.
"""

import atexit
import gc
import os
import sys
from types import TracebackType


def configure() -> None:
    """Apply all settings to this process."""
    # Limits how long idle threads of PyTorch spin, so that two runs at the same time share the cores.
    # Two trainings on two cores took 131 s with it and 277 s without; a single one took 60 s and 58 s.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # ONNX Runtime sends nothing about this machine
    # Imports create no garbage. Collecting after every 700 new objects, and again at exit, takes a quarter of
    # the CPU time of importing transformers.
    gc.set_threshold(200_000)
    atexit.register(gc.freeze)
    sys.excepthook = _report_interrupt_in_one_line


def _report_interrupt_in_one_line(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Report Ctrl-C during imports with the line that `errors.run` prints once it is active."""
    if issubclass(kind, KeyboardInterrupt):
        print("error: interrupted; nothing half-written was kept", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)
