"""Settings of a process that runs a stage or the command: thread waiting, garbage collection, and Ctrl-C.

`configure` must run before PyTorch is imported, so `stage_runner` and `cli` call it when they are imported. The package
itself leaves the importing process alone.
"""

import atexit
import gc
import os
import sys
from types import TracebackType


def configure() -> None:
    """Apply all settings to this process."""
    # Idle threads of PyTorch then wait without spinning for long, so that two runs at once share the cores.
    # Two trainings on two cores took 131 s with this and 277 s without; one alone 60 s and 58 s.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    # Imports create no garbage: looking for it every 700 objects, and once more at exit, takes a quarter of the CPU
    # time of importing transformers.
    gc.set_threshold(200_000)
    atexit.register(gc.freeze)
    sys.excepthook = _report_interrupt_in_one_line


def _report_interrupt_in_one_line(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Report Ctrl-C during imports, before `errors.run` is active, in the same line as `errors.run`."""
    if issubclass(kind, KeyboardInterrupt):
        print("error: interrupted; nothing half-written was kept", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)
