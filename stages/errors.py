"""One clear line for what the user can put right, instead of a stack trace."""

import sys
from collections.abc import Callable


class InputError(Exception):
    """Something given from outside is wrong; the message is one line saying what, where and what is allowed."""


def run(main: Callable[[], None]) -> None:
    """Run a stage's main(); an InputError, a full disk, too little memory or Ctrl-C ends it with one line and a non-zero exit."""
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.strerror is None:
            raise
        sys.exit(f"error: {error.filename or 'input/output'}: {error.strerror}")
    except MemoryError:
        sys.exit("error: there is not enough memory")
    except KeyboardInterrupt:
        sys.exit("error: interrupted; nothing half-written was kept")
