"""One clear line for what the user can put right, instead of a stack trace."""

import sys
from collections.abc import Callable
from pathlib import Path


class InputError(Exception):
    """Something given from outside is wrong; the message is one line saying what, where and what is allowed."""


def run(main: Callable[[], None]) -> None:
    """Run a stage's main(); what its surroundings do to it ends it with one line and a non-zero exit.

    That is an InputError, a full disk, too little memory, or Ctrl-C. The home folder is shown as ~.
    """
    try:
        main()
        return
    except InputError as error:
        line = str(error)
    except OSError as error:
        if error.strerror is None:
            raise
        line = f"{error.filename or 'input/output'}: {error.strerror}"
    except MemoryError:
        line = "there is not enough memory"
    except KeyboardInterrupt:
        line = "interrupted; nothing half-written was kept"
    sys.exit(f"error: {line.replace(str(Path.home()), '~')}")
