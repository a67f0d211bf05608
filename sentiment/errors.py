"""Errors that a user can fix, reported in one line instead of a stack trace."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

# How libraries report a lack of memory: CUDA and tokenizers; PyTorch and ONNX Runtime on CPUs; cuBLAS; C++;
# oneDNN; the loader of shared libraries.
_MEMORY = re.compile(
    "out of memory|allocate memory|ALLOC_FAILED|bad_alloc|could not create a primitive$|failed to map segment"
)
# Packages whose errors explain what is wrong with a repository: DVC and the Git libraries.
_REPOSITORY_PACKAGES = {"dvc", "scmrepo", "_pygit2", "dulwich", "git"}
# How Git and libgit2 report that a repository belongs to another user; the group is its folder.
_OTHER_OWNER = re.compile(
    "dubious ownership in repository at '(.+?)'|repository path '(.+?)' is not owned by"
)


class InputError(Exception):
    """An error in the user's input. The message is one line: what is wrong, where, and what is allowed."""


class InterruptedScoringError(InputError):
    """Ctrl-C or SIGTERM during scoring, while threads of native libraries may still run."""


def run(main: Callable[[], object]) -> None:
    """Run a program's main(), and exit with status 1 and one line on an error that the user can fix.

    These are InputError, errors of DVC and Git, missing files, a full disk, lack of memory, and Ctrl-C. The
    line shows the home folder as ~.
    """
    try:
        main()
        return
    except InterruptedScoringError as error:
        print(f"error: {without_home(str(error))}", file=sys.stderr, flush=True)
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(1)  # the usual teardown of native threads could abort with a message of C++
    except InputError as error:
        line = str(error)
    except OSError as error:
        if error.strerror is None and not isinstance(error, FileNotFoundError):
            raise
        if error.strerror:
            line = f"{error.filename or 'input/output'}: {error.strerror}"
        else:  # pyarrow's error names only the file
            line = f"{error.filename or error}: no such file; `dvc repro` creates it"
    except Exception as error:
        if memory_ran_out(error):
            line = "there is not enough memory"
        # By name, because importing the packages for their error classes would take half a second.
        elif type(error).__module__.split(".")[0] in _REPOSITORY_PACKAGES:
            line = reason(error)
        else:
            raise
    except KeyboardInterrupt:
        line = "interrupted; nothing half-written was kept"
    sys.exit(f"error: {without_home(line)}")


def memory_ran_out(error: Exception) -> bool:
    """Whether an error of Python or of a library reports a lack of memory."""
    return isinstance(error, MemoryError) or bool(_MEMORY.search(str(error)))


def without_home(text: str) -> str:
    """Replace the home folder by ~, because its name may reveal who the user is."""
    try:
        home = str(Path.home())
    except RuntimeError:  # HOME is not set, and the user has no entry in the password database
        return text
    return text.replace(home, "~") if len(home) > 1 else text


@contextmanager
def loading(what: str) -> Iterator[None]:
    """Turn any error of a library that loads `what` into an InputError, except a lack of memory.

    Damaged files make transformers, tokenizers and safetensors raise nearly any kind of exception.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        if memory_ran_out(error):
            raise
        raise InputError(f"{what}: cannot be loaded: {reason(error)}") from error


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Turn a failed import into an InputError that names the extra of pyproject.toml to install."""
    try:
        yield
    except ImportError as error:
        if memory_ran_out(error):
            raise
        raise InputError(f"{error.name} is not installed: pip install -e '.[{name}]'") from None


@contextmanager
def full_disk(folder: str | Path) -> Iterator[None]:
    """Turn any error into an InputError if the folder's disk is full.

    Each library reports it in its own way, and some free disk space before they raise the error.
    """
    try:
        yield
    except Exception as error:
        if "No space left on device" in str(error) or shutil.disk_usage(folder).free < 2**20:
            raise InputError(f"{folder}: no space left on its disk") from error
        raise


def reason(error: BaseException) -> str:
    """A library's error in one line: type and message, or the remedy for Git's most frequent error."""
    if owned := _OTHER_OWNER.search(str(error)):
        folder = shlex.quote(owned[1] or owned[2])
        return (
            f"{folder} belongs to another user, so Git does not read it; if you trust that user, run "
            f"`git config --global --add safe.directory {folder}`"
        )
    return one_line(f"{type(error).__name__}: {error}")


def one_line(text: str, limit: int = 200) -> str:
    """Format text for an error message: no line breaks or control characters, at most `limit` characters."""
    text = " ".join(text[: 4 * limit].split())
    text = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
    return text if len(text) <= limit else text[: limit - 3] + "..."
