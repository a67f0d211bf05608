"""One clear line for what the user can put right, instead of a stack trace."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "allocate memory" not in str(error):  # PyTorch's words for it
            raise
        line = "there is not enough memory"
    except KeyboardInterrupt:
        line = "interrupted; nothing half-written was kept"
    sys.exit(f"error: {line.replace(str(Path.home()), '~')}")


@contextmanager
def loading(what: str) -> Iterator[None]:
    """Turn whatever a library raises in this block, on files that it cannot read, into an InputError of one line."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # damaged files make transformers, tokenizers and safetensors raise nearly any kind
        raise InputError(f"{what}: cannot be loaded: {reason(error)}") from error


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Turn an import in this block that is not to be had into an InputError that says which extra brings it."""
    try:
        yield
    except ImportError as error:
        raise InputError(f"{error.name} is not installed: pip install -e '.[{name}]'") from None


def reason(error: Exception) -> str:
    """What a library's error says and of which kind it is, on one line."""
    return one_line(f"{type(error).__name__}: {error}")


def one_line(text: str, most: int = 200) -> str:
    """Text as an error line shows it: no line breaks, control characters escaped, at most `most` characters."""
    text = " ".join(text[: 4 * most].split())
    text = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
    return text if len(text) <= most else text[: most - 3] + "..."
