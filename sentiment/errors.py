"""Errors that a user can put right, as one clear line instead of a stack trace."""

import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# As CUDA and tokenizers say it, PyTorch and ONNX Runtime on CPUs, cuBLAS, C++, oneDNN, and the loader of shared libraries.
_MEMORY = re.compile(
    "out of memory|allocate memory|ALLOC_FAILED|bad_alloc|could not create a primitive$|failed to map segment"
)


# The packages whose errors say what is wrong with a repository: DVC, and how it and we use Git.
_OF_GIT = {"dvc", "scmrepo", "_pygit2", "dulwich", "git"}
# As Git and libgit2 say that a repository belongs to another user, and where it is.
_OWNER = re.compile("dubious ownership in repository at '(.+?)'|repository path '(.+?)' is not owned by")


class InputError(Exception):
    """Something given from outside is wrong; the message is one line saying what, where and what is allowed."""


def run(main: Callable[[], object]) -> None:
    """Run the main() of a program; what its surroundings do to it ends it with one line and exit status 1.

    That is an InputError, an error of DVC's, a full disk, too little memory, or Ctrl-C. The home folder is shown as ~.
    """
    try:
        main()
        return
    except InputError as error:
        line = str(error)
    except OSError as error:
        if error.strerror is None and not isinstance(error, FileNotFoundError):
            raise
        where = error.filename or (
            "input/output" if error.strerror else error
        )  # pyarrow names the file alone
        line = f"{where}: {error.strerror or 'no such file; `dvc repro` makes it'}"
    except Exception as error:
        if memory_ran_out(error):
            line = "there is not enough memory"
        elif (
            type(error).__module__.split(".")[0] in _OF_GIT
        ):  # importing their errors would take half a second
            line = reason(error)
        else:
            raise
    except KeyboardInterrupt:
        line = "interrupted; nothing half-written was kept"
    sys.exit(f"error: {without_home(line)}")


def memory_ran_out(error: Exception) -> bool:
    """Whether this error, of Python or of a library, says that there is too little memory."""
    return isinstance(error, MemoryError) or bool(_MEMORY.search(str(error)))


def without_home(text: str) -> str:
    """Text with ~ for the home folder, which may tell who somebody is."""
    try:
        home = str(Path.home())
    except RuntimeError:  # HOME is not set, and the user has no entry
        return text
    return text.replace(home, "~") if len(home) > 1 else text


@contextmanager
def loading(what: str) -> Iterator[None]:
    """Turn whatever a library raises in this block, on files that it cannot read, into an InputError of one line.

    Too little memory is no fault of the files.
    """
    try:
        yield
    except InputError:
        raise
    except (
        Exception
    ) as error:  # damaged files make transformers, tokenizers and safetensors raise nearly any kind
        if memory_ran_out(error):
            raise
        raise InputError(f"{what}: cannot be loaded: {reason(error)}") from error


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Turn a failed import in this block into an InputError that says which extra of pyproject.toml brings it."""
    try:
        yield
    except ImportError as error:
        if memory_ran_out(error):
            raise
        raise InputError(f"{error.name} is not installed: pip install -e '.[{name}]'") from None


@contextmanager
def full_disk(folder: str | Path) -> Iterator[None]:
    """Turn whatever is raised in this block while the folder's disk is full into an InputError that says so.

    Each library has an error of its own for it, and some make room again before they raise it.
    """
    try:
        yield
    except Exception as error:
        if "No space left on device" in str(error) or shutil.disk_usage(folder).free < 2**20:
            raise InputError(f"{folder}: no space left on its disk") from error
        raise


def reason(error: BaseException) -> str:
    """The type and message of a library's error, on one line; of Git's most frequent one, what to do about it."""
    if owned := _OWNER.search(str(error)):
        folder = shlex.quote(owned[1] or owned[2])
        return (
            f"{folder} belongs to another user, so Git does not read it; if you trust that user, run "
            f"`git config --global --add safe.directory {folder}`"
        )
    return one_line(f"{type(error).__name__}: {error}")


def one_line(text: str, most: int = 200) -> str:
    """Text as an error line shows it: no line breaks, control characters escaped, at most `most` characters."""
    text = " ".join(text[: 4 * most].split())
    text = "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
    return text if len(text) <= most else text[: most - 3] + "..."
